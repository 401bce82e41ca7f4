"""Columns of JSON give, byte for byte, what a dict per row and orjson give."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.config import parse_mapping
from etl.model import Record
from etl.records import Records
from etl.transform import Transformer
from tests.support.effort import FULL, examples
from tests.support.reference_transform import transform

COLUMNS: dict[str, dict[str, Any]] = {
    "Mail": {"to": "email"},
    "Phone": {"to": "phone_number"},
    "Id": {"to": "external_id"},
    "First": {"to": "first_name"},
    "Title": {"to": "title", "write": "clear_if_blank"},
    "Org": {"to": "organization", "write": "always"},
    "City": {"to": "location.city"},
    "Lat": {"to": "location.latitude", "write": "clear_if_blank"},
    'Q"': {"to": 'properties.q"\\ä'},
    "Vip": {"to": "properties.vip", "type": "boolean", "required": True},
    "Whole": {"to": "properties.whole", "type": "integer", "write": "clear_if_blank"},
    "Capped": {"to": "properties.capped", "type": "integer", "max": 99},
    "Amount": {"to": "properties.amount", "type": "decimal"},
    "Comma": {"to": "properties.comma", "type": "decimal", "decimal": ","},
    "Spent": {"to": "$value", "type": "money", "decimal": "."},
    "Day": {"to": "properties.day", "type": "date"},
    "Moment": {"to": "properties.moment", "type": "datetime"},
    "Tags": {"to": "properties.tags", "type": "list", "separator": ";", "write": "always"},
    "Data": {"to": "properties.data", "type": "json", "write": "clear_if_blank"},
    "Lists": {"to": "list", "type": "list", "separator": ";"},
    "Add": {"to": "properties.add", "type": "list", "separator": ";", "write": "append"},
    "More": {"to": "properties.a more", "type": "list", "write": "append", "required": True},
    "Off": {"to": "properties.off", "type": "list", "write": "remove"},
    "Gone": {"to": 'properties.gone"', "write": "unset_if_blank"},
    "Left": {"to": "properties.left", "type": "integer", "write": "unset_if_blank"},
}
AWKWARD = ('"', "\\", "\0", "\x1f", "\n", "\x7f", "ß", "İ", "Ⅷ", "🦄", "\u2028", "é", "</script>", "a;b", ";;", "null")
CELLS = (
    "yes",
    "no",
    "maybe",
    "2025-04-03",
    "03/04/2025",
    "2025-04-03T10:00:00Z",
    '{"b":1,"a":[{"d":2,"c":3}]}',
    "[]",
    "50.9",
    '["b","a","b",1,1.0,true]',
    "[1,{}]",
)
_NUMBERS = """
0 -0 0.0 -0.00 00 007 12 12. .5 0.10 1.50 -3.05 1e3 1,234.50 $5 9007199254740993 999999999 1234567890 0.01
123456789012 1234567890123 123456789.99 1234567890.25 123456789012.12
"""
NUMBERS = tuple(_NUMBERS.split())


def cells() -> st.SearchStrategy[str | None]:
    texts = st.one_of(st.sampled_from(["", *AWKWARD, *CELLS, *NUMBERS]), st.text(max_size=5), numbers())
    return st.none() | texts.filter(lambda text: not any("\ud800" <= letter <= "\udfff" for letter in text))


def numbers() -> st.SearchStrategy[str]:
    return st.from_regex(r"\A-?[0-9]{1,13}(\.[0-9]{0,3})?\Z")


def framed(rows: list[dict[str, str | None]], first: int = 2) -> pd.DataFrame:
    index = pd.Index(range(first, first + len(rows)), name="line", dtype="int64")
    return pd.DataFrame(rows, index=index, dtype="str")


def same(columns: dict[str, Any], frame: pd.DataFrame, **sections: Any) -> list[Record]:
    mapping = parse_mapping({"columns": columns, **sections})
    frame = frame[list(mapping.by_target)]
    found = Transformer(mapping).transform(frame)
    records, rejected, issues = transform(mapping, frame)
    assert list(found.records) == records
    assert found.rejected == rejected
    assert set(found.issues) == issues
    assert len(found.issues) == len(issues)
    return records


TARGETS = {rule["to"] for rule in COLUMNS.values()}


def rows() -> st.SearchStrategy[list[dict[str, str | None]]]:
    """Rows of anything, each with an external id; latitudes are numbers, as validation leaves them."""
    row = {target: cells() for target in TARGETS}
    row["location.latitude"] = st.sampled_from(["", None, "50.9", "1,5", "-0"])
    row["external_id"] = st.text('aß"\\1', min_size=1, max_size=3)
    return st.lists(st.fixed_dictionaries(row), max_size=6)


@settings(max_examples=examples(25))
@given(rows(), st.permutations(["email", "external_id", "phone_number"]), st.integers(1, 3))
def test_columns_give_what_rows_give(rows: list[dict[str, str | None]], key: list[str], keys: int) -> None:
    """Every type and write rule, any cell, any key: bodies, prints, identities, lists, refusals and issues."""
    frame = framed(rows) if rows else pd.DataFrame(dict.fromkeys(TARGETS, pd.Series([], dtype="str")))
    if not rows:
        frame.index = pd.Index([], name="line", dtype="int64")
    same(COLUMNS, frame, profile={"key": key[:keys]})


@settings(max_examples=examples(25))
@given(st.lists(numbers(), min_size=1, max_size=30))
def test_plain_numbers_are_written_as_doubles_are(texts: list[str]) -> None:
    columns = {name: COLUMNS[name] for name in ("Id", "Whole", "Amount", "Spent")}
    targets = [columns[name]["to"] for name in columns]
    same(columns, framed([dict.fromkeys(targets, text) for text in texts]))


MANY = 5_000 if FULL else 1_000


@pytest.mark.parametrize("seed", range(3))
def test_many_plain_numbers(seed: int) -> None:
    chance = random.Random(seed)
    texts = [f"{chance.choice(('', '-'))}{chance.randrange(10 ** chance.randrange(1, 10))}" for _ in range(MANY)]
    texts += [f"{text}.{chance.randrange(100):02d}" for text in texts] + [
        f"{text}.{chance.randrange(10)}" for text in texts
    ]
    columns = {name: COLUMNS[name] for name in ("Id", "Whole", "Amount", "Spent")}
    targets = [columns[name]["to"] for name in columns]
    assert len(same(columns, framed([dict.fromkeys(targets, text) for text in texts]))) == len(texts)


def test_rows_in_which_nothing_of_a_section_stands() -> None:
    """Arrow's join drops a row whose members are all null; a row must not be lost that way."""
    for city, region, plan in itertools.product(("", "x"), repeat=3):
        row: dict[str, str | None] = {
            "external_id": "1",
            "location.city": city,
            "location.region": region,
            "properties.plan": plan,
        }
        columns = {"I": "external_id", "C": "location.city", "R": "location.region", "P": "properties.plan"}
        assert len(same(columns, framed([row, {**row, "external_id": "2"}]))) == 2


def test_a_frame_that_was_cut_out_of_a_larger_one() -> None:
    """Arrow slices share their buffers: what stands beside the slice must not leak in."""
    columns = {"I": "external_id", "F": "first_name", "N": {"to": "properties.n", "type": "integer"}}
    whole = framed([{"external_id": str(n), "first_name": '"' * (n % 3), "properties.n": f"{n}"} for n in range(50)])
    for start, stop in ((0, 0), (0, 7), (13, 31), (49, 50)):
        same(columns, whole.iloc[start:stop])


def record(line: int, **more: Any) -> Record:
    return Record(line, b'{"attributes":{}}', bytes(16), bytes([line]) * 16, **more)


def test_records_as_columns_are_the_same_sequence() -> None:
    plain = [record(2), record(3, email="a@b.de", lists=("x", "y")), record(9, phone_number="+1", clears=True)]
    packed = Records.of(plain)
    assert list(packed) == plain
    assert [packed[0], packed[-1]] == [plain[0], plain[-1]]
    assert list(packed[1:]) == plain[1:]
    assert list(packed[::-2]) == plain[::-2]
    assert (len(packed), packed.lines, list(packed.take([2]))) == (3, [2, 3, 9], [plain[2]])
    assert Records.of(packed) is packed
    assert list(Records.of([])) == []
    with pytest.raises(IndexError):
        _ = packed[3]
