"""The same customers from eight kinds of source end as the same records, to the byte."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import openpyxl
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from etl import pipeline
from etl.model import Outcome
from etl.state.records.read import read_records
from tests.support.databases import Database, opened
from tests.support.effort import FULL

COUNT = 5_000 if FULL else 1_200


class Customer(NamedTuple):
    """A row, in the types that a database has. ``None`` is NULL, which is not the empty text."""

    id: str
    email: str | None
    phone: str | None
    first: str | None
    last: str
    zip: str | None
    country: str
    spent: Decimal | None
    points: int
    rating: float | None
    vip: bool | None
    born: date | None
    seen: datetime
    tags: str


COLUMNS: dict[str, Any] = {
    "id": "external_id",
    "email": "email",
    "phone": "phone_number",
    "first": "first_name",
    "last": "last_name",
    "zip": "location.zip",
    "country": "location.country",
    "spent": {"to": "$value", "type": "money", "decimal": "."},
    "points": {"to": "properties.points", "type": "integer"},
    "rating": {"to": "properties.rating", "type": "decimal"},
    "vip": {"to": "properties.vip", "type": "boolean"},
    "born": {"to": "properties.born", "type": "date"},
    "seen": {"to": "properties.seen", "type": "datetime"},
    "tags": {"to": "properties.tags", "type": "list", "separator": ";"},
}
MAPPING: dict[str, Any] = {"columns": COLUMNS, "defaults": {"country_column": "country", "timezone": "UTC"}}
TYPES = {
    **dict.fromkeys(("id", "email", "phone", "first", "last", "zip", "country", "tags"), "VARCHAR(100)"),
    "spent": "DECIMAL(12,2)",
    "points": "BIGINT",
    "rating": "DOUBLE PRECISION",
    "vip": "BOOLEAN",
    "born": "DATE",
}
MOMENT = {"sqlite": "TEXT", "postgresql": "TIMESTAMPTZ", "mariadb": "DATETIME", "duckdb": "TIMESTAMPTZ"}
FIRST = (
    "Ann",
    "José",
    "Zoë",
    "Łukasz",
    "Đặng",
    "山田",
    "Мария",
    "محمد",
    "O'Brien",
    "Anne-Marie",
    'Ann "Annie"',
    "NA",
    "null",
)
LAST = ("Müller", "de la Cruz", "Smith, Jr.", "Ōe", "Σίσυφος", "Null", "Ann 👩‍💻", "two\nlines", " Blank ")


def customers(count: int) -> list[Customer]:
    dice = random.Random(5)

    def maybe(value: Any, empty: Any = None, share: float = 0.1) -> Any:
        return empty if dice.random() < share else value

    return [
        Customer(
            id=f"{number:07d}",
            email=maybe(maybe(f"person{number}@mapleshop.com", "not an address", 0.02)),
            phone=maybe(maybe(maybe(f"+49151{20_000_000 + number}", "+4912", 0.02), "")),
            first=maybe(maybe(dice.choice(FIRST)), ""),
            last=dice.choice(LAST),
            zip=maybe(f"{dice.randrange(100_000):05d}"),
            country=dice.choice(("DE", "US", "JP")),
            spent=maybe(Decimal(dice.randrange(10_000_000)) / 100),
            points=dice.choice((0, -5, 12, 2**40)),
            rating=maybe(dice.choice((0.1, 4.5, 3.0, 1e-7, 0.333333333333333))),
            vip=maybe(dice.random() < 0.3),
            born=maybe(date(1950, 1, 1) + timedelta(days=dice.randrange(20_000))),
            # Every fortieth at midnight, which a workbook does not tell from the date.
            seen=datetime(2024, 2, 29, tzinfo=UTC) + timedelta(seconds=dice.randrange(86_400) if number % 40 else 0),
            tags=";".join(dice.sample(("vip", "b2b", "été", "50% off"), dice.randrange(4))),
        )
        for number in range(count)
    ]


# --- eight ways to keep them ------------------------------------------------------------------------------------------

Way = Callable[[Path, list[Customer]], tuple[Any, dict[str, Any]]]
"""Writes the customers into a folder; returns the source and what the mapping says of it."""


def as_csv(folder: Path, people: list[Customer]) -> tuple[Any, dict[str, Any]]:
    with (folder / "people.csv").open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(Customer._fields)
        for one in people:
            writer.writerow(
                "" if cell is None else str(cell).lower() if cell is True or cell is False else cell for cell in one
            )
    return folder / "people.csv", {}


def as_workbook(folder: Path, people: list[Customer]) -> tuple[Any, dict[str, Any]]:
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet()
    sheet.append(Customer._fields)
    for one in people:
        sheet.append(one._replace(seen=one.seen.replace(tzinfo=None)))  # a workbook knows no zones
    book.save(folder / "people.xlsx")
    return folder / "people.xlsx", {}


def as_parquet(folder: Path, people: list[Customer]) -> tuple[Any, dict[str, Any]]:
    columns = zip(Customer._fields, zip(*people, strict=True), strict=True)
    pq.write_table(pa.table({name: pa.array(cells) for name, cells in columns}), folder / "people.parquet")
    return folder / "people.parquet", {}


def as_json_lines(folder: Path, people: list[Customer]) -> tuple[Any, dict[str, Any]]:
    with (folder / "people.jsonl").open("wb") as out:
        for one in people:
            row = one._replace(spent=None if one.spent is None else float(one.spent))  # type: ignore[arg-type]
            out.write(orjson.dumps(row._asdict(), option=orjson.OPT_APPEND_NEWLINE))
    return folder / "people.jsonl", {}


def in_database(kind: str) -> Callable[[Path, list[Customer], Database], tuple[Any, dict[str, Any]]]:
    def write(folder: Path, people: list[Customer], database: Database) -> tuple[Any, dict[str, Any]]:
        types = {**TYPES, "seen": MOMENT[kind]}
        columns = ", ".join(f"{quoted(kind, name)} {types[name]}" for name in Customer._fields)
        database.execute(f"CREATE TABLE {{t}} ({columns}){' CHARACTER SET utf8mb4' if kind == 'mariadb' else ''}")
        values = [plain(one, kind) for one in people]
        if kind == "duckdb":
            # Row by row it takes minutes; this is how its own people load it.
            path = folder / "people.parquet"
            pq.write_table(pa.table({name: [row[name] for row in values] for name in Customer._fields}), path)
            database.execute("SET TimeZone = 'UTC'", f"INSERT INTO {{t}} SELECT * FROM '{path}'")
        else:
            database.execute(
                f"INSERT INTO {{t}} VALUES ({', '.join(f':{name}' for name in Customer._fields)})", rows=values
            )
        named = ", ".join(quoted(kind, name) for name in Customer._fields)
        query = f"SELECT {named} FROM {database.table} ORDER BY id"
        return None, {"source": {"url": database.url, "query": query}}

    return write


def quoted(kind: str, name: str) -> str:
    return f"`{name}`" if kind == "mariadb" else f'"{name}"'


def plain(one: Customer, kind: str) -> dict[str, Any]:
    """Return a row as its driver takes it."""
    row: dict[str, Any] = one._asdict()
    if kind == "sqlite":  # it has neither decimals nor moments
        row["spent"] = None if one.spent is None else float(one.spent)
        row["born"] = one.born.isoformat() if one.born else None
        row["seen"] = one.seen.isoformat()
    if kind == "mariadb":
        row["seen"] = one.seen.replace(tzinfo=None)
    return row


FILES: dict[str, Way] = {"csv": as_csv, "xlsx": as_workbook, "parquet": as_parquet, "jsonl": as_json_lines}
DATABASES = ("sqlite", "postgresql", "mariadb", "duckdb")


class Made(NamedTuple):
    """What became of the rows, in their order. The line is no part of it: it is another in each kind of source."""

    outcomes: list[tuple[Outcome | None, str | None]]
    records: list[tuple[bytes, bytes, bytes]]
    issues: list[tuple[str, str | None, int]]


def made_of(source: Any, mapping: dict[str, Any], folder: Path) -> Made:
    context = pipeline.Context.create(state=folder / "state.db", output=folder / "runs")
    report = pipeline.check(source, {**MAPPING, **mapping}, context=context)
    with context.open_store() as store, store.database.read() as connection:
        outcomes = [(line, outcome, code) for line, outcome, code in store.rows.outcomes(report.run)]
        lines = [line for line, outcome, _ in outcomes if outcome is None]
        records = read_records(connection, store.database.seq(report.run), lines)
    return Made(
        [(outcome, code) for _, outcome, code in outcomes],
        [(record.body, record.fingerprint, record.identity) for record in sorted(records)],
        sorted((group.code, group.column, group.count) for group in report.issues),
    )


@pytest.fixture
def databases(tmp_path: Path) -> Iterator[dict[str, Database]]:
    with ExitStack() as stack:
        found = {}
        for kind in DATABASES:
            ways = opened(kind, tmp_path)
            found[kind] = next(ways)
            stack.callback(list, ways)
        yield found


def test_eight_sources_give_byte_identical_records(tmp_path: Path, databases: dict[str, Database]) -> None:
    people = customers(COUNT)
    made: dict[str, Made] = {}
    for kind in (*FILES, *DATABASES):
        folder = tmp_path / kind
        folder.mkdir()
        if kind in FILES:
            source, mapping = FILES[kind](folder, people)
        else:
            source, mapping = in_database(kind)(folder, people, databases[kind])
        made[kind] = made_of(source, mapping, folder)
    expected = made["csv"]
    assert len(expected.outcomes) == COUNT
    # What the customers were made with is in there, or the test would compare nothing.
    assert len(expected.records) == sum(outcome is None for outcome, _ in expected.outcomes) > 0.95 * COUNT
    bodies = b"".join(body for body, _, _ in expected.records)
    for said in ("山田", '"external_id":"0000042"', '"points":1099511627776', '"born":"1', "👩", '"vip":false'):
        assert said.encode() in bodies, said
    for kind, found in made.items():
        assert found.outcomes == expected.outcomes, kind
        different = [pair for pair in zip(expected.records, found.records, strict=True) if pair[0] != pair[1]]
        assert not different, f"{kind}: {len(different)} records differ, such as {different[0]}"
        assert found.issues == expected.issues, kind
