"""Workbooks of several writers, and what is odd about real ones: errors, hidden rows, passwords, lost zeros."""

from __future__ import annotations

import datetime as dt
import io
import stat
import zipfile
from pathlib import Path
from typing import Any

import msoffcrypto.format.ooxml
import openpyxl
import pytest
import xlsxwriter
import xlwt
from hypothesis import given
from hypothesis import strategies as st
from odf.opendocument import OpenDocumentSpreadsheet
from odf.table import Table, TableCell, TableRow
from odf.text import P

from etl import pipeline
from etl.errors import ExitCode, SourceError
from etl.extract import open_source
from etl.extract.spreadsheet.formats.quirks import quirks_of
from etl.extract.spreadsheet.formats.xlsx import pieces
from etl.report.rejects_book import _typed
from tests.support.importer import ImporterFixture
from tests.support.paths import FILES
from tests.support.xlsb_writer import Cell, write_xlsb

HERE = FILES / "workbooks"
PEOPLE: list[list[Cell]] = [
    ["Email", "Zip", "Points", "Joined"],
    ["ann@mapleshop.com", "01040", 12, dt.date(2024, 2, 29)],
    ["bob@mapleshop.com", "99950", 7.5, dt.date(2023, 12, 31)],
]
TEXTS = [["ann@mapleshop.com", "01040", "12", "2024-02-29"], ["bob@mapleshop.com", "99950", "7.5", "2023-12-31"]]


def by_openpyxl(path: Path) -> None:
    book = openpyxl.Workbook()
    for row in PEOPLE:
        book.active.append(row)
    book.save(path)


def by_xlsxwriter(path: Path) -> None:
    book = xlsxwriter.Workbook(str(path), {"default_date_format": "yyyy-mm-dd"})
    sheet = book.add_worksheet()
    for number, row in enumerate(PEOPLE):
        sheet.write_row(number, 0, row)
    book.close()


def by_xlwt(path: Path) -> None:
    book = xlwt.Workbook()
    sheet = book.add_sheet("People")
    day = xlwt.easyxf(num_format_str="YYYY-MM-DD")
    for number, row in enumerate(PEOPLE):
        for place, cell in enumerate(row):
            sheet.write(number, place, cell, day) if isinstance(cell, dt.date) else sheet.write(number, place, cell)
    book.save(str(path))


def by_odfpy(path: Path) -> None:
    document = OpenDocumentSpreadsheet()
    table = Table(name="People")
    for row in PEOPLE:
        line = TableRow()
        for cell in row:
            if isinstance(cell, dt.date):
                made = TableCell(valuetype="date", datevalue=cell.isoformat())
            elif isinstance(cell, str):
                made = TableCell(valuetype="string")
                made.addElement(P(text=cell))
            else:
                made = TableCell(valuetype="float", value=str(cell))
            line.addElement(made)
        table.addElement(line)
    document.spreadsheet.addElement(table)
    document.save(str(path))


def by_hand(path: Path) -> None:
    write_xlsb(path, PEOPLE)


def read(path: Path) -> tuple[list[list[str]], Any, list[Any]]:
    with open_source(path) as source:
        chunks = list(source.chunks())
        rows = [list(row[1:]) for chunk in chunks for row in chunk.frame.itertuples()]
        return rows, source.info, [issue for chunk in chunks for issue in chunk.issues]


@pytest.mark.parametrize(
    ("name", "write"),
    [("a.xlsx", by_openpyxl), ("b.xlsx", by_xlsxwriter), ("c.xls", by_xlwt), ("d.ods", by_odfpy), ("e.xlsb", by_hand)],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_writer_gives_the_same_rows(tmp_path: Path, name: str, write: Any) -> None:
    write(tmp_path / name)
    rows, info, issues = read(tmp_path / name)
    assert rows == TEXTS
    assert info.details["column_types"] == "text text number date"
    assert issues == []


@pytest.mark.parametrize("ending", ["xlsx", "xls", "ods"])
def test_what_libreoffice_saved_is_read_right(ending: str) -> None:
    """Below a merged title and a blank row; formulas by their values; a hidden row like any other."""
    rows, info, issues = read(HERE / f"libreoffice.{ending}")
    yes, no = ("1", "0") if ending == "ods" else ("true", "false")  # the reader gives .ods flags as numbers
    ann, bob = rows
    assert ann[:6] == ["ann@mapleshop.com", "01040", "+4915112345678", "12", "2024-02-29", "2024-02-29 08:30:00"]
    assert ann[6:] == [yes, "12.5", "", "2"]
    assert bob[:6] == ["bob@mapleshop.com", "99950", "447911123456", "7", "2023-12-31", "2023-12-31 23:59:59"]
    assert bob[6:] == [no, "0.25", "", "ab"]
    assert "the header is row 3 of the sheet" in info.notes
    assert [(issue.line, issue.code, issue.column) for issue in issues] == [
        (4, "cell-error", "Broken"), (5, "cell-error", "Broken"),
    ]  # fmt: skip
    if ending == "xlsx":
        assert "1 hidden rows are read like the others" in info.notes


@pytest.mark.parametrize("since_1904", [False, True])
def test_a_binary_workbook_is_read_right(tmp_path: Path, *, since_1904: bool) -> None:
    """In both date systems, below a title; an error counts as empty."""
    early, late = dt.datetime.fromisoformat("2024-02-29T08:30"), dt.datetime.fromisoformat("2023-12-31T00:00")
    header: list[Cell] = ["Email", "Phone", "Joined", "Seen", "VIP", "Broken"]
    ann: list[Cell] = ["ann@mapleshop.com", 447911123456.0, dt.date(2024, 2, 29), early, True, "#N/A"]
    bob: list[Cell] = ["bob@mapleshop.com", None, dt.date(2023, 12, 31), late, False, "#DIV/0!"]
    write_xlsb(tmp_path / "people.xlsb", [["Customers of 2024"], [], header, ann, bob], since_1904=since_1904)
    rows, info, issues = read(tmp_path / "people.xlsb")
    assert [(issue.line, issue.code, issue.column) for issue in issues] == [
        (4, "cell-error", "Broken"), (5, "cell-error", "Broken"),
    ]  # fmt: skip
    assert rows == [
        ["ann@mapleshop.com", "447911123456", "2024-02-29", "2024-02-29 08:30:00", "true", ""],
        ["bob@mapleshop.com", "", "2023-12-31", "2023-12-31 00:00:00", "false", ""],
    ]
    assert "the header is row 3 of the sheet" in info.notes


def test_hidden_columns_and_merged_cells_are_said(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in [["Email", "City", "Note"], ["ann@mapleshop.com", "Lyon", "x"], ["bob@mapleshop.com", None, "y"]]:
        sheet.append(row)
    sheet.merge_cells("B2:B3")
    sheet.column_dimensions["C"].hidden = True
    book.save(tmp_path / "people.xlsx")
    rows, info, _ = read(tmp_path / "people.xlsx")
    assert rows[1] == ["bob@mapleshop.com", "", "y"]
    assert "1 merged areas among the rows: only the first cell of each holds its value" in info.notes
    assert "1 hidden columns are read like the others" in info.notes


def test_a_workbook_with_a_password_is_refused(tmp_path: Path) -> None:
    by_openpyxl(tmp_path / "plain.xlsx")
    with (tmp_path / "plain.xlsx").open("rb") as plain, (tmp_path / "closed.xlsx").open("wb") as closed:
        msoffcrypto.format.ooxml.OOXMLFile(plain).encrypt("secret", closed)
    with pytest.raises(SourceError) as caught:
        open_source(tmp_path / "closed.xlsx")
    assert (caught.value.code, caught.value.exit_code) == ("source-encrypted", ExitCode.NOT_STARTED)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_half_a_workbook_is_refused(tmp_path: Path, share: float) -> None:
    by_openpyxl(tmp_path / "whole.xlsx")
    whole = (tmp_path / "whole.xlsx").read_bytes()
    (tmp_path / "half.xlsx").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(SourceError) as caught:
        open_source(tmp_path / "half.xlsx")
    assert caught.value.exit_code == ExitCode.NOT_STARTED


def test_what_is_odd_is_looked_for_without_harm(tmp_path: Path) -> None:
    """Damaged, hostile or strange archives say nothing; they break nothing either."""
    for name, members in {
        "none.xlsx": {},
        "odd.xlsx": {"xl/workbook.xml": b"<sheet>", "xl/_rels/workbook.xml.rels": b"\xff"},
        "lies.xlsx": {
            "xl/workbook.xml": b'<sheet name="S" r:id="r1"/>',
            "xl/_rels/workbook.xml.rels": b'<Relationship Id="r1" Target="../../etc/passwd"/>',
        },
    }.items():
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for member, data in members.items():
                archive.writestr(member, data)
        assert quirks_of(tmp_path / name, "S") == quirks_of(tmp_path / "absent.xlsx", "S")


@given(st.lists(st.sampled_from([b"<row>", b"</row>", b"<c/>", b"x"]), max_size=30))
def test_pieces_lose_nothing(parts: list[bytes]) -> None:
    data = b"".join(parts)
    assert b"".join(pieces(io.BytesIO(data))) == data


# --- zeros that got lost ----------------------------------------------------------------------------------------------


def test_a_postal_code_without_its_zero_is_warned_of_where_the_country_says_so(tmp_path: Path) -> None:
    desk = ImporterFixture(tmp_path)
    desk.mapping = {"columns": {"E": "email", "Z": "location.zip", "C": "location.country"}}
    rows = [
        ("1040", "US"),
        ("01040", "US"),
        ("1040", "Austria"),
        ("1040", ""),
        ("1067", "Deutschland"),
        ("99950", "US"),
    ]
    people = [(f"p{place}@mapleshop.com", *row) for place, row in enumerate(rows)]
    desk.write(people, ("E", "Z", "C"))
    report = pipeline.check(desk.source, desk.mapping, context=desk.context)
    (group,) = report.issues
    assert (group.code, group.count, group.lines) == ("zip-leading-zero-lost", 2, (2, 6))
    desk.mapping["defaults"] = {"country": "FR"}
    report = pipeline.check(desk.source, desk.mapping, context=desk.context)
    assert report.issues[0].lines == (2, 5, 6)


# --- rejects as a workbook --------------------------------------------------------------------------------------------


def test_rejects_come_back_as_a_workbook_that_can_be_corrected_and_run(tmp_path: Path) -> None:
    desk = ImporterFixture(tmp_path)
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["Email", "Zip", "Points", "Joined", "Phone", "Formula"])
    sheet.append(["ann@mapleshop.com", "01040", 12, dt.date(2024, 2, 29), "+4915112345678", "x"])
    sheet.append(["bob at mapleshop", "01040", 7, dt.date(2024, 2, 29), "+4915112345679", "'=1+1"])
    path = tmp_path / "people.xlsx"
    book.save(path)
    desk.mapping = {
        "columns": {
            "Email": {"to": "email", "required": True},
            "Zip": "location.zip",
            "Points": {"to": "properties.points", "type": "integer"},
            "Joined": {"to": "properties.joined", "type": "date"},
            "Phone": "phone_number",
            "Formula": "properties.formula",
        },
        "load": {"small_run": 0},
    }
    report = pipeline.run(path, desk.mapping, context=desk.context)
    made = tmp_path / "runs" / report.run / "rejects.xlsx"
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    cells = openpyxl.load_workbook(made)["Rejects"]
    header, row = [[cell.value for cell in line] for line in cells.iter_rows()]
    assert header[-5:] == ["_line", "_column", "_code", "_reason", "_suggestion"]
    assert row[:6] == ["bob at mapleshop", "01040", 7, dt.datetime(2024, 2, 29), "+4915112345679", "'=1+1"]  # noqa: DTZ001
    assert row[6:9] == ["3", "Email", "email-invalid | required-missing"] or row[6] == "3"
    assert cells.freeze_panes == "A2"
    cells["A2"] = "bob@mapleshop.com"
    corrected = tmp_path / "corrected.xlsx"
    cells.parent.save(corrected)
    again = pipeline.run(corrected, desk.mapping, context=desk.context)
    assert (again.tally.read, again.tally.loaded) == (1, 1)
    assert again.parent == report.run
    assert b"'=1+1" in desk.sandbox.dump(), "no apostrophe is taken off a cell that was not given one"


@pytest.mark.parametrize(
    ("cell", "kind", "typed"),
    [
        ("12", "number", 12.0),
        ("007", "number", None),
        ("1e5", "number", None),
        ("123456789012345678", "number", None),
        ("2024-02-29", "date", dt.date(2024, 2, 29)),
        ("29.2.2024", "date", None),
        ("2024-02-29 08:30:00", "datetime", dt.datetime(2024, 2, 29, 8, 30)),  # noqa: DTZ001
        ("=1+1", "text", None),
    ],
)
def test_a_cell_is_a_number_or_a_date_only_where_it_comes_back_the_same(cell: str, kind: str, typed: Any) -> None:
    assert _typed(cell, kind) == typed
