"""Lines of one person: merge, last, first, reject; chains; shared phones; and what holds for any rows."""

from __future__ import annotations

import random
from typing import Any, Literal

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.config import Mapping, parse_mapping
from etl.model import DedupeResolution, Record, Severity
from etl.transform import resolve_duplicates
from tests.support.docs_tables import both, frame
from tests.support.effort import examples

Rule = Literal["merge", "last", "first", "reject"]
RULES: tuple[Rule, ...] = ("merge", "last", "first", "reject")
MAPPING = parse_mapping(
    {
        "columns": {
            "Mail": "email",
            "Phone": "phone_number",
            "Id": "external_id",
            "Name": "first_name",
            "City": "location.city",
            "Note": {"to": "properties.location", "type": "json"},
            "Plan": {"to": "properties.plan", "write": "clear_if_blank"},
            "List": {"to": "list", "type": "list", "separator": ";"},
        }
    }
)
P, Q = "+447911123456", "+447911123457"


def records(*rows: dict[str, str], mapping: Mapping = MAPPING) -> list[Record]:
    """Return the records of rows from line 2 on; a cell not given is empty."""
    cells = {name: [row.get(name, "") for row in rows] for name in mapping.columns}
    _, transformed = both(mapping, frame(cells))
    assert len(transformed.records) == len(rows)
    return list(transformed.records)


def settled(rule: Rule, *rows: dict[str, str]) -> tuple[DedupeResolution, dict[int, dict[str, Any]]]:
    """Return the resolution, and the attributes of every line that is kept."""
    found = records(*rows)
    resolution = resolve_duplicates(found, rule, MAPPING)
    return resolution, {line: orjson.loads(each.body)["attributes"] for line, each in kept(found, resolution).items()}


def kept(found: list[Record], resolution: DedupeResolution) -> dict[int, Record]:
    gone = {line for line, _, _ in resolution.duplicates} | set(resolution.rejected)
    newer = {record.line: record for record in resolution.replaced}
    return {record.line: newer.get(record.line, record) for record in found if record.line not in gone}


TWO = (
    {"Mail": "ann@shop.de", "Id": "1", "Name": "Ann", "City": "Bonn", "Plan": "pro", "List": "A;B"},
    {"Mail": "ANN@shop.de", "Phone": P, "Name": "Anna", "List": "B;C"},
)


def test_merge_takes_field_by_field_the_last_value_that_is_there() -> None:
    """The first line stays; what a later line leaves empty, or would clear, does not undo a value; lists add up."""
    resolution, left = settled("merge", *TWO)
    assert left == {
        2: {
            "email": "ANN@shop.de",
            "external_id": "1",
            "phone_number": P,
            "first_name": "Anna",
            "location": {"city": "Bonn"},
            "properties": {"plan": "pro"},
        }
    }
    assert resolution.duplicates == ((3, 2, "duplicate-merged"),)
    (merged,) = resolution.replaced
    assert merged.lists == ("A", "B", "C")
    assert not merged.clears
    assert [(each.line, each.code, each.detail, each.severity) for each in resolution.issues] == [
        (3, "duplicate-merged", "line 2", Severity.WARNING)
    ]


@pytest.mark.parametrize(("rule", "line", "other"), [("first", 2, 3), ("last", 3, 2)])
def test_first_and_last_keep_their_line_as_it_is(rule: Rule, line: int, other: int) -> None:
    """Nothing of the other line is taken over."""
    resolution, left = settled(rule, *TWO)
    assert list(left) == [line]
    assert resolution.replaced == ()
    assert resolution.duplicates == ((other, line, "duplicate-dropped"),)


def test_reject_refuses_all_lines_of_the_person() -> None:
    """Each names the others, as an error."""
    resolution, left = settled("reject", *TWO, {"Mail": "bob@shop.de"})
    assert list(left) == [4]
    assert resolution.rejected == (2, 3)
    assert [(each.line, each.code, each.detail, each.severity) for each in resolution.issues] == [
        (2, "duplicate-rejected", "line 3", Severity.ERROR),
        (3, "duplicate-rejected", "line 2", Severity.ERROR),
    ]


@pytest.mark.parametrize(
    "rows",
    [
        ({"Mail": "a@shop.de"}, {"Mail": "A@shop.de"}),
        ({"Id": "1"}, {"Id": "1", "Mail": "a@shop.de"}),
        ({"Phone": P}, {"Phone": P}),
        ({"Phone": P}, {"Phone": P, "Mail": "a@shop.de"}),
        ({"Phone": P, "Id": "1"}, {"Phone": P, "Mail": "a@shop.de"}),
        ({"Mail": "a@shop.de"}, {"Mail": "a@shop.de", "Phone": P}, {"Phone": P}),
        ({"Phone": P}, {"Mail": "a@shop.de", "Phone": P}, {"Mail": "a@shop.de", "Id": "1"}, {"Id": "1"}),
        ({"Mail": "a@shop.de", "Id": "1"}, {"Mail": "b@shop.de", "Id": "1"}, {"Mail": "b@shop.de"}),
    ],
    ids=["email", "id", "phone", "phone and e-mail", "id and e-mail by phone", "chain", "long chain", "two e-mails"],
)
def test_one_person_becomes_one_line(rows: tuple[dict[str, str], ...]) -> None:
    """By any identifier and along chains, whatever order the lines are in."""
    for order in (rows, rows[::-1]):
        resolution, left = settled("merge", *order)
        assert list(left) == [2]
        assert [line for line, keeper, _ in resolution.duplicates if keeper == 2] == list(range(3, 2 + len(rows)))


@pytest.mark.parametrize("rule", RULES)
def test_a_phone_shared_by_two_e_mails_stays_with_the_first_line(rule: Rule) -> None:
    """Two people in one household: both are kept, the later one without the phone, and it says so."""
    resolution, left = settled(rule, {"Mail": "a@shop.de", "Phone": P}, {"Mail": "b@shop.de", "Phone": P, "Name": "B"})
    blank = {"properties": {"plan": None}}
    assert left == {
        2: {"email": "a@shop.de", "phone_number": P, **blank},
        3: {"email": "b@shop.de", "first_name": "B", **blank},
    }
    (issue,) = resolution.issues
    assert (issue.line, issue.code, issue.column, issue.detail, issue.severity) == (
        3, "phone-shared", "Phone", "line 2", Severity.WARNING,
    )  # fmt: skip
    (replaced,) = resolution.replaced
    assert replaced.phone_number is None


def test_people_who_differ_in_external_id_do_not_merge_over_a_phone() -> None:
    """Two ids are two people, even where only one has an e-mail."""
    _, left = settled("merge", {"Id": "1", "Phone": P}, {"Id": "2", "Phone": P}, {"Id": "3", "Phone": P})
    assert [attributes.get("phone_number") for attributes in left.values()] == [P, None, None]


def test_merged_lines_that_disagree_on_an_identifier_say_so() -> None:
    """Same id, two e-mails: the last is used, with a warning on the kept line."""
    resolution, left = settled("merge", {"Mail": "a@shop.de", "Id": "1"}, {"Mail": "b@shop.de", "Id": "1"})
    assert left[2]["email"] == "b@shop.de"
    warned = [(each.line, each.code, each.column, each.detail) for each in resolution.issues]
    assert (2, "identifier-conflict", "Mail", "lines 2, 3") in warned


def test_a_json_property_is_replaced_whole_whatever_its_name() -> None:
    """A property called ``location`` is no location; a list in it may be followed by an object."""
    _, left = settled("merge", {"Id": "1", "Note": '[1, {"x": 1}]'}, {"Id": "1", "Note": '{"a": 1}'})
    assert left[2]["properties"]["location"] == {"a": 1}
    _, left = settled("merge", {"Id": "1", "Note": '{"a": 1}'}, {"Id": "1", "Note": '{"b": 2}'})
    assert left[2]["properties"]["location"] == {"b": 2}


def test_what_all_lines_clear_stays_cleared() -> None:
    """A null is kept where no line has a value; the merged record announces it."""
    resolution, left = settled("merge", {"Id": "1"}, {"Id": "1"})
    assert left[2]["properties"] == {"plan": None}
    assert all(record.clears for record in resolution.replaced)


def test_a_merge_that_grows_over_klaviyos_limit_is_refused() -> None:
    """Each line alone would fit; the error is on both."""
    columns = {"Mail": "email", "A": "properties.a", "B": "properties.b"}
    mapping = parse_mapping({"columns": columns})
    long = "x" * 60_000
    found = records({"Mail": "a@shop.de", "A": long}, {"Mail": "a@shop.de", "B": long}, mapping=mapping)
    resolution = resolve_duplicates(found, "merge", mapping)
    assert resolution.rejected == (2, 3)
    assert [(each.line, each.code, each.severity) for each in resolution.issues] == [
        (line, "profile-too-large", Severity.ERROR) for line in (2, 3)
    ]


def test_strangers_are_left_alone() -> None:
    """No identifier shared, nothing to say; nor for nobody at all."""
    assert settled("merge", {"Mail": "a@shop.de"}, {"Id": "1"}, {"Phone": P})[0] == DedupeResolution()
    assert resolve_duplicates([], "merge", MAPPING) == DedupeResolution()


PEOPLE = st.lists(
    st.fixed_dictionaries(
        {
            "Mail": st.sampled_from(["", "", "a@shop.de", "A@shop.de", "b@shop.de", "c@shop.de"]),
            "Phone": st.sampled_from(["", "", P, Q, "+447911123458"]),
            "Id": st.sampled_from(["", "", "1", "2", "3"]),
            "Name": st.sampled_from(["", "Ann", "Bob"]),
        }
    ).filter(lambda row: row["Mail"] or row["Phone"] or row["Id"]),
    min_size=1,
    max_size=12,
)


def identifiers(record: Record) -> set[tuple[str, str]]:
    mail = record.email.lower() if record.email else None
    pairs = (("email", mail), ("phone", record.phone_number), ("id", record.external_id))
    return {(name, value) for name, value in pairs if value}


@settings(max_examples=examples(25), deadline=None)
@given(PEOPLE, st.sampled_from(RULES), st.randoms(use_true_random=False))
def test_whatever_the_rows(rows: list[dict[str, str]], rule: Rule, chance: random.Random) -> None:
    """One fate per line, no identifier kept twice, none invented, and neither order nor strangers matter."""
    found = records(*rows)
    resolution = resolve_duplicates(found, rule, MAPPING)
    lines = [record.line for record in found]
    left = kept(found, resolution)

    merged_away = [line for line, _, _ in resolution.duplicates]
    assert sorted([*merged_away, *resolution.rejected, *left]) == lines
    assert {keeper for _, keeper, _ in resolution.duplicates} <= set(left)
    assert {record.line for record in resolution.replaced} <= set(left)
    errors = {issue.line for issue in resolution.issues if issue.severity is Severity.ERROR}
    assert errors == set(resolution.rejected)

    seen: set[tuple[str, str]] = set()
    for record in left.values():
        assert identifiers(record)
        assert not identifiers(record) & seen
        seen |= identifiers(record)
    everything = set().union(*map(identifiers, found))
    assert seen <= everything
    shuffled = chance.sample(found, len(found))
    assert resolve_duplicates(shuffled, rule, MAPPING) == resolution
    shared = [
        record
        for record in found
        if any(identifiers(record) & identifiers(other) for other in found if other is not record)
    ]
    assert resolve_duplicates(shared, rule, MAPPING) == resolution
    assert resolve_duplicates(list(left.values()), rule, MAPPING) == DedupeResolution()
