"""A list written as a line of CSV in one cell: what Mailchimp exports is read, sent, and told by init."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl import pipeline
from etl.errors import ConfigError
from etl.transform.cells.lists import ListError, split_items
from tests.support.importer import ImporterFixture

ITEMS = st.lists(st.text('aé ,;|"\\\\', min_size=1, max_size=6).map(str.strip).filter(bool), max_size=5)
SIGNS = st.sampled_from([",", ";", "|", ", ", "::"])


@given(ITEMS, SIGNS)
def test_quoted_items_come_back(items: list[str], sign: str) -> None:
    text = sign.join('"' + item.replace('"', '""') + '"' for item in items)
    assert split_items(text, sign, quoted=True) == items


@given(ITEMS, st.sampled_from([",", ";", "|"]))
def test_escaped_items_come_back(items: list[str], sign: str) -> None:
    text = sign.join(item.replace("\\", "\\\\").replace(sign, "\\" + sign) for item in items)
    assert split_items(text, sign, escape="\\") == items


@pytest.mark.parametrize("cell", ['"open', '"a" b', '"a","b'])
def test_broken_quotes_are_told(cell: str) -> None:
    with pytest.raises(ListError):
        split_items(cell, ",", quoted=True)


MAILCHIMP = (
    "Email Address,MEMBER_RATING,OPTIN_TIME,OPTIN_IP,LEID,EUID,LAST_CHANGED,Interests,TAGS\n"
    'ann@mapleshop.com,4,2020-02-01 10:00:00,203.0.113.9,1,a,2020-02-01 10:00:00,"Cheese, Food\\, Wine",'
    '"""VIP"",""Blog, EN"""\n'
    'bob@mapleshop.com,2,2020-02-01 10:00:00,203.0.113.9,2,b,2020-02-01 10:00:00,Events,"""VIP"""\n'
)


def test_a_mailchimp_export_by_init_and_run(tmp_path: Path) -> None:
    desk = ImporterFixture(tmp_path)
    desk.source.write_text(MAILCHIMP, encoding="utf-8")
    proposal, _ = pipeline.init(desk.source)
    rules = {column.facts.header: column.rule for column in proposal.columns}
    desk.mapping = {
        "columns": {"Email Address": "email", "Interests": rules["Interests"], "TAGS": rules["TAGS"]},
        "load": {"small_run": 0},
    }
    desk.run()
    people = {person["email"]: person["properties"] for person in map(json.loads, desk.sandbox.dump().splitlines())}
    assert people["ann@mapleshop.com"]["interests"] == ["Cheese", "Food, Wine"]
    assert people["ann@mapleshop.com"]["mailchimp_tags"] == ["VIP", "Blog, EN"]
    assert people["bob@mapleshop.com"]["mailchimp_tags"] == ["VIP"]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (['"VIP","Blog, EN"', '"VIP"', '"New", "Blog, EN"'], {"separator": ",", "quoted": True}),
        (['"VIP";"Blog; EN"', '"VIP"', '"New"'], {"separator": ";", "quoted": True}),
        (["Cheese, Food\\, Wine", "Events", "Food\\, Wine"], {"separator": ",", "escape": "\\"}),
        (['"VIP"', '"New"', '"Old"'], None),
        (['he said "a, b"', "x", "y"], None),
    ],
)
def test_init_tells_such_cells(tmp_path: Path, cells: list[str], expected: dict[str, Any] | None) -> None:
    desk = ImporterFixture(tmp_path)
    desk.write([(f"p{n}@mapleshop.com", cell) for n, cell in enumerate(cells)], ("Email", "Groups"))
    proposal, _ = pipeline.init(desk.source)
    (rule,) = [column.rule for column in proposal.columns if column.facts.header == "Groups"]
    typed = {key: value for key, value in (rule or {}).items() if key in {"separator", "quoted", "escape"}}
    assert typed == (expected or {})


@pytest.mark.parametrize("options", [{"quoted": True}, {"escape": "\\"}, {"separator": ",", "escape": ","}])
def test_options_without_sense_are_told(tmp_path: Path, options: dict[str, Any]) -> None:
    desk = ImporterFixture(tmp_path)
    desk.write(1)
    desk.mapping["columns"]["Name"] = {"to": "properties.x", "type": "list", **options}
    with pytest.raises(ConfigError):
        desk.run()
