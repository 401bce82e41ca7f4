"""Every example of docs/mapping.md is run into the sandbox and read back: what the page shows is what arrives."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.support.importer import ImporterFixture
from tests.support.paths import PAGES

PAGE = PAGES / "mapping.md"


@dataclass(frozen=True)
class Example:
    """``rows``: cells by header. ``wanted``: of each person, by e-mail: what of the profile is there afterwards."""

    rows: Sequence[Mapping[str, str]]
    wanted: Mapping[str, Mapping[str, Any]]
    loaded: int = 1


ANN = "ann@mapleshop.com"
BOB = "bob@mapleshop.com"
EXAMPLES = {
    "Email Address": Example(
        [
            {
                "Email Address": ANN, "Mobile": "(415) 555-2671", "Contact ID": "C1", "Zip": "01040",
                "Total Spent": "$1,204.50", "VIP": "yes", "Tags": "a;b", "Joined": "03/04/2025 18:30", "Plan": "pro",
                "Notes": "",
            },
            {
                "Email Address": BOB, "Mobile": "", "Contact ID": "C2", "Zip": "", "Total Spent": "0", "VIP": "",
                "Tags": "", "Joined": "", "Plan": "free", "Notes": "calls",
            },
        ],
        {
            ANN: {
                "phone_number": "+14155552671", "external_id": "C1", "location": {"zip": "01040"},
                "properties": {
                    "$value": 1204.5, "vip": True, "tags": ["a", "b"], "joined_at": "2025-04-03T18:30:00-04:00",
                    "plan": "pro",
                },
            },
            BOB: {"properties": {"$value": 0, "plan": "free", "notes": "calls"}, "lists": ["Newsletter"]},
        },
        loaded=2,
    ),
    "Vip": Example(
        [{"Email": ANN, "Vip": "1", "Points": "12"}],
        {ANN: {"properties": {"vip": True, "points": 12}}},
    ),
    "Signed up": Example(
        [{"Email": ANN, "Signed up": "04/03/2025 06:30 PM"}],
        {ANN: {"properties": {"signed_up": "2025-04-03T18:30:00+02:00"}}},
    ),
    "Name": Example(
        [
            {"Email": ANN, "Plan": " P ", "Name": "O'NEIL"},
            {"Email": BOB, "Plan": "", "Name": ""},
        ],
        {ANN: {"last_name": "O'Neil", "properties": {"plan": "pro"}}, BOB: {"properties": {"plan": "free"}}},
        loaded=2,
    ),
    "Source": Example(
        [{"Email": ANN, "Source": "shop", "Bought": "A1;B2", "Expired": "gold"}],
        {ANN: {"properties": {"first_source": "shop", "skus": ["A1", "B2"]}}},
    ),
    "Total spent": Example(
        [
            {
                "Email": ANN, "Phone": "+14155552671", "Total spent": "10.10", "First order": "2025-02-01",
                "Interests": "tea", "Updated At": "2025-03-01",
            },
            {
                "Email": ANN, "Phone": "+14155552672", "Total spent": "5.20", "First order": "2024-12-24",
                "Interests": "wine;tea", "Updated At": "2025-01-01",
            },
        ],
        {
            ANN: {
                "phone_number": "+14155552672",
                "properties": {"$value": 15.3, "first_order": "2024-12-24", "interests": ["tea", "wine"]},
            }
        },
    ),
    "[computed]": Example(
        [
            {"Email": ANN, "First": "Ann ", "Last": " Lee", "Street": "Mill Lane", "House no": "7"},
            {"Email": BOB, "First": "", "Last": "", "Street": "Dock", "House no": ""},
        ],
        {
            ANN: {
                "location": {"address1": "Mill Lane 7"},
                "properties": {"full_name": "Ann Lee", "batch": "CRM import 2026"},
            },
            BOB: {"location": {"address1": "Dock"}, "properties": {"batch": "CRM import 2026"}},
        },
        loaded=2,
    ),
    "[[rules]]": Example(
        [
            {"Email": ANN, "Plan": "pro", "Total Spent": "12.00"},
            {"Email": BOB, "Plan": "pro", "Total Spent": "0"},
        ],
        {ANN: {"properties": {"plan": "pro", "$value": 12}}},
    ),
}  # fmt: skip


def examples() -> list[Any]:
    text = PAGE.read_text(encoding="utf-8")
    found = re.finditer(r"^( *)```toml\n(.*?)^\1```", text, flags=re.MULTILINE | re.DOTALL)
    shown = [(text[: each.start()].count("\n") + 1, each[2]) for each in found if "[columns]" in each[2]]
    return [pytest.param(block, id=f"mapping.md:{line}") for line, block in shown]


def example_of(block: str) -> tuple[str, Example]:
    names = [name for name in EXAMPLES if (name if name.startswith("[") else f'"{name}"') in block]
    assert names, f"The page has a new example; add rows and what shall come of them:\n{block}"
    return names[-1], EXAMPLES[names[-1]]


@pytest.mark.parametrize("block", examples())
def test_an_example_of_the_page_arrives_as_it_says(block: str, tmp_path: Path) -> None:
    _, example = example_of(block)
    mapping = tomllib.loads(block)
    # A rehearsal leaves the account out, as ``run --sandbox`` does.
    mapping.get("guards", {}).pop("expect_account", None)
    mapping.get("guards", {}).pop("min_rows", None)
    desk = ImporterFixture(tmp_path, lists=("Newsletter",))
    desk.mapping = mapping
    header = list(example.rows[0])
    desk.write([[row[name] for name in header] for row in example.rows], header)
    os.utime(desk.source, (desk.clock.now(), desk.clock.now()))
    report = desk.run(verify="all")
    assert (report.tally.loaded, report.tally.failed, report.tally.unknown) == (example.loaded, 0, 0), report.issues
    assert report.tally.different == 0, "it reads back as it was sent"
    profiles = {one["email"]: one for one in map(orjson.loads, desk.sandbox.dump().splitlines())}
    for email, wanted in example.wanted.items():
        found = profiles.pop(email)
        assert {name: found.get(name) for name in wanted} == dict(wanted)
    assert not profiles, "nobody else arrives"


def test_every_example_here_is_one_of_the_page() -> None:
    shown = [example_of(block.values[0])[0] for block in examples()]
    assert sorted(shown) == sorted(EXAMPLES)


def test_computed_columns_follow_every_rule_of_columns(tmp_path: Path) -> None:
    """Write and merge rules of computed columns, against a profile that is there already."""
    desk = ImporterFixture(tmp_path, lists=("News",))
    desk.mapping = {
        "columns": {"Email": "email"},
        "computed": {
            "properties.skus": {
                "join": ["A", "B"], "by": ";", "type": "list", "separator": ";", "write": "append",
            },
            "properties.badges": {"template": "{X}", "type": "list", "separator": ";", "write": "remove"},
            "properties.points": {"template": "{A}{B}", "type": "integer", "merge": "sum"},
            "properties.most": {"template": "{A}", "type": "integer", "merge": "max"},
            "properties.longest": {"template": "{X} {Y}", "merge": "longest"},
            "properties.all": {"join": ["X", "Y"], "by": ";", "type": "list", "separator": ";", "merge": "union"},
            "properties.once": {"template": "{Y}", "write": "only_if_existing_blank"},
            "properties.gone": {"template": "{Y}", "write": "unset_if_blank"},
            "location.address1": {"join": ["X", "Y"], "write": "clear_if_blank"},
            "location.zip": {"template": "{B}", "transform": [{"pad": 5}]},
        },
    }  # fmt: skip
    header = ("Email", "A", "B", "X", "Y")
    desk.write([(ANN, "1", "2", "gold", "y"), (ANN, "3", "4", "silver", "")], header)
    assert desk.run(verify="all").tally.loaded == 1
    desk.write([(ANN, "1", "9", "", "")], header)
    report = desk.run(verify="all")
    assert (report.tally.loaded, report.tally.different) == (1, 0)
    (profile,) = map(orjson.loads, desk.sandbox.dump().splitlines())
    assert profile["location"] == {"zip": "00009"}
    assert profile["properties"] == {
        "skus": ["1", "2", "3", "4", "9"], "points": 19, "most": 1, "longest": "gold y",
        "all": ["gold", "y", "silver"], "once": "y",
    }  # fmt: skip
