"""Typed cells of workbooks: what the sheet shows is read, and what the workbook had rounded is nobody's id."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import xlsxwriter
import xlwt
from odf.opendocument import OpenDocumentSpreadsheet
from odf.table import Table, TableCell, TableRow
from odf.text import P

from etl.extract import open_source
from etl.extract.spreadsheet.formats.compound_file import stream_of
from etl.extract.spreadsheet.formats.number_format import identifier_format, is_identifier
from tests.support.importer import ImporterFixture
from tests.support.sheet_parts import row, sheet, text, write
from tests.support.xlsb_writer import write_xlsb


def read(path: Path) -> tuple[list[tuple[str, ...]], list[tuple[int, str, str | None]], str, str]:
    with open_source(path) as source:
        chunks = list(source.chunks())
        rows = [line[1:] for chunk in chunks for line in chunk.frame.itertuples(name=None)]
        issues = [(issue.line, issue.code, issue.column) for chunk in chunks for issue in chunk.issues]
        return rows, issues, " ".join(source.info.notes), source.info.details["column_types"]


# What Excel shows of each number; None where the number itself is the cell.
SHOWN: list[tuple[str, float, str | None]] = [
    ("00000", 1040, "01040"),
    ("00000", 0, "00000"),
    ("00000", 123456, "123456"),
    ("00000", -42, "-00042"),
    ("00000", 1.5, None),
    ("000-00", 1040, "010-40"),
    (r"000\-00\-0000", 12345678, "012-34-5678"),
    ("00000-0000", 10401234, "01040-1234"),
    ('"ID-"0000', 42, "ID-0042"),
    ('"ID-"0', 42, "ID-42"),
    (r"\K0000", 5, "K0005"),
    ("[$-409]00000", 42, "00042"),
    ("[Red]0000_)", 5, "0005"),
    ("[<=9999999]###\\-####;\\(###\\)\\ ###\\-####", 4155552671, "(415) 555-2671"),
    ("[<=9999999]###\\-####;\\(###\\)\\ ###\\-####", 5552671, "555-2671"),
    ("[<=9999999]###\\-####;\\(###\\)\\ ###\\-####", 42, None),
    ('0#" "##" "##" "##" "##', 612345678, "06 12 34 56 78"),
    (r"000\ 000\ 000", 5, "000 000 005"),
    ("+0", 4915112345678, "+4915112345678"),
    (r"\+0;\-0", 4915112345678, None),
    ('0000;[Blue]"x"0000;"none"', -5, "x0005"),
    ('0000;[Blue]"x"0000;"none"', 0, None),
    ("[>=100]000;0000", 5, "0005"),
    ("General", 42, None),
    ("0", 42, None),
    ("#,##0", 1040, None),
    ("00,000", 1040, None),
    (r"#\ ##0", 1234567, None),
    ("0.00", 42, None),
    ("00.00", 4, None),
    ("0%", 42, None),
    ("0.00E+00", 42, None),
    ("# ?/?", 42, None),
    ('"$"0', 42, None),
    ('0000\\ "€"', 42, None),
    ("[$€-407]0000", 42, None),
    ('0" km"', 42, None),
    ("@", 42, None),
    ("yyyymmdd", 42, None),
    ("", 42, None),
    (";;;", 42, None),
    ('"unclosed 000', 42, None),
]  # fmt: skip


@pytest.mark.parametrize(("code", "number", "shown"), SHOWN)
def test_a_number_format_shows_an_identifier_or_an_amount(code: str, number: float, shown: str | None) -> None:
    found = identifier_format(code)
    assert (found.shown(number) if found else None) == shown


@pytest.mark.parametrize("shown", ["01040", "010-40", "ID-1040", "+1040", "10-40", "1 0 4 0"])
def test_a_text_shows_an_identifier(shown: str) -> None:
    assert is_identifier(shown, 1040)


@pytest.mark.parametrize("shown", ["1,040", "1.040", "1 040", "1040 €", "$1040", "1040 km", "TRUE", "104", "1.040,00"])
def test_a_text_shows_an_amount(shown: str) -> None:
    assert not is_identifier(shown, 1040)


def formatted(path: Path) -> Path:
    book = openpyxl.Workbook()
    page = book.active
    assert page is not None
    page.append(["Email", "Zip", "Points", "Code", "Card"])
    for name, zip_code, points in (("ann", 1040, 0.1 + 0.2), ("bob", 99950, 7)):
        page.append([f"{name}@mapleshop.com", zip_code, points, 42, 4111111111111110])
    for line in (2, 3):
        page.cell(line, 2).number_format = "00000"
        page.cell(line, 3).number_format = "#,##0.00"
        page.cell(line, 4).number_format = '"ID-"0000'
        page.cell(line, 5).number_format = "0000000000000000000"
    book.save(path)
    return path


FORMATTED = [
    ("ann@mapleshop.com", "01040", "0.3", "ID-0042", "4.11111111111111E+15"),
    ("bob@mapleshop.com", "99950", "7", "ID-0042", "4.11111111111111E+15"),
]


def test_numbers_are_read_as_their_format_shows_them_and_it_is_said(tmp_path: Path) -> None:
    """What the workbook rounded stays visible, whatever its format shows."""
    rows, issues, notes, types = read(formatted(tmp_path / "a.xlsx"))
    assert rows == FORMATTED
    assert issues == []
    assert types == "text text number text number"
    assert "as the sheet shows them: 'Zip' (1 cells, 00000), 'Code' (2 cells, \"ID-\"0000)" in notes
    assert "'Card' (2 cells); export such columns as text" in notes


def test_cells_that_do_not_say_their_place_are_formatted_too(tmp_path: Path) -> None:
    book = formatted(tmp_path / "a.xlsx")
    with zipfile.ZipFile(book) as archive:
        parts = {name: archive.read(name).decode() for name in archive.namelist()}
    content = parts["xl/worksheets/sheet1.xml"]
    for column in "ABCDE":
        for line in "123":
            content = content.replace(f'<c r="{column}{line}"', "<c")
    for line in "123":
        content = content.replace(f'<row r="{line}"', "<row")
    with zipfile.ZipFile(tmp_path / "b.xlsx", "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, content if name.endswith("sheet1.xml") else part)
    assert ' r="' not in content
    assert read(tmp_path / "b.xlsx")[0] == FORMATTED


def test_a_binary_workbook_shows_its_formats(tmp_path: Path) -> None:
    people: list[list[Any]] = [["Email", "Zip", "Code"], ["ann@mapleshop.com", 1040, 42.0]]
    write_xlsb(tmp_path / "a.xlsb", people, formats={(1, 1): "00000", (1, 2): '"ID-"0000'})
    assert read(tmp_path / "a.xlsb")[0] == [("ann@mapleshop.com", "01040", "ID-0042")]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("error", [0x2A, 0x2B, 0x99])
def test_an_old_workbook_shows_its_formats_and_errors(tmp_path: Path, error: int) -> None:
    """Errors that the reader does not know included, which refuse the whole workbook."""
    book = xlwt.Workbook()
    book.add_sheet("Cover").write(0, 0, "Customers")
    page = book.add_sheet("Kund\u00e9n")
    for place, name in enumerate(("Email", "Zip", "Code", "Broken", "Points")):
        page.write(0, place, name)
    padded, named = xlwt.easyxf(num_format_str="00000"), xlwt.easyxf(num_format_str='"ID-"0000')
    for line, (name, zip_code) in enumerate((("ann", 1040), ("bob", 2134.0), ("cy", 99950)), start=1):
        for place, (cell, style) in enumerate(((f"{name}@a.co", None), (zip_code, padded), (42, named))):
            page.write(line, place, cell, style) if style else page.write(line, place, cell)
        page.write(line, 4, 0.1 + 0.2)
    page.row(2).set_cell_error(3, 0x2A)
    book.save(str(tmp_path / "a.xls"))
    data = (tmp_path / "a.xls").read_bytes()
    head = struct.pack("<HHHH", 0x205, 8, 2, 3)  # BoolErr of that cell
    assert data.count(head) == 1
    at = data.index(head) + len(head) + 2
    (tmp_path / "a.xls").write_bytes(data[:at] + bytes([error]) + data[at + 1 :])
    with open_source(tmp_path / "a.xls", sheet=2) as source:
        (chunk,) = source.chunks()
    assert [line[1:] for line in chunk.frame.itertuples(name=None)] == [
        ("ann@a.co", "01040", "ID-0042", "", "0.3"),
        ("bob@a.co", "02134", "ID-0042", "", "0.3"),
        ("cy@a.co", "99950", "ID-0042", "", "0.3"),
    ]
    assert [(issue.line, issue.code, issue.column) for issue in chunk.issues] == [(3, "cell-error", "Broken")]


@pytest.mark.parametrize("error", ["#0x2B", "#0x2C", "#0x99"])
def test_an_error_that_nobody_knows_costs_its_cell_in_a_binary_workbook(tmp_path: Path, error: str) -> None:
    write_xlsb(tmp_path / "a.xlsb", [["Email", "Name"], ["ann@a.co", error], ["bob@a.co", "Bob"]])
    rows, issues, _, _ = read(tmp_path / "a.xlsb")
    assert rows == [("ann@a.co", ""), ("bob@a.co", "Bob")]
    assert issues == [(2, "cell-error", "Name")]


def test_a_short_stream_of_a_compound_file_is_found_where_it_lies() -> None:
    """Streams below 4,096 bytes lie in a stream of their own, in sectors of 64 bytes."""
    free, end, table = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
    names = ("Root Entry", "Workbook")
    entries = b"".join(
        name.encode("utf-16-le").ljust(64, b"\0")
        + struct.pack("<HBB3I36xIQ", 2 * len(name) + 2, kind, 1, free, free, free, start, size)
        for name, kind, start, size in ((names[0], 5, 2, 512), (names[1], 2, 1, 100))
    )
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".ljust(24, b"\0") + struct.pack("<HHHHH", 62, 3, 0xFFFE, 9, 6)
    header = header.ljust(44, b"\0") + struct.pack("<IIIIIIIII", 1, 1, 0, 4096, 3, 1, end, 0, 0)
    header += struct.pack("<108I", *[free] * 108)
    sectors = [
        struct.pack("<128I", table, end, end, end, *[free] * 124),
        entries.ljust(512, b"\0"),
        bytes(64) + b"a" * 64 + bytes(64) + b"b" * 36 + bytes(284),
        struct.pack("<128I", end, 3, end, end, *[free] * 124),
    ]
    file = header + b"".join(sectors)
    found = stream_of(file, ["Workbook"])
    assert found is not None
    assert found.data == b"a" * 64 + b"b" * 36
    assert file[found.place(63) : found.place(63) + 1] + file[found.place(64) : found.place(64) + 1] == b"ab"
    assert stream_of(file, ["Book"]) is None


def open_document(path: Path, *lines: list[tuple[str, dict[str, str]]]) -> Path:
    document = OpenDocumentSpreadsheet()
    table = Table(name="People")
    for line in lines:
        cells = TableRow()
        for shown, attributes in line:
            cell = TableCell(**(attributes or {"valuetype": "string"}))
            if shown:
                cell.addElement(P(text=shown))
            cells.addElement(cell)
        table.addElement(cells)
    document.spreadsheet.addElement(Table(name="Empty"))
    document.spreadsheet.addElement(table)
    document.save(str(path))
    return path


def test_an_open_document_is_read_as_it_shows(tmp_path: Path) -> None:
    header: list[tuple[str, dict[str, str]]] = [(name, {}) for name in ("Email", "Zip", "Sum", "Time", "Late", "Big")]
    ann = [
        ("ann@mapleshop.com", {}),
        ("01040", {"valuetype": "float", "value": "1040", "numbercolumnsrepeated": "1"}),
        ("0.30", {"valuetype": "float", "value": "0.30000000000000004"}),
        ("26:30:00", {"valuetype": "time", "timevalue": "PT26H30M00S"}),
        ("", {"formula": "of:=1+1"}),
        ("1234567890123456789", {"valuetype": "float", "value": "1.23456789012346E+018"}),
    ]
    bob = [
        ("PT26H30M00S", {}), ("1.040", {"valuetype": "float", "value": "1040"}), ("", {"numbercolumnsrepeated": "2"}),
        ("01:30:00", {"valuetype": "time", "timevalue": "PT01H30M00S"}),
    ]  # fmt: skip
    rows, issues, notes, _ = read(open_document(tmp_path / "a.ods", header, ann, bob))
    assert rows == [
        ("ann@mapleshop.com", "01040", "0.3", "26:30:00", "", "1.23456789012346E+18"),
        ("PT26H30M00S", "1040", "", "", "01:30:00", ""),
    ]
    assert issues == [(2, "formula-uncalculated", "Late")]
    assert "'Zip' (1 cells)" in notes


BARE = {
    "no value": "<f>1+1</f>",
    "an empty value": "<f>1+1</f><v></v>",
    "an empty value of one tag": "<f>1+1</f><v/>",
    "a shared formula": '<f t="shared" si="0"/>',
}


@pytest.mark.parametrize("name", BARE)
def test_a_formula_that_was_never_calculated_is_said(tmp_path: Path, name: str) -> None:
    people = [
        row(1, text("A1", "Email"), text("B1", "First Name"), text("C1", "Points")),
        row(2, text("A2", "ann@mapleshop.com"), '<c r="B2" t="str"><f>""</f><v></v></c><c r="C2"><f>0</f><v>0</v></c>'),
        row(3, text("A3", "bob@mapleshop.com"), f'<c r="B3">{BARE[name]}</c>', '<c r="C3"><v>5</v></c>'),
    ]
    rows, issues, _, _ = read(write(tmp_path / "a.xlsx", sheet(*people)))
    assert rows == [("ann@mapleshop.com", "", "0"), ("bob@mapleshop.com", "", "5")]
    assert issues == [(3, "formula-uncalculated", "First Name")]


@pytest.mark.parametrize(("value", "is_said"), [(0, True), (2, False)])
def test_the_zero_that_a_library_writes_for_every_formula_is_no_value(
    tmp_path: Path, value: int, *, is_said: bool
) -> None:
    book = xlsxwriter.Workbook(str(tmp_path / "a.xlsx"))
    page = book.add_worksheet()
    page.write_row(0, 0, ["Email", "Points"])
    page.write_row(1, 0, ["ann@mapleshop.com"])
    page.write_formula(1, 1, "=1+1", value=value)
    book.close()
    rows, issues, _, _ = read(tmp_path / "a.xlsx")
    assert rows == [("ann@mapleshop.com", "" if is_said else "2")]
    assert issues == ([(2, "formula-uncalculated", "Points")] if is_said else [])


def test_ids_that_the_workbook_rounded_make_nobody_of_two_people(tmp_path: Path) -> None:
    """Half a million customers of a platform with ids of 19 digits: no two of them become one."""
    desk = ImporterFixture(tmp_path)
    desk.source = tmp_path / "people.xlsx"
    book = openpyxl.Workbook()
    page = book.active
    assert page is not None
    page.append(["Customer ID", "Email", "Zip"])
    page.append([1234567890123456789, "ann@mapleshop.com", 1040])
    page.append([1234567890123456790, "bob@mapleshop.com", 2134])
    for line in (2, 3):
        page.cell(line, 3).number_format = "00000"
    book.save(desk.source)
    desk.mapping = {
        "columns": {"Customer ID": "external_id", "Email": "email", "Zip": "location.zip"},
        "load": {"small_run": 0},
    }
    report = desk.run()
    assert [(group.code, group.lines) for group in report.issues] == [("external-id-spreadsheet-number", (2, 3))]
    told = desk.sandbox.dump().decode()
    assert "1234567890123" not in told
    assert told.count("mapleshop.com") == told.count('"zip":"01040"') + told.count('"zip":"02134"') == 2
