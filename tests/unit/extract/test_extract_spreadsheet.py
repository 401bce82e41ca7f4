"""Spreadsheets: sheets, headers below titles, and cells as a person would type them."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from etl.config import SourceRule
from etl.errors import SourceError
from etl.extract import open_source
from etl.model import Chunk
from tests.support.importer import ImporterFixture


def workbook(path: Path, **sheets: list[list[Any]]) -> openpyxl.Workbook:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return book


def read(path: Path, **options: Any) -> tuple[dict[int, tuple[str, ...]], tuple[str, ...], tuple[str, ...]]:
    with open_source(path, chunk_rows=2, **options) as source:
        chunks: list[Chunk] = list(source.chunks())
        rows = {row[0]: row[1:] for chunk in chunks for row in chunk.frame.itertuples(name=None)}
        return rows, source.info.columns, source.info.notes


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "people.xlsx"


CELLS = {
    "text stays text": ("01040", "01040"),
    "words of other tools": ("NA", "NA"),
    "a whole number": (441234567890, "441234567890"),
    "a whole number kept as a float": (7.0, "7"),
    "a broken number": (12.5, "12.5"),
    "a small number": (0.0000001, "0.0000001"),
    "a large number": (1e20, "1E+20"),
    "a number of 15 digits": (999999999999999.0, "999999999999999"),
    "a number of 16 digits that no spreadsheet shortened": (1234567890123456, "1234567890123456"),
    "a number of 16 digits that may be shortened": (1234567890123450, "1.23456789012345E+15"),
    "a number of 19 digits": (1234567890123456789, "1.23456789012346E+18"),
    "the noise of sums": (0.1 + 0.2, "0.3"),
    "more noise of sums": (1.1 * 1.1, "1.21"),
    "a duration of more than a day": (dt.timedelta(hours=26, minutes=30), "26:30:00"),
    "a duration of less than a day": (dt.timedelta(minutes=90), "1:30:00"),
    "a negative duration": (dt.timedelta(hours=-1.5), "-1:30:00"),
    "a duration with a fraction": (dt.timedelta(days=10, seconds=1.5), "240:00:01.5"),
    "a negative number": (-3.25, "-3.25"),
    "a date": (dt.date(2024, 2, 29), "2024-02-29"),
    "a moment": (dt.datetime.fromisoformat("2024-02-29T08:30"), "2024-02-29 08:30:00"),
    "midnight is a date": (dt.datetime.fromisoformat("2024-02-29T00:00"), "2024-02-29"),
    "a time": (dt.time(8, 30), "08:30:00"),
    "true": (True, "true"),
    "false": (False, "false"),
    "nothing": (None, ""),
    "umlauts": ("Köln 電話", "Köln 電話"),
    "a line break": ("two\nlines", "two\nlines"),
}


@pytest.mark.parametrize("name", CELLS)
def test_a_cell_becomes_the_text_a_person_would_type(name: str, path: Path) -> None:
    value, text = CELLS[name]
    workbook(path, People=[["Id", "Cell"], ["x", value]])
    rows, columns, _ = read(path)
    assert (columns, rows) == (("Id", "Cell"), {2: ("x", text)})


def test_dates_of_the_1904_system_are_the_same_dates(path: Path) -> None:
    book = openpyxl.Workbook()
    book.epoch = openpyxl.utils.datetime.CALENDAR_MAC_1904
    book.active.append(["Id", "Day"])
    book.active.append(["x", dt.date(2024, 2, 29)])
    book.save(path)
    assert read(path)[0] == {2: ("x", "2024-02-29")}


def test_titles_and_blank_rows_above_the_header_are_skipped_and_said(path: Path) -> None:
    workbook(
        path, People=[["Customers, March"], [], ["Id", "Email", "Name"], ["1", "a@b.co", "Ann"], [], ["2", "", "Bob"]]
    )
    rows, columns, notes = read(path)
    assert columns == ("Id", "Email", "Name")
    assert rows == {4: ("1", "a@b.co", "Ann"), 6: ("2", "", "Bob")}
    assert any("header is row 3" in note for note in notes)
    assert read(path, header_row=3)[1] == columns


def test_a_sheet_is_chosen_by_name_by_number_or_by_itself(path: Path) -> None:
    book = workbook(path, Empty=[], Secret=[["A"], ["1"]], People=[["Id", "B"], ["2", "x"]], More=[["C"], ["3"]])
    book["Secret"].sheet_state = "hidden"
    book.save(path)
    rows, _, notes = read(path)
    assert rows == {2: ("2", "x")}
    assert any("hidden sheets: 'Secret'" in note for note in notes)
    assert any("not read: 'Empty', 'Secret', 'More'" in note for note in notes)
    assert read(path, sheet="More")[0] == {2: ("3",)}
    assert read(path, sheet=2)[0] == {2: ("1",)}
    with pytest.raises(SourceError, match="no sheet 'Peeple'") as missing:
        read(path, sheet="Peeple")
    assert "3 'People'" in missing.value.hint


def test_merged_cells_and_formulas_give_what_is_shown(path: Path) -> None:
    """The value of merged cells stands in the first of them; a formula that was never calculated has none."""
    book = workbook(path, People=[["Id", "Name", "Note"], ["1", "Ann", ""], ["2", "Bob", "=1+1"]])
    book["People"].merge_cells("B2:C2")
    book.save(path)
    assert read(path)[0] == {2: ("1", "Ann", ""), 3: ("2", "Bob", "")}


BROKEN = {
    "a zip of something else": (b"PK\x03\x04 but no workbook", "source-binary"),
    "an Office file of something else": (b"\xd0\xcf\x11\xe0" + bytes(600), "source-binary"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_workbook_is_refused_clearly(name: str, path: Path) -> None:
    data, code = BROKEN[name]
    path.write_bytes(data)
    with pytest.raises(SourceError) as refused:
        open_source(path)
    assert refused.value.code == code
    assert refused.value.hint


def test_a_half_written_workbook_is_refused_clearly(path: Path) -> None:
    workbook(path, People=[["Id", "Name"], *([str(number), "Ann"] for number in range(500))])
    whole = path.read_bytes()
    for share in (0.3, 0.6, 0.9, 0.99):
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(SourceError):
            open_source(path)


def test_an_empty_sheet_is_refused_clearly(path: Path) -> None:
    workbook(path, People=[])
    with pytest.raises(SourceError, match="no filled sheet"):
        open_source(path)


def test_a_workbook_is_imported_and_its_rejects_come_back(desk: ImporterFixture) -> None:
    """Rows keep their number in the sheet; the rejects file is CSV and runs with the mapping of the workbook."""
    desk.source = desk.folder / "people.xlsx"
    workbook(
        desk.source,
        Notes=[["nothing here"]],
        People=[
            ["Our customers"],
            ["Id", "Email", "Name"],
            [1, "ann@mapleshop.com", "Ann"],
            [None, "no address", "Bob"],
        ],
    )
    desk.mapping["source"] = {"sheet": "People", "header_row": 2}
    first = desk.run()
    assert (first.tally.loaded, first.tally.rejected) == (1, 1)
    assert {group.lines for group in first.issues} == {(4,)}
    assert '"external_id":"1"' in desk.sandbox.dump().decode()
    rejects = desk.context.output / first.run / "rejects.csv"
    desk.source = desk.folder / "fixed.csv"
    desk.source.write_bytes(rejects.read_bytes().replace(b"no address", b"bob@mapleshop.com"))
    second = desk.run()
    assert (second.parent, second.tally.loaded) == (first.run, 1)


def test_the_mapping_knows_sheets() -> None:
    assert SourceRule.model_validate({"path": "x.xlsx", "sheet": 2, "header_row": 3}).sheet == 2
    assert SourceRule.model_validate({"path": "x.xlsx", "sheet": "2"}).sheet == "2"
