"""Transforms, computed columns, and rules that look beyond one cell: the page's own examples, chunks, whole runs."""

from __future__ import annotations

import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl import pipeline
from etl.config import parse_mapping
from etl.errors import ConfigError
from etl.model import Chunk
from etl.pipeline.staging.process import ChunkProcessor, FileIssueFilter
from tests.support.importer import ImporterFixture
from tests.support.paths import PAGES

PAGE = (PAGES / "mapping.md").read_text(encoding="utf-8")
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()


def steps() -> list[tuple[str, str, str]]:
    section = PAGE.split("### Transforms")[1].split("### Write rules")[0]
    found = re.findall(r"^\| `(.+?)` \| (?:`(.*?)`)? ?\| (?:`(.*?)`)? ?\|$", section, flags=re.MULTILINE)
    return [(step, cell.replace("␣", " "), made.replace("␣", " ")) for step, cell, made in found]


def judged(
    mapping: dict[str, Any], *rows: dict[str, str]
) -> tuple[list[dict[str, Any]], list[tuple[int, str, str | None]]]:
    """Return the attributes of accepted rows and all issues."""
    import orjson  # noqa: PLC0415 - only here

    headers = tuple(dict.fromkeys(header for row in rows for header in row))
    frame = pd.DataFrame(
        {header: [row.get(header, "") for row in rows] for header in headers},
        dtype="str",
        index=pd.RangeIndex(2, 2 + len(rows), name="line"),
    )
    judge = ChunkProcessor(parse_mapping(mapping), headers, NOW)
    validated, transformed, _ = judge.judge(frame)
    issues = [(issue.line, issue.code, issue.column) for issue in (*validated.issues, *transformed.issues)]
    return [orjson.loads(record.body)["attributes"] for record in transformed.records], issues


def test_the_page_has_every_step() -> None:
    named = {re.sub(r"\W*(\w+).*", r"\1", step) for step, _, _ in steps()}
    assert named == {
        "strip", "collapse", "lower", "upper", "title", "country_code", "country_name", "default", "replace", "split",
        "pad", "function",
    }  # fmt: skip


@pytest.mark.parametrize(("step", "cell", "made"), steps())
def test_a_step_does_what_the_page_says(step: str, cell: str, made: str) -> None:
    rule = {"to": "properties.x", "transform": [tomllib.loads(f"step = {step}")["step"]]}
    (attributes,), issues = judged({"columns": {"E": "email", "X": rule}}, {"E": "ann@mapleshop.com", "X": cell})
    # A cell is trimmed when it is judged, whatever came before.
    assert attributes.get("properties", {}).get("x", "") == made.strip()
    assert issues == []


def test_steps_are_taken_in_order_and_come_before_the_rules() -> None:
    rule = {"to": "properties.plan", "transform": ["strip", "lower", {"replace": {"p": "pro"}}], "one_of": ["pro"]}
    found, issues = judged({"columns": {"E": "email", "P": rule}}, {"E": "ann@mapleshop.com", "P": " P "})
    assert (found[0]["properties"], issues) == ({"plan": "pro"}, [])


def test_an_address_is_shaped_before_it_is_judged() -> None:
    columns = {"E": {"to": "email", "transform": [{"split": ";", "part": 1}]}}
    found, issues = judged({"columns": columns}, {"E": "ann@mapleshop.com; bob@mapleshop.com"})
    assert (found[0]["email"], issues) == ("ann@mapleshop.com", [])


def test_a_function_that_fails_costs_the_cell_and_says_where() -> None:
    for name, failing in (("picky", "bad"), ("wrong", "good")):
        rule = {"to": "properties.x", "transform": [{"function": f"transform_examples:{name}"}]}
        rows = [{"E": f"p{place}@mapleshop.com", "X": cell} for place, cell in enumerate(("good", failing))]
        found, issues = judged({"columns": {"E": "email", "X": rule}}, *rows)
        assert len(found) == 2
        assert (3, "transform-failed", "X") in issues
    with pytest.raises(ConfigError, match="transform_examples:nothing cannot be loaded"):
        judged(
            {"columns": {"E": {"to": "email", "transform": [{"function": "transform_examples:nothing"}]}}}, {"E": ""}
        )


def test_computed_columns() -> None:
    mapping = {
        "columns": {"E": "email"},
        "computed": {
            "properties.full_name": {"template": "{First} {Last}!", "transform": ["upper"]},
            "location.address1": {"join": ["Street", "No"], "by": ", "},
            "properties.batch": {"constant": "2026"},
            "properties.points": {"join": ["A", "B"], "by": "", "type": "integer"},
        },
    }
    ann = {
        "E": "ann@mapleshop.com",
        "First": " Ann ",
        "Last": "Lee",
        "Street": "Mill Lane",
        "No": "",
        "A": "1",
        "B": "2",
    }
    bob = {"E": "bob@mapleshop.com", "A": "x"}
    found, issues = judged(mapping, ann, bob)
    assert found[0]["properties"] == {"full_name": "ANN LEE!", "batch": "2026", "points": 12}
    assert found[0]["location"] == {"address1": "Mill Lane"}
    assert found[1]["properties"] == {"batch": "2026"}
    assert issues == [(3, "integer-invalid", "[computed] properties.points")]


def test_a_computed_column_of_what_is_not_there_is_refused(tmp_path: Path) -> None:
    desk = ImporterFixture(tmp_path)
    desk.mapping = {"columns": {"Email": "email"}, "computed": {"title": {"template": "{Rank}"}}}
    desk.write(2)
    with pytest.raises(ConfigError, match="no column 'Rank'"):
        desk.run()


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"columns": {"E": {"to": "email", "transform": ["shout"]}}}, "transform"),
        ({"columns": {"E": {"to": "email", "transform": [{"split": ";"}]}}}, "part"),
        ({"columns": {"E": {"to": "email", "transform": [{}]}}}, "one of"),
        ({"computed": {"title": {"template": "none"}}}, "constant"),
        ({"computed": {"title": {"template": "{A}", "constant": "b"}}}, "exactly one"),
        ({"computed": {"email": {"constant": "b"}}}, "both go to"),
        ({"computed": {"titel": {"constant": "b"}}}, "not a target"),
        ({"computed": {"title": {"constant": "b", "typ": "date"}}}, "'title': typ: unknown key; did you mean 'type'"),
        ({"computed": {"title": {"templat": "{A}"}}}, "templat: unknown key; did you mean 'template'"),
        ({"computed": {"title": {"join": ["A", "B"], "bye": "-"}}}, "bye: unknown key; did you mean 'by'"),
        ({"computed": {"title": {"constant": "b", "to": "title"}}}, "to: unknown key"),
        ({"computed": {"title": {"constant": "b", "requird": True}}}, "requird: unknown key; did you mean 'required'"),
        (
            {"computed": {"title": {"constant": "b", "transform": [{"spilt": "x"}]}}},
            "unknown key; did you mean 'split'",
        ),
        ({"computed": {"title": {"constant": "b", "merge": "sum"}}}, "computed.title: merge = "),
        ({"columns": {"E": {"to": "email", "transform": [{"padd": 5}]}}}, "padd: unknown key; did you mean 'pad'"),
        ({"columns": {"E": {"to": "email", "transform": [{"pad": 1}]}}}, "pad: "),
        (
            {"computed": {"title": {"constant": "b", "merge": "longest"}}, "profile": {"duplicates": "first"}},
            "merge of a column does nothing",
        ),
        ({"computed": {"properties.n": {"constant": "1", "merge": "newest"}}}, "needs newest_by"),
        ({"rules": [{"name": "r", "expression": "email ="}]}, "is not an expression"),
        ({"rules": [{"name": "r", "expression": "mail != ''"}]}, "no field 'mail'"),
        ({"rules": [{"name": "r", "expression": "__import__('os')"}]}, "call is not allowed"),
        ({"rules": [{"name": "r", "expression": "email.__class__"}]}, "attribute is not allowed"),
        ({"rules": [{"name": "r", "expression": "[x for x in email]"}]}, "listcomp is not allowed"),
        ({"columns": {"E": "email", "X": {"to": "properties.x", "not_in_future": True}}}, "not_in_future is for"),
    ],
)
def test_what_makes_no_sense_is_refused(change: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        parse_mapping({"columns": {"E": "email"}, **change})


# --- rules across a row -----------------------------------------------------------------------------------------------

RULED = {
    "columns": {
        "E": "email",
        "Plan": "properties.plan",
        "Spent": {"to": "$value", "type": "money"},
        "VIP": {"to": "properties.vip", "type": "boolean"},
        "Joined": {"to": "properties.joined", "type": "date"},
    }
}


def ruled(
    expression: str, row: dict[str, str], severity: str = "error"
) -> tuple[int, list[tuple[int, str, str | None]]]:
    mapping = {**RULED, "rules": [{"name": "r", "expression": expression, "severity": severity}]}
    whole = dict.fromkeys(RULED["columns"], "") | row
    found, issues = judged(mapping, {**whole, "E": "ann@mapleshop.com"})
    return len(found), issues


@pytest.mark.parametrize(
    ("expression", "row", "passes"),
    [
        ("plan != 'pro' or value > 0", {"Plan": "pro", "Spent": "$1.50"}, True),
        ("plan != 'pro' or value > 0", {"Plan": "pro", "Spent": ""}, False),
        ("plan != 'pro' or value > 0", {"Plan": "free"}, True),
        ("plan in ['pro', 'free']", {"Plan": "gold"}, False),
        ("not vip or plan == 'pro'", {"VIP": "yes", "Plan": "free"}, False),
        ("joined > '2020-01-01'", {"Joined": "2021-05-01"}, True),
        ("value * 2 >= 10 and value < 100", {"Spent": "5"}, True),
    ],
)
def test_a_row_passes_where_its_rule_is_true(expression: str, row: dict[str, str], passes: bool) -> None:  # noqa: FBT001
    count, issues = ruled(expression, row)
    assert count == int(passes)
    assert issues == ([] if passes else [(2, "row-rule-failed", None)])


def test_a_warning_refuses_nobody() -> None:
    assert ruled("plan == 'pro'", {"Plan": "free"}, "warning") == (1, [(2, "row-rule-failed", None)])


def test_a_rule_that_breaks_is_its_own_fault_and_said_once() -> None:
    count, issues = ruled("plan > 3", {"Plan": "free"})
    assert (count, issues) == (1, [(0, "row-rule-broken", None)])


def test_a_broken_schema_is_said_once_however_many_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "breaking.py").write_text(
        "import pandera.pandas as pa\n"
        "Broken = pa.DataFrameSchema({'email': pa.Column(str, pa.Check(lambda s: 1 / 0))}, strict=False)\n"
    )
    mapping = parse_mapping({"columns": {"E": "email"}, "profile": {"schema": "breaking:Broken"}})
    judge, once = ChunkProcessor(mapping, ("E",), NOW), FileIssueFilter()
    said = 0
    for start in (2, 3):
        frame = pd.DataFrame({"E": ["ann@mapleshop.com"]}, dtype="str", index=pd.Index([start], name="line"))
        packed = once.filtered(judge(Chunk(frame)).packed)
        said += sum("schema-broken" in issue for issue in packed.issues)
    assert said == 1


@pytest.mark.parametrize(
    ("kind", "cell", "good"),
    [
        ("date", "2026-11-23", True),
        ("date", "2026-11-24", True),  # it is that day in Kiribati
        ("date", "2026-11-25", False),
        ("datetime", "2026-11-23T11:59:00Z", True),
        ("datetime", "2026-11-23T12:01:00Z", False),
        ("datetime", "2026-11-23T13:01:00+02:00", True),
    ],
)
def test_dates_that_have_not_come(kind: str, cell: str, good: bool) -> None:  # noqa: FBT001
    columns = {"E": "email", "D": {"to": "properties.d", "type": kind, "not_in_future": True}}
    found, issues = judged({"columns": columns}, {"E": "ann@mapleshop.com", "D": cell})
    assert ("properties" in found[0]) == good
    assert issues == ([] if good else [(2, "date-in-future", "D")])


# --- unique, over the whole source ------------------------------------------------------------------------------------


def test_a_value_is_unique_among_people(tmp_path: Path) -> None:
    """Not among lines: two lines of one person are one value."""
    desk = ImporterFixture(tmp_path)
    desk.mapping["columns"]["Card"] = {"to": "properties.card", "unique": True}
    rows = [
        ("c1", "ann@mapleshop.com", "Ann", "7"),
        ("c2", "bob@mapleshop.com", "Bob", "8"),
        ("c1", "ann@mapleshop.com", "Ann", "7"),
        ("c3", "cat@mapleshop.com", "Cat", "7"),
        ("c4", "dan@mapleshop.com", "Dan", ""),
        ("c5", "eve@mapleshop.com", "Eve", ""),
    ]
    desk.write(rows, ("Id", "Email", "Name", "Card"))
    report = desk.run()
    assert {name: count for name, count in report.tally.parts if count} == {"loaded": 4, "duplicate": 1, "rejected": 1}
    (group,) = [group for group in report.issues if group.code == "value-not-unique"]
    assert (group.lines, group.column, group.detail) == ((5,), "Card", "line 2 has it already")


@given(st.lists(st.sampled_from(["", "a", "b", "c"]), min_size=1, max_size=12), st.integers(1, 5))
def test_uniqueness_does_not_depend_on_chunks(cards: list[str], size: int) -> None:
    from etl.pipeline.staging.unique import Uniqueness, hashed_columns  # noqa: PLC0415 - only here

    mapping = parse_mapping({"columns": {"E": "email", "C": {"to": "properties.c", "unique": True}}})
    watch = Uniqueness(mapping)
    frame = pd.DataFrame({"properties.c": cards}, dtype="str", index=pd.RangeIndex(2, 2 + len(cards), name="line"))
    for start in range(0, len(cards), size):
        watch.note(hashed_columns(frame.iloc[start : start + size], ["properties.c"]))

    class Everybody:
        refused: tuple[int, ...] = ()

        @property
        def rows(self) -> Everybody:
            return self

        duplicates = rows

        def open_lines(self, _run: str, lines: list[int]) -> list[int]:
            return lines

        def apply(self, _run: str, resolution: Any) -> None:
            self.refused = resolution.rejected

    store = Everybody()
    watch.settle(store, "run")  # type: ignore[arg-type]  # what it asks of a store, and no more
    seen: set[str] = set()
    expected = []
    for line, card in enumerate(cards, 2):
        if card and card in seen:
            expected.append(line)
        seen.add(card)
    assert sorted(store.refused) == expected


def test_check_and_run_agree(tmp_path: Path) -> None:
    desk = ImporterFixture(tmp_path)
    desk.mapping["rules"] = [{"name": "named", "expression": "first_name != ''"}]
    desk.write([("c1", "ann@mapleshop.com", "Ann"), ("c2", "bob@mapleshop.com", "")])
    assert pipeline.check(desk.source, desk.mapping, context=desk.context).tally.rejected == 1
    assert desk.run().tally.rejected == 1
