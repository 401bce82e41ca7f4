"""Whatever stands in the cells: nothing raises, and every line comes out exactly once."""

from __future__ import annotations

import random
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.codes import CODES
from etl.config import parse_mapping
from etl.model import Severity
from etl.transform import Transformer
from etl.validate import Validator
from tests.support.docs_tables import frame
from tests.support.effort import FULL, examples

HOSTILE = [
    "", " ", "\x00", "\x00a@b.de", "\u202eann@shop.de", "a" * 70_000, "@" * 5_000, "+" * 5_000, "(" * 5_000,
    "[" * 2_000, "9" * 60_000, "1 " * 30_000, "1," * 30_000, "1 234 " * 9_000,
    "0." + "1" * 60_000, "12:30" + " " * 60_000 + "x",
    "-" + "9" * 40, "1e999", "1e-999", "-.e", "1.e5", ".", ",", "nan", "inf", "-0", "=1+1",
    "'", '"', "\\", "<script>", "Robert'); DROP TABLE rows;--", "%s%n", "${jndi:ldap://x}", "\ufeff", "\ud7ff",
    "\U0010ffff", "😀" * 300, "é" * 300, "NaN", "null", "None", "true", "٣", "²", "Ⅷ", "\uff11\uff12", "2025-02-30",
    "24:00", "12:30", "00:00", "0001-01-01 00:00 +14:00", "9999-12-31T23:59:59-14:00", "2025-04-03T12:00:00+99:99",
    "0001-01-01 00:00", "[1e400]", '{"a":' * 400, "[" * 300 + "]" * 300, "[" * 150 + "]" * 150,
    '{"a": [1, {"b": null}]}',
    "[]", "{}", "http://[", "https://x:y", "::1%eth0", "256.1.1.1", "en-" * 500, "../../etc", "a@b.de, c@d.de",
    "x@x.com", "\r\n", "a\nb", "4.41E+11", "00 44 7911 123456", ";;;", "Rs.", "$", "()", "(((1)))",
]  # fmt: skip
SHAPED = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    st.text("0123456789.,-+() eE$€'/:TZ%[]{}\"x", max_size=24),
    st.from_regex(r"\A[\w.+-]{1,12}@[\w-]{1,12}\.[a-z]{2,4}\Z"),
    st.datetimes().map(str),
    st.floats().map(repr),
)

RULES: dict[str, Any] = {
    "email": "email",
    "phone": {"to": "phone_number"},
    "id": "external_id",
    "name": {"to": "first_name", "pattern": "[^<>]*", "max_length": 40},
    "locale": {"to": "locale", "write": "clear_if_blank"},
    "image": "image",
    "lat": "location.latitude",
    "lon": {"to": "location.longitude", "write": "clear_if_blank"},
    "zone": "location.timezone",
    "ip": "location.ip",
    "plan": {"to": "properties.plan", "one_of": ["free", "pro"], "write": "always"},
    "integer": {"to": "properties.integer", "type": "integer", "min": 0},
    "decimal": {"to": "properties.decimal", "type": "decimal", "decimal": ","},
    "money": {"to": "$value", "type": "money"},
    "boolean": {"to": "properties.boolean", "type": "boolean"},
    "date": {"to": "properties.date", "type": "date", "write": "clear_if_blank"},
    "form": {"to": "properties.form", "type": "date", "format": "%d/%m/%y"},
    "moment": {"to": "properties.moment", "type": "datetime", "timezone": "America/New_York"},
    "formed": {"to": "properties.formed", "type": "datetime", "format": "%Y-%m-%d %H:%M:%S %z"},
    "tags": {"to": "properties.tags", "type": "list", "separator": ";", "write": "always"},
    "array": {"to": "properties.array", "type": "list"},
    "json": {"to": "properties.json", "type": "json"},
    "lists": {"to": "list", "type": "list"},
    "must": {"to": "properties.must", "type": "integer", "required": True},
}
MAPPING = parse_mapping({"defaults": {"country_column": "country", "timezone": "Europe/Paris"}, "columns": RULES})
HEADERS = (*RULES, "country")
VALIDATOR = Validator(MAPPING, HEADERS)
TRANSFORMER = Transformer(MAPPING)


def check(rows: dict[str, list[str]]) -> None:
    source = frame(rows)
    validated = VALIDATOR.validate(source)
    transformed = TRANSFORMER.transform(validated.frame)
    records = [record.line for record in transformed.records]
    assert sorted([*validated.rejected, *transformed.rejected, *records]) == list(source.index)
    assert records == sorted(records)
    assert list(validated.frame.index) == [line for line in source.index if line not in validated.rejected]
    issues = (*validated.issues, *transformed.issues)
    errors = {issue.line for issue in issues if issue.severity is Severity.ERROR}
    assert errors == validated.rejected | transformed.rejected
    for issue in issues:
        assert issue.code in CODES
        assert issue.line in source.index
        assert issue.column is None or issue.column in HEADERS
    for record in transformed.records:
        assert orjson.dumps(orjson.loads(record.body), option=orjson.OPT_SORT_KEYS) == record.body
        assert len(record.body) <= 100_000
        assert record.email or record.phone_number or record.external_id
        assert len(record.identity) == len(record.fingerprint) == 16


@pytest.mark.parametrize("column", HEADERS)
def test_hostile_cells_in_every_column(column: str) -> None:
    """Each odd cell in each column (a third of them in ``make test``): a verdict, never an exception."""
    odd = HOSTILE if FULL else HOSTILE[HEADERS.index(column) % 3 :: 3]
    rows = {name: [""] * len(odd) for name in HEADERS}
    rows["id"] = [f"k{number}" for number in range(len(odd))]
    rows["must"] = ["1"] * len(odd)
    rows[column] = odd
    check(rows)


@settings(max_examples=examples(5), deadline=None)
@given(st.lists(SHAPED, min_size=1, max_size=40), st.randoms(use_true_random=False))
def test_every_line_comes_out_exactly_once(cells: list[str], chance: random.Random) -> None:
    """As a record or as a rejected line with an error, whatever all its cells hold."""
    pool = [*cells, "", "ann@shop.de", "1"]
    check({name: chance.choices(pool, k=30) for name in HEADERS})


@settings(max_examples=examples(5), deadline=None)
@given(st.lists(st.tuples(SHAPED, SHAPED, SHAPED), min_size=2, max_size=6), st.integers(1, 5))
def test_verdicts_do_not_depend_on_the_chunk(cells: list[tuple[str, str, str]], cut: int) -> None:
    """A row is judged alone: two chunks give what one gives."""
    columns = [list(column) for column in zip(*cells, strict=True)]
    rows = {name: [""] * len(cells) for name in HEADERS} | dict(zip(("email", "phone", "plan"), columns, strict=True))
    source = frame(rows)
    whole = VALIDATOR.validate(source)
    parts = [VALIDATOR.validate(part) for part in (source.iloc[:cut], source.iloc[cut:])]
    assert whole.issues == parts[0].issues + parts[1].issues
    assert whole.rejected == parts[0].rejected | parts[1].rejected
