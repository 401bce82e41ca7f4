"""Years of two digits, and dates that say what they are: read where one reading is possible, asked about where two."""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from etl import pipeline
from etl.config import parse_mapping
from etl.discover import Question
from etl.discover.headers import century_of, looks_like_moment
from etl.transform.cells.centuries import Centuries, CenturyError
from etl.transform.cells.dates import DateError, parse_date, parse_datetime
from etl.transform.cells.month_names import _LANGUAGES, months
from tests.support.importer import ImporterFixture

TODAY = date(2026, 11, 28)


@pytest.fixture
def desk(tmp_path: Path) -> ImporterFixture:
    return ImporterFixture(tmp_path)


def proposed(
    desk: ImporterFixture, header: str, cells: Sequence[str], answer: str | None = None
) -> tuple[Any, str, list[str]]:
    """Return the rule of a column, what stands beside it in the mapping, and the questions asked."""
    with desk.source.open("w", encoding="utf-8", newline="") as out:
        rows = [(f"p{number}@mapleshop.com", cell) for number, cell in enumerate(cells)]
        csv.writer(out).writerows([("Email", header), *rows])
    asked: list[str] = []

    def ask(question: Question) -> str:
        asked.append(question.text)
        return answer if answer is not None else question.safe

    _, text = pipeline.init(desk.source, context=desk.context, ask=ask)
    said = next(line.partition("#")[2] for line in text.splitlines() if header in line and "#" in line and "=" in line)
    return tomllib.loads(text)["columns"][header], said, asked


BIRTHDAYS = [f"{day:02}/01/{year}" for day, year in zip(range(14, 26), range(44, 92, 4), strict=True)]
SINCE = [f"{day:02}/01/{year}" for day, year in zip(range(14, 26), range(11, 23), strict=True)]


def test_birthdays_lie_behind_and_expiry_dates_ahead(desk: ImporterFixture) -> None:
    """The file of the report: nobody is born in 2044, and no card expires in 1928."""
    for header, cells, pivot in (
        ("Birthday", BIRTHDAYS, "past"),
        ("Geburtsdatum", BIRTHDAYS, "past"),
        ("Customer since", SINCE, "past"),
        ("Gültig bis", ["31/12/28", "30/06/29", "31/01/31"], "future"),
    ):
        rule, said, asked = proposed(desk, header, cells)
        assert rule == {"to": f"properties.{header}", "type": "date", "format": "%d/%m/%y", "pivot": pivot}, header
        assert "years of two digits" in said
        assert not asked
    columns = {
        "Email": "email",
        "Birthday": {"to": "properties.born", "type": "date", "format": "%d/%m/%y", "pivot": "past"},
        "Expiry": {"to": "properties.until", "type": "date", "format": "%d/%m/%y", "pivot": "future"},
    }
    desk.mapping = {**desk.mapping, "columns": columns}
    desk.write([("p1@mapleshop.com", "14/01/44", "31/12/28")], ("Email", "Birthday", "Expiry"))
    desk.run()
    (profile,) = [orjson.loads(line) for line in desk.sandbox.dump().splitlines() if line]
    assert profile["properties"] == {"born": "1944-01-14", "until": "2028-12-31"}


def test_a_name_that_tells_nothing_is_asked_about(desk: ImporterFixture) -> None:
    """Without an answer it stays text, and the mapping says why."""
    cells = BIRTHDAYS
    rule, _, asked = proposed(desk, "Day", cells)
    assert rule == "properties.Day"
    assert any("two digits" in text and "behind or ahead" in text for text in asked)
    rule, _, _ = proposed(desk, "Day", cells, answer="1")
    assert (rule["format"], rule["pivot"]) == ("%d/%m/%y", "past")
    rule, _, _ = proposed(desk, "Day", cells, answer="2")
    assert rule["pivot"] == "future"
    # Day, month and century are all open: every way is a choice.
    rule, _, asked = proposed(desk, "Day", ["01/02/44", "03/04/52"], answer="4")
    assert (rule["format"], rule["pivot"]) == ("%m/%d/%y", "future")
    rule, said, asked = proposed(desk, "Day", SINCE)
    assert rule == {"to": "properties.Day", "type": "date", "format": "%d/%m/%y"}
    assert "no year of two digits lies ahead" in said
    assert not asked


def test_a_mapping_without_pivot_guesses_no_century(desk: ImporterFixture) -> None:
    """An old mapping with %y: what may lie ahead or behind is held back, and the rest goes as before."""
    columns = {"Email": "email", "D": {"to": "properties.d", "type": "date", "format": "%d/%m/%y"}}
    desk.mapping = {**desk.mapping, "columns": columns}
    desk.write(
        [("a@mapleshop.com", "14/01/44"), ("b@mapleshop.com", "14/01/11"), ("c@mapleshop.com", "14/01/75")],
        ("Email", "D"),
    )
    report = desk.run()
    assert {group.code: group.count for group in report.issues} == {"date-century-ambiguous": 1}
    sent = {
        each["email"]: each.get("properties", {})
        for each in map(orjson.loads, filter(None, desk.sandbox.dump().splitlines()))
    }
    assert sent == {
        "a@mapleshop.com": {},
        "b@mapleshop.com": {"d": "2011-01-14"},
        "c@mapleshop.com": {"d": "1975-01-14"},
    }


def test_the_option_counts_only_where_it_is_used() -> None:
    columns = {"E": "email", "D": {"to": "properties.d", "type": "date"}}
    assert (
        parse_mapping({"columns": columns}).hash
        == parse_mapping({"columns": {"E": "email", "D": {"to": "properties.d", "type": "date", "pivot": None}}}).hash
    )
    piv = {**columns, "D": {"to": "properties.d", "type": "date", "pivot": "past"}}
    assert parse_mapping({"columns": piv}).hash != parse_mapping({"columns": columns}).hash


@pytest.mark.parametrize("offset", [-40, -1, 0, 1, 30])
def test_pivots_hold_in_any_year(offset: int) -> None:
    """Past: the hundred years up to today. Future: from twenty years ago on. A year: its hundred."""
    today = TODAY.replace(year=TODAY.year + offset)
    for year in range(100):
        past = Centuries("past", today).read(year, 7, 1)
        assert past.year % 100 == year
        assert today - timedelta(days=36_526) < past <= today
        ahead = Centuries("future", today).read(year, 7, 1)
        assert today.year - 20 <= ahead.year < today.year + 80
        assert 1930 <= Centuries(1930, None).read(year, 7, 1).year < 2030
    assert Centuries("past", date(2026, 11, 28)).read(26, 11, 28) == date(2026, 11, 28)
    assert Centuries("past", date(2026, 11, 28)).read(26, 11, 29) == date(1926, 11, 29)
    with pytest.raises(CenturyError):
        Centuries(None, TODAY).read(27, 1, 1)
    with pytest.raises(CenturyError):
        Centuries("past", None).read(44, 1, 1)


@pytest.mark.parametrize("text", ["Mar 3, 2025", "mar 3 2025", "Mar. 3, 2025", "lun. 3 mars 2025", "Mon, Mar 3, 2025"])
def test_a_month_that_is_spelt_like_a_weekday_is_a_month(text: str) -> None:
    """Mar is Tuesday in French, Spanish and Italian; March 3, 2025 was a Monday."""
    assert parse_date(text) == date(2025, 3, 3)


def test_every_month_of_every_language_is_read() -> None:
    """Each name stands for its own month; the two that two languages share are said to be ambiguous."""
    words = _LANGUAGES.split()
    assert len(words) % 12 == 0
    for place, word in enumerate(words):
        if word == "-":
            continue
        month = place % 12 + 1
        assert month in months(word)
        if len(months(word)) > 1:
            assert word in {"listopad", "listopada"}
            with pytest.raises(DateError) as caught:
                parse_date(f"3 {word} 2025")
            assert caught.value.code == "date-ambiguous"
            continue
        for text in (f"3 {word} 2025", f"03-{word.upper()}-2025", f"3. {word}. 2025", f"2025 {word} 3"):
            assert parse_date(text) == date(2025, month, 3), text


@pytest.mark.parametrize(
    "text",
    [
        *("3 Mayor 2025", "32 April 2025", "April 2025", "3 April", "3 April 20255", "Fri, 03 Apr 2025", "3 de 2025"),
        *("April", "99-APR-25", "2025年13月1日"),
    ],
)
def test_what_is_no_date_in_words_is_none(text: str) -> None:
    with pytest.raises(DateError):
        parse_date(text, None, Centuries(None, TODAY))


def test_seconds_since_1970_are_moments_whatever_the_zone() -> None:
    moment = datetime(2025, 4, 3, 12, 30, tzinfo=UTC)
    stamp = int(moment.timestamp())
    for text in (f"{stamp}", f"{stamp}000", f"{stamp}.000"):
        assert parse_datetime(text, None, "Asia/Tokyo") == moment
    for text in ("123456789", "99999999999", "9999999999", "0743683400"):
        with pytest.raises(DateError):
            parse_datetime(text)


def test_init_reads_dates_in_words_and_seconds(desk: ImporterFixture) -> None:
    """They are proposed as what they are; numbers of ten digits under another name stay numbers."""
    for header, cells, kind in (
        ("Seit", [f"{day}. April 2025" for day in range(1, 25)], "date"),
        ("Créé le", [f"{day} août 2025" for day in range(1, 25)], "date"),
        ("Created", [f"{day:02}-APR-25" for day in range(1, 25)], "date"),
        ("Sent", [f"Thu, {day:02} Apr 2025 12:30:00 +0200" for day in (3, 10, 17, 24)], "datetime"),
        ("created_at", [str(1743683400 + 86400 * day) for day in range(20)], "datetime"),
        ("Last seen", [str(1743683400123 + 86400000 * day) for day in range(20)], "datetime"),
        ("Meter", [str(1743683400 + 86400 * day) for day in range(20)], "integer"),
    ):
        rule, _, _ = proposed(desk, header, cells)
        assert rule["type"] == kind, header
        assert "pivot" not in rule or header == "Created"


@pytest.mark.parametrize(
    ("header", "where"),
    [
        ("DOB", "past"), ("Fecha de nacimiento", "past"), ("Дата рождения", "past"), ("createdAt", "past"),
        ("生年月日", "past"), ("Last renewal", "past"), ("expires_at", "future"), ("Valid to", "future"),
        ("Scadenza", "future"), ("Next order", "future"), ("Date", None), ("Dues", None), ("Size", None),
    ],
)  # fmt: skip
def test_headers_say_where_dates_lie(header: str, where: str | None) -> None:
    assert century_of(header) == where
    assert looks_like_moment("Customer number") is False
