"""Lines of one person, field by field: every merge rule, the newest line, exact sums, and what holds for any rows."""

from __future__ import annotations

import random
from collections import Counter
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl import pipeline
from etl.config import MergeRule, parse_mapping
from etl.errors import ConfigError
from etl.model import Chunk, DedupeResolution, Merge, Record, Severity
from etl.report import render_html, render_text
from etl.state import Store
from etl.transform import Transformer, resolve_duplicates
from etl.transform.duplicates.merging import merged_value, total
from etl.validate import Validator
from tests.support.docs_tables import both, frame
from tests.support.effort import examples
from tests.support.importer import ImporterFixture
from tests.support.state_backends import FakeClock, begin

P, Q = "+447911123456", "+447911123457"


def columns(**rules: MergeRule) -> dict[str, Any]:
    """Return columns of every type, with merge rules by header."""
    listed = {"type": "list", "separator": ";"}
    known: dict[str, Any] = {
        "Mail": {"to": "email"},
        "Phone": {"to": "phone_number"},
        "Id": {"to": "external_id"},
        "Name": {"to": "first_name"},
        "City": {"to": "location.city"},
        "Spent": {"to": "$value", "type": "money"},
        "Points": {"to": "properties.points", "type": "integer"},
        "Day": {"to": "properties.day", "type": "date"},
        "Seen": {"to": "properties.seen", "type": "datetime"},
        "Likes": {"to": "properties.likes", **listed},
        "Tags": {"to": "properties.tags", "write": "append", **listed},
        "Plan": {"to": "properties.plan", "write": "clear_if_blank"},
        "Note": {"to": "properties.note", "write": "unset_if_blank"},
    }
    return {name: {**column, **({"merge": rules[name]} if name in rules else {})} for name, column in known.items()}


def merged(
    *rows: dict[str, str],
    newest: dict[int, str] | None = None,
    profile: dict[str, Any] | None = None,
    **rules: MergeRule,
) -> tuple[dict[str, Any], DedupeResolution]:
    """Return the record that rows of one person (by their id) become, and the resolution."""
    mapping = parse_mapping({"columns": columns(**rules), "profile": profile or {}})
    cells = {name: [row.get(name, "") for row in rows] for name in mapping.columns}
    cells |= {"Id": ["1"] * len(rows), "Updated At": [""] * len(rows)}
    _, transformed = both(mapping, frame(cells))
    found = list(transformed.records)
    resolution = resolve_duplicates(found, "merge", mapping, newest)
    (kept,) = [record for record in (resolution.replaced or found) if record.line == 2]
    return orjson.loads(kept.body), resolution


def value(document: dict[str, Any], *path: str) -> Any:
    for name in ("attributes", *path):
        document = document.get(name, {})
    return document


@pytest.mark.parametrize(
    ("column", "rule", "cells", "path", "becomes"),
    [
        ("Name", "last", ("Ann", "Anna", ""), ("first_name",), "Anna"),
        ("Name", "first", ("", "Anna", "Ann"), ("first_name",), "Anna"),
        ("Name", "longest", ("Ann", "Anna", "Anne"), ("first_name",), "Anna"),
        ("City", "first", ("Bonn", "Köln"), ("location", "city"), "Bonn"),
        ("Spent", "sum", ("0.10", "0.20", ""), ("properties", "$value"), 0.3),
        ("Spent", "sum", ("", "(2.50)", "1"), ("properties", "$value"), -1.5),
        ("Spent", "max", ("9.5", "10", "-11"), ("properties", "$value"), 10),
        ("Spent", "min", ("9.5", "10", "-11"), ("properties", "$value"), -11),
        ("Points", "sum", ("1", "2", "3"), ("properties", "points"), 6),
        ("Points", "sum", ("9007199254740992", "1"), ("properties", "points"), "9007199254740993"),
        ("Points", "sum", ("9007199254740993", "-1"), ("properties", "points"), 9007199254740992),
        ("Day", "min", ("2024-05-02", "2024-05-01"), ("properties", "day"), "2024-05-01"),
        ("Day", "max", ("2024-05-02", "2024-05-01"), ("properties", "day"), "2024-05-02"),
        (
            "Seen",
            "max",
            ("2024-05-01T12:00:00+02:00", "2024-05-01T11:00:00Z"),
            ("properties", "seen"),
            "2024-05-01T11:00:00+00:00",
        ),
        ("Seen", "min", ("2024-05-01", "2024-04-30T23:59:59-05:00"), ("properties", "seen"), "2024-05-01"),
        ("Likes", "union", ("b;a", "c;b"), ("properties", "likes"), ["b", "a", "c"]),
        ("Likes", "last", ("b;a", "c;b"), ("properties", "likes"), ["c", "b"]),
    ],
)  # fmt: skip
def test_every_rule(column: str, rule: MergeRule, cells: tuple[str, ...], path: tuple[str, ...], becomes: Any) -> None:
    document, _ = merged(*({column: cell} for cell in cells), newest=None, profile=None, **{column: rule})
    assert value(document, *path) == becomes


def test_a_sum_that_json_would_round_says_so() -> None:
    """As text, with a warning on the line that is kept."""
    _, resolution = merged({"Points": "9007199254740992"}, {"Points": "1"}, Points="sum")
    told = [(issue.line, issue.code, issue.column) for issue in resolution.issues if issue.code == "sum-inexact"]
    assert told == [(2, "sum-inexact", "Points")]


def test_patches_add_up_and_nothing_is_taken_away_that_a_line_writes() -> None:
    document, resolution = merged(
        {"Tags": "a;b", "Note": "n", "Plan": ""}, {"Tags": "b;c", "Note": "", "Plan": "pro"}, {"Note": "", "Plan": ""}
    )
    assert document["meta"] == {"patch_properties": {"append": {"tags": ["a", "b", "c"]}}}
    assert value(document, "properties") == {"note": "n", "plan": "pro"}
    document, resolution = merged({}, {})
    assert document["meta"] == {"patch_properties": {"unset": ["note"]}}
    assert value(document, "properties") == {"plan": None}
    assert all(record.clears for record in resolution.replaced)


NEWEST = {"newest_by": "Updated At"}
ROWS: tuple[dict[str, str], ...] = (
    {"Name": "A", "City": "Bonn"},
    {"Name": "B", "City": "Rome"},
    {"Name": "C"},
)


@pytest.mark.parametrize(
    ("cells", "name", "city"),
    [
        ({2: "2024-05-03", 3: "2024-05-02", 4: "2024-05-01"}, "A", "Bonn"),
        ({2: "2024-05-01", 3: "2024-05-02", 4: "2024-05-03"}, "C", "Rome"),
        ({2: "2024-05-01 10:00", 3: "2024-05-01T12:00:00+05:00", 4: "2024-05-01"}, "A", "Bonn"),
        ({2: "10", 3: "9", 4: "8.5"}, "A", "Bonn"),
        ({2: "", 3: "2024-05-01", 4: ""}, "B", "Rome"),
        ({2: "2024-05-01", 3: "2024-05-01", 4: "2024-04-01"}, "B", "Rome"),
        ({2: "soon", 3: "2024-05-01", 4: "2024-04-01"}, "B", "Rome"),
        ({}, "C", "Rome"),
    ],
    ids=["reversed", "in order", "moments", "numbers", "empty is oldest", "equal", "unreadable", "nothing"],
)
def test_the_newest_line_wins_field_by_field(cells: dict[int, str], name: str, city: str) -> None:
    """A newer line without a value does not win; a column that says otherwise goes its own way."""
    document, resolution = merged(*ROWS, newest=cells, profile=NEWEST)
    assert (value(document, "first_name"), value(document, "location", "city")) == (name, city)
    told = [issue.line for issue in resolution.issues if issue.code == "newest-unreadable"]
    assert told == [line for line, cell in cells.items() if cell == "soon"]
    document, _ = merged(*ROWS, newest=cells, profile=NEWEST, Name="first")
    assert value(document, "first_name") == "A"


def test_a_mapped_column_is_read_as_it_is_mapped() -> None:
    """With its format: 02/05 is the second of May here."""
    rows = {"format": "%d/%m/%Y", "type": "date", "to": "properties.updated"}
    mapping = parse_mapping(
        {"columns": {"Id": "external_id", "Name": "first_name", "At": rows}, "profile": {"newest_by": "At"}}
    )
    cells = {"Id": ["1", "1"], "Name": ["A", "B"], "At": ["02/05/2024", "01/12/2023"]}
    _, transformed = both(mapping, frame(cells))
    resolution = resolve_duplicates(transformed.records, "merge", mapping, dict(enumerate(cells["At"], start=2)))
    kept = resolution.replaced[0] if resolution.replaced else transformed.records[0]
    assert orjson.loads(kept.body)["attributes"]["first_name"] == "A"
    assert not [issue for issue in resolution.issues if issue.code == "newest-unreadable"]


def test_a_merge_names_its_lines_and_the_columns_that_differ() -> None:
    """Not those that one line leaves empty, nor an e-mail in other case."""
    _, resolution = merged(
        {"Mail": "a@shop.de", "Name": "A", "City": "Bonn", "Tags": "x"},
        {"Mail": "A@shop.de", "Name": "B", "Points": "1", "Tags": "y"},
    )
    assert resolution.merges == (Merge(2, (3,), ("Name", "Tags")),)


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"columns": {**columns(Likes="sum")}}, 'merge = "sum" is for type = integer or decimal or money, not "list"'),
        ({"columns": {**columns(Name="union")}}, 'merge = "union" is for type = list, not "text"'),
        ({"columns": {**columns(Mail="longest")}}, 'merge = "longest" cannot be used on email'),
        ({"columns": {**columns(Tags="union")}}, "always add up"),
        ({"columns": {**columns(Name="newest")}}, "needs newest_by"),
        ({"columns": {**columns(Name="first")}, "profile": {"duplicates": "last"}}, "merge of a column does nothing"),
        ({"columns": columns(), "profile": {"duplicates": "reject", "newest_by": "X"}}, "newest_by does nothing"),
    ],
)
def test_rules_that_do_not_fit_are_refused(document: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=r"my\.toml") as caught:
        parse_mapping(document, where="my.toml")
    assert says in caught.value.message


# --- what holds for any rows ------------------------------------------------------------------------------------------

AMOUNTS = st.lists(
    st.one_of(
        st.integers(-(10**20), 10**20),
        st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**12), max_value=10**12).map(float),
        st.decimals(allow_nan=False, allow_infinity=False, places=9).map(lambda number: format(number, "f")),
    ),
    min_size=1,
    max_size=6,
)


@given(AMOUNTS, st.integers(0, 5), st.randoms(use_true_random=False))
def test_a_sum_does_not_depend_on_order_or_grouping(values: list[Any], cut: int, chance: random.Random) -> None:
    """As exact as paper: the same by any road, however the lines come."""
    whole, exact = total(values)
    assert total(chance.sample(values, len(values))) == (whole, exact)
    parts = [part for part in (values[:cut], values[cut:]) if part]
    assert total([total(part)[0] for part in parts]) == (whole, exact)
    texts = [repr(one) if isinstance(one, float) else str(one) for one in values]
    assert Fraction(str(whole)) == sum(map(Fraction, texts))


LISTS = st.lists(st.lists(st.sampled_from(["a", "b", 1, 1.0, True, "1"]), max_size=4), min_size=1, max_size=5)


@given(LISTS, st.integers(0, 4))
def test_a_union_does_not_depend_on_grouping(lists: list[list[Any]], cut: int) -> None:
    def union(parts: list[Any]) -> Any:
        return merged_value("union", "list", dict(enumerate(parts)), ())[0]

    whole = union(lists)
    halves = [union(part) for part in (lists[:cut], lists[cut:]) if part]
    assert orjson.dumps(union(halves)) == orjson.dumps(whole)
    texts = [orjson.dumps(item) for item in whole]
    assert sorted(texts) == sorted({orjson.dumps(item) for part in lists for item in part})


PEOPLE = st.lists(
    st.fixed_dictionaries(
        {
            "Mail": st.sampled_from(["", "a@shop.de", "A@shop.de", "b@shop.de", "c@shop.de"]),
            "Phone": st.sampled_from(["", "", P, Q]),
            "Id": st.sampled_from(["", "", "1", "2"]),
            "Name": st.sampled_from(["", "Ann", "Bob"]),
            "Spent": st.sampled_from(["", "0.1", "0.2", "12"]),
            "Likes": st.sampled_from(["", "x", "x;y", "z"]),
            "Tags": st.sampled_from(["", "t", "u;t"]),
            "At": st.sampled_from(["", "2024-05-01", "2024-05-02", "no date"]),
        }
    ).filter(lambda row: row["Mail"] or row["Phone"] or row["Id"]),
    min_size=1,
    max_size=9,
)
RULES: dict[str, MergeRule] = {"Spent": "sum", "Likes": "union", "Name": "newest"}


def staged(store: Store, rows: list[dict[str, str]], cuts: list[int]) -> tuple[Any, ...]:
    """Stage rows in chunks that end at ``cuts``; return everything that state holds of them."""
    mapping = parse_mapping({"columns": columns(**RULES), "profile": {"newest_by": "At"}})
    run = begin(store)
    headers = list(dict.fromkeys([*mapping.columns, "At"]))
    whole = frame({name: [row.get(name, "") for row in rows] for name in headers})
    validator, transformer = Validator(mapping, tuple(headers)), Transformer(mapping)
    edges = sorted({0, *cuts, len(rows)})
    for first, last in pairwise(edges):
        chunk = Chunk(whole.iloc[first:last])
        validated = validator.validate(chunk.frame)
        store.staging.add_chunk(run, chunk, validated, transformer.transform(validated.frame))
    for candidates in store.duplicates.candidates(run):
        newest = store.source_rows.cells(run, "At", [record.line for record in candidates])
        assert newest == {record.line: rows[record.line - 2]["At"] for record in candidates}
        store.duplicates.apply(run, resolve_duplicates(candidates, "merge", mapping, newest))
    outcomes = list(store.rows.outcomes(run))
    lines = [line for line, outcome, _ in outcomes if outcome is None]
    merges = store.duplicates.merge_summary(run, 100)
    assert (
        merges.lines
        == sum(outcome == "duplicate" for _, outcome, _ in outcomes)
        == len(list(store.rows.primaries(run)))
    )
    assert [line for line, _, _ in outcomes] == list(range(2, 2 + len(rows)))
    assert dict(merges.fields) == Counter(name for merge in merges.first for name in merge.fields)
    found = (
        outcomes,
        store.records.bodies(run, lines) if lines else [],
        list(store.rows.primaries(run)),
        merges,
        sorted(map(str, store.issues.all(run))),
    )
    store.runs.discard(run)
    return found


@settings(max_examples=examples(8), deadline=None)
@given(PEOPLE, st.lists(st.integers(1, 8), max_size=4))
def test_a_merge_does_not_depend_on_chunks(rows: list[dict[str, str]], cuts: list[int]) -> None:
    """Nor does any line get lost in it, whatever the chunks it came in."""
    with TemporaryDirectory() as folder, Store.open(Path(folder) / "state.db", clock=FakeClock()) as store:
        whole = staged(store, rows, [])
        assert staged(store, rows, [cut for cut in cuts if cut < len(rows)]) == whole


@settings(max_examples=examples(25), deadline=None)
@given(PEOPLE)
def test_nobody_loses_a_phone_to_a_rejected_line(rows: list[dict[str, str]]) -> None:
    """Who is warned of it names a line that is imported, and has the phone."""
    mapping = parse_mapping({"columns": columns()})
    cells = {name: [row.get(name, "") for row in rows] for name in mapping.columns}
    _, transformed = both(mapping, frame(cells))
    found: dict[int, Record] = {record.line: record for record in transformed.records}
    resolution = resolve_duplicates(list(found.values()), "reject", mapping)
    left = {line: record for line, record in found.items() if line not in resolution.rejected}
    left |= {record.line: record for record in resolution.replaced}
    phones = {record.phone_number for record in left.values()}
    for line in left:
        assert found[line].phone_number in phones, f"line {line} lost its phone to nobody"
    for issue in resolution.issues:
        if issue.code == "phone-shared":
            owner = int(issue.detail.removeprefix("line "))
            assert left[owner].phone_number == found[issue.line].phone_number
        assert issue.severity is Severity.WARNING or issue.line in resolution.rejected
    held = [record.phone_number for record in left.values() if record.phone_number]
    assert len(held) == len(set(held))


def test_a_phone_stays_with_the_first_line_that_is_imported() -> None:
    """Lines 2 and 3 are one person and rejected; the phone is line 4's then, and line 5 loses it to line 4."""
    mapping = parse_mapping({"columns": columns()})
    rows = [("a@shop.de", P), ("a@shop.de", ""), ("b@shop.de", P), ("c@shop.de", P)]
    cells = {name: [""] * 4 for name in mapping.columns} | {
        "Mail": [row[0] for row in rows],
        "Phone": [row[1] for row in rows],
    }
    _, transformed = both(mapping, frame(cells))
    resolution = resolve_duplicates(transformed.records, "reject", mapping)
    assert resolution.rejected == (2, 3)
    assert [(issue.line, issue.detail) for issue in resolution.issues if issue.code == "phone-shared"] == [
        (5, "line 4")
    ]
    assert [record.line for record in resolution.replaced] == [5]


def test_the_report_names_merges_without_a_value(desk: ImporterFixture) -> None:
    """In every form; the column that decides need not be sent."""
    desk.mapping = {"columns": {"Id": "external_id", "Name": "first_name"}, "profile": {"newest_by": "Updated At"}}
    rows = [("1", "Anna", "2024-05-02"), ("2", "Bob", ""), ("1", "Annabel", "2024-05-01"), ("2", "Bobby", "soon")]
    desk.write(rows, ("Id", "Name", "Updated At"))
    report = pipeline.check(desk.source, desk.mapping, context=desk.context)
    assert report.merges.people == report.merges.lines == 2
    assert report.merges.fields == (("Name", 2),)
    assert report.merges.shown == (Merge(2, (4,), ("Name",)), Merge(3, (5,), ("Name",)))
    assert [(group.code, group.lines, group.column) for group in report.issues if group.code.startswith("newest")] == [
        ("newest-unreadable", (5,), "Updated At")
    ]
    text, page = render_text(report), render_html(report)
    assert "Several lines of one person (2 people, 2 lines more)" in text
    assert "differing: Name (2)" in text
    assert "Several lines of one person" in page
    assert not any(name in text + page for name in ("Annabel", "Bobby"))
    desk.run()
    names = {
        profile["external_id"]: profile["first_name"] for profile in map(orjson.loads, desk.sandbox.dump().splitlines())
    }
    assert names == {"1": "Anna", "2": "Bobby"}
    desk.mapping["profile"] = {"newest_by": "Changed"}
    with pytest.raises(ConfigError, match="no column 'Changed'"):
        pipeline.check(desk.source, desk.mapping, context=desk.context)
