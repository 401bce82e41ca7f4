"""Records: where values go, what is left out, and that equal profiles give equal bytes."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.config import Mapping, parse_mapping
from etl.model import Record, Severity, Stage
from etl.transform import Transformer
from etl.transform.cells.numbers import parse_money, to_json
from etl.transform.record import MAX_PROFILE_BYTES
from tests.support.docs_tables import both, frame


def record(columns: dict[str, Any], cells: dict[str, str], **sections: Any) -> Record:
    """Return the record of one row; every column must be given."""
    _, transformed = both(parse_mapping({"columns": columns, **sections}), frame({k: [v] for k, v in cells.items()}))
    (only,) = transformed.records
    return only


COLUMNS: dict[str, Any] = {
    "Mail": "email",
    "Phone": "phone_number",
    "Id": "external_id",
    "First": "first_name",
    "City": "location.city",
    "Lat": "location.latitude",
    "Vip": {"to": "properties.vip", "type": "boolean"},
    "Dotted": "properties.a.b",
    "Spent": {"to": "$value", "type": "money"},
    "Lists": {"to": "list", "type": "list", "separator": ";"},
}
CELLS = {
    "Mail": "Ann@shop.de",
    "Phone": "+447911123456",
    "Id": "007",
    "First": "Ann",
    "City": "Köln",
    "Lat": "50.9",
    "Vip": "no",
    "Dotted": "x",
    "Spent": "$0.00",
    "Lists": "Big; News;Big",
}


def test_every_target_finds_its_place() -> None:
    """Attributes, location, properties, ``$value``; the list column routes the row and is no field."""
    found = record(COLUMNS, CELLS)
    assert orjson.loads(found.body) == {
        "attributes": {
            "email": "Ann@shop.de",
            "phone_number": "+447911123456",
            "external_id": "007",
            "first_name": "Ann",
            "location": {"city": "Köln", "latitude": 50.9},
            # A dot after "properties." is part of the name: Klaviyo's properties are flat.
            "properties": {"vip": False, "a.b": "x", "$value": 0.0},
        }
    }
    assert found.lists == ("Big", "News")
    assert (found.line, found.email, found.phone_number, found.external_id, found.clears) == (
        2, "Ann@shop.de", "+447911123456", "007", False,
    )  # fmt: skip


def test_empty_cells_are_not_there_at_all() -> None:
    """No empty strings, no nulls, no empty location or properties."""
    assert record(COLUMNS, dict.fromkeys(CELLS, "") | {"Id": "7"}).body == b'{"attributes":{"external_id":"7"}}'


def test_value_goes_to_the_property_the_mapping_names() -> None:
    """``value_property`` renames ``$value``."""
    found = record(COLUMNS, CELLS, profile={"value_property": "lifetime_value"})
    assert orjson.loads(found.body)["attributes"]["properties"]["lifetime_value"] == 0.0


@pytest.mark.parametrize("seed", range(5))
def test_equal_profiles_give_equal_bytes_whatever_the_order_of_columns(seed: int) -> None:
    """Neither the mapping's order nor the file's shows in body, fingerprint or identity."""
    chance = random.Random(seed)
    names = chance.sample(list(COLUMNS), len(COLUMNS))
    again = record({name: COLUMNS[name] for name in names}, dict(chance.sample(list(CELLS.items()), len(CELLS))))
    assert again == record(COLUMNS, CELLS)


def test_json_cells_are_canonical_too() -> None:
    """Blanks and the order of keys inside a JSON cell do not make another profile."""
    columns = {"Mail": "email", "Data": {"to": "properties.data", "type": "json"}}
    first = record(columns, {"Mail": "a@shop.de", "Data": '{"b": 1, "a": {"d": 2, "c": 3}}'})
    second = record(columns, {"Mail": "a@shop.de", "Data": '{"a":{"c":3,"d":2},"b":1}'})
    assert first == second


def test_the_fingerprint_tells_apart_what_klaviyo_would() -> None:
    """``true``, ``1``, ``"1"``, ``"true"``, an empty text, a null, no field, and another list all differ."""

    def of(cell: str, **rule: Any) -> bytes:
        rule.setdefault("type", "text")
        columns = {"Mail": "email", "X": {"to": "properties.x", **rule}}
        return record(columns, {"Mail": "a@shop.de", "X": cell}).fingerprint

    routed = record({"Mail": "email", "X": {"to": "list"}}, {"Mail": "a@shop.de", "X": "News"}).fingerprint
    prints = [
        of("1", type="boolean"),
        of("1", type="integer"),
        of("1"),
        of("true"),
        of("", write="always"),
        of("", write="clear_if_blank"),
        of(""),
        routed,
    ]
    assert len(set(prints)) == len(prints)


@pytest.mark.parametrize(
    ("key", "same"),
    [
        (["external_id", "email"], {"Mail": "other@shop.de"}),
        (["email", "external_id"], {"Id": "8", "Mail": "ANN@shop.de"}),
        (["phone_number"], {"Id": "8", "Mail": "other@shop.de"}),
    ],
)
def test_identity_is_the_first_identifier_of_the_key(key: list[str], same: dict[str, str]) -> None:
    """Other identifiers do not count, nor the case of an e-mail."""
    base = record(COLUMNS, CELLS, profile={"key": key})
    assert record(COLUMNS, CELLS | same, profile={"key": key}).identity == base.identity
    changed = {"external_id": {"Id": "9"}, "email": {"Mail": "z@shop.de"}, "phone_number": {"Phone": "+447911123457"}}
    assert record(COLUMNS, CELLS | changed[key[0]], profile={"key": key}).identity != base.identity


def test_a_row_without_the_keys_identifier_still_has_an_identity() -> None:
    """The mapping's key may leave out the only one a row has; two such rows stay apart."""
    bare = dict.fromkeys(CELLS, "")
    one = record(COLUMNS, bare | {"Id": "1"}, profile={"key": ["email"]})
    two = record(COLUMNS, bare | {"Id": "2"}, profile={"key": ["email"]})
    assert one.identity != two.identity


def test_a_null_is_announced() -> None:
    """``clears`` is what tells the loader that a bulk job cannot do it."""
    columns = {"Mail": "email", "City": {"to": "location.city", "write": "clear_if_blank"}}
    cleared = record(columns, {"Mail": "a@shop.de", "City": ""})
    assert cleared.body == b'{"attributes":{"email":"a@shop.de","location":{"city":null}}}'
    assert cleared.clears
    assert not record(columns, {"Mail": "a@shop.de", "City": "Bonn"}).clears


def test_a_profile_over_klaviyos_limit_is_refused_here() -> None:
    """It would cost its whole batch; the last one that fits passes."""
    mapping = parse_mapping({"columns": {"Mail": "email", "Note": "properties.note"}})
    room = MAX_PROFILE_BYTES - len(b'{"attributes":{"email":"a@shop.de","properties":{"note":""}},"type":"profile"}')
    _, transformed = both(
        mapping, frame({"Mail": ["a@shop.de"] * 3, "Note": ["x" * room, "x" * (room + 1), "ä" * room]})
    )
    assert [each.line for each in transformed.records] == [2]
    assert transformed.rejected == {3, 4}
    assert [(each.line, each.code, each.stage, each.severity) for each in transformed.issues] == [
        (line, "profile-too-large", Stage.TRANSFORM, Severity.ERROR) for line in (3, 4)
    ]


def test_issues_repeat_for_every_line_of_a_repeated_cell() -> None:
    """A cell is judged once per chunk, but each row is told."""
    mapping = parse_mapping({"columns": {"Mail": "email", "Vip": {"to": "properties.vip", "type": "boolean"}}})
    _, transformed = both(mapping, frame({"Mail": ["a@shop.de"] * 3, "Vip": ["maybe", "yes", "maybe"]}))
    assert [(each.line, each.code, each.column) for each in transformed.issues] == [
        (2, "boolean-invalid", "Vip"),
        (4, "boolean-invalid", "Vip"),
    ]


def amounts() -> st.SearchStrategy[Decimal]:
    return st.decimals("-1e12", "1e12", places=2)


@given(
    amounts(),
    st.sampled_from([",", ".", " ", "\u00a0", "'", ""]),
    st.sampled_from(["$", "€", "CHF ", ""]),
    st.booleans(),
)
def test_money_is_exact_however_it_is_written(amount: Decimal, group: str, unit: str, brackets: bool) -> None:  # noqa: FBT001 - drawn
    """Every amount of cents survives grouping, symbols and brackets; JSON holds it to the cent."""
    point = "," if group == "." else "."
    digits = f"{abs(amount):,.2f}".replace(",", "\0").replace(".", point).replace("\0", group)
    sign = "-" if amount < 0 else ""
    text = f"({unit}{digits})" if brackets and amount < 0 else f"{sign}{unit}{digits}"
    parsed = parse_money(text, "," if point == "," else ".")
    assert parsed == amount
    written = to_json(parsed)
    assert written.exact
    assert Decimal(repr(written.value)) == amount


@settings(deadline=None)
@given(st.lists(st.text("ab1,; ", max_size=4), min_size=1, max_size=8), st.integers(0, 8))
def test_chunks_do_not_show_in_records(cells: list[str], cut: int) -> None:
    """Two chunks give the records and issues of one."""
    mapping: Mapping = parse_mapping(
        {"columns": {"Id": "external_id", "X": {"to": "properties.x", "type": "integer"}, "Y": "properties.y"}}
    )
    rows = {"Id": [str(number) for number in range(len(cells))], "X": cells, "Y": cells[::-1]}
    validated, whole = both(mapping, frame(rows))
    parts = [Transformer(mapping).transform(validated.frame.iloc[span]) for span in (slice(cut), slice(cut, None))]
    assert tuple(whole.records) == tuple(parts[0].records) + tuple(parts[1].records)
    by_line = sorted((*parts[0].issues, *parts[1].issues), key=lambda issue: issue.line)
    assert sorted(whole.issues, key=lambda issue: issue.line) == by_line
