"""The rejects file: nothing a spreadsheet would run, and every cell comes back as it was."""

from __future__ import annotations

import csv
import io
import os
import stat
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl import pipeline
from etl.model import Issue, Severity, Stage
from etl.pipeline.lifecycle.artifacts import write_rejects_file
from etl.report.rejects import (
    OVERFLOW_COLUMN,
    REJECT_COLUMNS,
    guard,
    is_rejects_header,
    source_columns,
    unguard,
    write_rejects,
)
from etl.state import Store
from tests.support.importer import ImporterFixture
from tests.support.report_cases import every_outcome
from tests.support.state_backends import FakeClock

CELLS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
HEADER = ("Id", "Email", "Name", "Note")
RISKY = st.tuples(st.text("'=+-@\t\r", max_size=4), CELLS).map("".join)
ANY = CELLS | RISKY


def issue(line: int = 2, code: str = "email-invalid", column: str | None = "Email", **more: Any) -> Issue:
    return Issue(line, Stage.VALIDATE, code, column, **more)


def written(headers: list[str], rows: list[tuple[int, list[str], list[Issue]]], *, overflow: bool = False) -> str:
    out = io.StringIO(newline="")
    assert write_rejects(out, headers, rows, overflow=overflow) == len(rows)
    return out.getvalue()


def read(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


# --- formulas ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_a_cell_that_a_spreadsheet_would_run_is_disarmed(start: str) -> None:
    cell = f"{start}HYPERLINK(1)"
    assert guard(cell) == f"'{cell}"
    assert unguard(guard(cell)) == cell


@pytest.mark.parametrize("cell", ["", "Ann", "a=b", "1+1", "'quoted", "O'Brien", "'", "''", " =1", "ä", "\n=1"])
def test_any_other_cell_is_left_alone(cell: str) -> None:
    assert guard(cell) == cell
    assert unguard(cell) == cell


@given(ANY)
def test_taking_the_guard_back_gives_the_cell(cell: str) -> None:
    assert unguard(guard(cell)) == cell


@given(ANY)
def test_no_guarded_cell_starts_a_formula(cell: str) -> None:
    assert guard(cell)[:1] not in {"=", "+", "-", "@", "\t", "\r"}


@given(ANY, ANY)
def test_two_cells_never_become_one(one: str, other: str) -> None:
    assert (guard(one) == guard(other)) is (one == other)


@given(st.data(), st.integers(1, 4))
@settings(deadline=None)
def test_whatever_is_in_the_cells_no_cell_of_the_file_is_a_formula(data: st.DataObject, width: int) -> None:
    """Headers, overflow, a reason that quotes Klaviyo, a suggestion: any of them may come from a stranger."""
    headers = data.draw(st.lists(ANY, min_size=width, max_size=width))
    cells = data.draw(st.lists(ANY, max_size=width + 2))
    told = [issue(column=data.draw(ANY), detail=data.draw(ANY), suggestion=data.draw(ANY), code="made-up")]
    for row in read(written(headers, [(2, cells, told)], overflow=True)):
        assert all(cell[:1] not in {"=", "+", "-", "@", "\t", "\r"} for cell in row)


# --- there and back ---------------------------------------------------------------------------------------------------


@given(st.data(), st.integers(1, 4), st.integers(1, 5))
@settings(deadline=None)
def test_the_original_columns_come_back_untouched(data: st.DataObject, width: int, count: int) -> None:
    """Quotes, newlines, delimiters, formulas, other alphabets: cell by cell."""
    headers = [f"H{number}" for number in range(width)]
    rows = data.draw(
        st.lists(st.lists(ANY, min_size=width, max_size=width), min_size=count, max_size=count), label="rows"
    )
    text = written(headers, [(number, cells, [issue(number)]) for number, cells in enumerate(rows, 2)])
    header, *found = read(text)
    assert header == [*headers, *REJECT_COLUMNS]
    assert [[unguard(cell) for cell in row[:width]] for row in found] == rows
    assert [row[width] for row in found] == [str(number) for number in range(2, count + 2)]


@given(
    st.lists(ANY, min_size=1, max_size=5, unique=True).filter(
        lambda names: not {*names} & {*REJECT_COLUMNS, "_overflow"}
    )
)
def test_the_original_headers_come_back(headers: list[str]) -> None:
    for overflow in (False, True):
        (header,) = read(written(headers, [], overflow=overflow))
        assert is_rejects_header(header)
        assert source_columns(header) == headers


def test_a_source_with_a_column_of_ours_is_no_rejects_file() -> None:
    headers = ["Email", "_line", "_code"]
    assert not is_rejects_header(headers)
    assert source_columns(headers) == headers


# --- reasons ----------------------------------------------------------------------------------------------------------


def test_each_row_says_where_what_and_what_to_do() -> None:
    told = [
        issue(7, "text-too-long", "Notes", detail="300 characters", severity=Severity.WARNING),
        issue(7, "email-invalid", "Email", suggestion="ann@mapleshop.com"),
        issue(7, "email-invalid", "Email 2"),
    ]
    _, row = read(written(["Email"], [(7, ["ann@mapleshop"], told)]))
    assert row == [
        "ann@mapleshop",
        "7",
        "Email | Email 2 | Notes",
        "email-invalid | text-too-long",
        "Not a valid e-mail address | Text longer than the mapping allows (300 characters)",
        "ann@mapleshop.com",
    ]


def test_an_unknown_code_is_its_own_reason() -> None:
    _, row = read(written(["A"], [(2, ["x"], [issue(code="code-of-2030", column=None, detail="so")])]))
    assert row[2:] == ["", "code-of-2030", "code-of-2030 (so)", ""]


def test_a_ragged_row_keeps_all_it_had() -> None:
    rows = [(2, ["a"], [issue()]), (3, ["a", "b", "=c", "d"], [issue(3)]), (4, ["a", "b"], [issue(4)])]
    header, short, long, even = read(written(["A", "B"], rows, overflow=True))
    assert header == ["A", "B", *REJECT_COLUMNS, OVERFLOW_COLUMN]
    assert (short[:2], short[-1]) == (["a", ""], "")
    assert (long[:2], long[-1]) == (["a", "b"], "'=c\td")
    assert (even[:2], even[-1]) == (["a", "b"], "")
    assert {len(row) for row in (header, short, long, even)} == {8}


# --- the file ---------------------------------------------------------------------------------------------------------


def test_the_file_holds_exactly_the_rows_to_fix(store: Store, clock: FakeClock, tmp_path: Path) -> None:
    """Rejected, failed and unknown; in line order; with their cells; readable by the owner only."""
    run = every_outcome(store, clock)
    path = tmp_path / "rejects.csv"
    path.write_text("older")
    path.chmod(0o644)
    before = os.umask(0)
    try:
        assert write_rejects_file(store, store.runs.get(run), path) == 5
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir() if entry.suffix in {".part", ".csv"}] == ["rejects.csv"]
    data = path.read_bytes()
    assert data.startswith(b"\xef\xbb\xbf"), "Excel takes it for UTF-8 only so"
    header, *rows = read(data.decode("utf-8-sig"))
    assert header == ["Email", "Plan", *REJECT_COLUMNS]
    assert [row[:3] for row in rows] == [
        ["person6@example.org", "006", "6"],
        ["person10@example.org", "0010", "10"],
        ["person13@example.org", "0013", "13"],
        ["person14@example.org", "0014", "14"],
        ["Ragged Cell", "", "15"],
    ]
    assert [row[4] for row in rows] == [
        "phone-invalid",
        "klaviyo-invalid",
        "result-unproven",
        "result-unproven",
        "row-too-short",
    ]
    assert rows[0][3:] == ["Mobile", "phone-invalid", "Not a valid phone number (11 digits)", "Fixed Suggestion"]


def test_fixing_the_file_and_running_it_loads_the_rest(desk: ImporterFixture) -> None:
    """The whole way of the analyst: run, open the rejects, correct one cell, run the file."""
    desk.mapping["columns"] |= {"Id": {"to": "external_id", "required": True}, "Note": {"to": "properties.note"}}
    notes = ["=1+1", "-5 °C", "'quoted'", 'two\nlines, "said"', "+49", "@home", "'=1"]
    desk.write([("", f"ann{n}@mapleshop.com", "Ann", note) for n, note in enumerate(notes)], HEADER)
    first = desk.run()
    assert (first.tally.rejected, first.tally.loaded) == (len(notes), 0)
    rejects = desk.folder / "fixed.csv"
    assert pipeline.rejects(rejects, context=desk.context) == len(notes)
    header, *found = read(rejects.read_bytes().decode("utf-8-sig"))
    fixed = [[f"c{number}", *row[1:]] for number, row in enumerate(found)]
    with rejects.open("w", encoding="utf-8-sig", newline="") as out:
        csv.writer(out).writerows([header, *fixed])
    second = pipeline.run(rejects, desk.mapping, context=desk.context, verify="none")
    assert (second.tally.loaded, second.tally.rejected, second.parent) == (len(notes), 0, first.run)
    profiles = [orjson.loads(line) for line in desk.sandbox.dump().splitlines()]
    assert {note for note in notes if not any(holds(profile, note) for profile in profiles)} == set()
    assert pipeline.rejects(desk.folder / "again.csv", second.run, context=desk.context) == 0


def holds(profile: Any, text: str) -> bool:
    """Whether some value of the profile is this text."""
    if isinstance(profile, dict):
        return any(holds(value, text) for value in profile.values())
    return bool(profile == text)


def test_rows_that_are_no_text_are_in_the_file_too(desk: ImporterFixture) -> None:
    """Bytes of another encoding, a NUL, too many cells: the row is there, and the file can be read."""
    body = b"Id,Email,Name\r\nc1,ann@mapleshop.com,Ann\r\nc2,bob@mapleshop.com,B\xff\xfeb\r\n"
    body += b"c3,cat@mapleshop.com,C\0t\r\nc4,dan@mapleshop.com,Dan,=extra,more\r\n" + "c5,é@mapleshop,É\r\n".encode()
    desk.source.write_bytes(body)
    desk.mapping["source"] = {"encoding": "utf-8"}
    report = desk.run()
    path = desk.folder / "rejects.csv"
    assert pipeline.rejects(path, context=desk.context) == report.tally.rejected >= 3
    header, *rows = read(path.read_bytes().decode("utf-8-sig"))
    assert header[-1] == OVERFLOW_COLUMN
    lines = {row[3]: row for row in rows}
    assert lines["5"][-1] == "'=extra\tmore"
    assert len(lines) == report.tally.rejected
