"""The way back: every cell that was left out can be found and fixed, and a corrected file runs as it is."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import orjson
import pytest
from odf.meta import UserDefined
from odf.opendocument import OpenDocumentSpreadsheet
from odf.table import Table, TableCell, TableRow
from odf.text import P

import etl.report.build
from etl import pipeline
from etl.config import EventMapping, Mapping, SourceRule, parse_mapping
from etl.errors import ConfigError
from etl.pipeline.kinds.rows_to_fix import mapping_of_rows
from etl.pipeline.lifecycle.origins import run_named
from etl.pipeline.staging.rejects_source import IS_REJECTS, open_file
from etl.report import Report, render_html, render_text, report_document
from etl.report.rejects import REJECT_COLUMNS, VALUE_COLUMN, added_columns
from tests.support import in_process as rehearsal
from tests.support.command_line import told
from tests.support.importer import ImporterFixture
from tests.unit.report.test_report_html import Page

HEADER = ("Id", "Email", "Name", "Phone", "Born", "Note")
COLUMNS = {
    "Id": "external_id",
    "Email": {"to": "email", "required": True},
    "Name": "first_name",
    "Phone": "phone_number",
    "Born": {"to": "properties.born", "type": "date", "format": "%d.%m.%Y"},
}


def german(number: int, phone: str = "", born: str = "03.04.1990") -> tuple[str, ...]:
    return (f"c{number}", f"person{number}@mapleshop.de", "Zoë", phone or f"+49151{23000000 + number}", born, "x")


def at_desk(folder: Path, **mapping: Any) -> ImporterFixture:
    desk = ImporterFixture(folder)
    load = {"list": "News", "small_run": 0}
    desk.mapping = {"defaults": {"country": "DE"}, "columns": COLUMNS, "load": load, **mapping}
    return desk


def rows_of(path: Path, **dialect: Any) -> tuple[list[str], list[dict[str, str]]]:
    text = path.read_bytes().decode("utf-8-sig")
    header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True, **dialect)
    return header, [dict(zip(header, row, strict=True)) for row in rows]


def profiles(desk: ImporterFixture) -> dict[str, dict[str, Any]]:
    found = [orjson.loads(line) for line in desk.sandbox.dump().splitlines() if line]
    return {one["external_id"]: one for one in found if one.get("external_id")}


# --- what was left out ------------------------------------------------------------------------------------------------


@pytest.fixture
def imported(tmp_path: Path) -> tuple[ImporterFixture, Report]:
    """140 rows of which 57 cells are left out: 54 phones and 3 birthdays, two of them in one row."""
    desk = at_desk(tmp_path)
    rows = [german(n, phone="0151 7" if n < 53 else "0151 1" if n == 60 else "") for n in range(140)]
    for n, born in ((10, "31.02.1990"), (80, "1990"), (90, "morgen")):
        rows[n] = (*rows[n][:4], born, "x")
    desk.write(rows, HEADER)
    return desk, desk.run()


def test_the_headline_counts_the_cells_that_were_left_out(imported: tuple[ImporterFixture, Report]) -> None:
    """In every form of the report, and where each column went; every issue is listed, and no value of a cell."""
    desk, report = imported
    assert report.headline == "140 loaded, 57 cells left out"
    assert report.left_out_of == (("Phone", 54), ("Born", 3))
    folder = desk.folder / "runs" / report.run
    text = (folder / "report.txt").read_text()
    assert f"\n  {report.headline}\n" in text
    assert f"klaviyo-etl rejects {report.run} --warnings" in text
    assert [line for line in text.splitlines() if len(line) > 80 and not line.startswith("  source ")] == []
    document = orjson.loads((folder / "report.json").read_bytes())
    assert (document["headline"], document["cells_left_out"]) == (report.headline, report.cells_left_out)
    assert len(document["listed"]) == document["listable"] == 57
    assert {(one["place"], one["column"]) for one in document["listed"]} >= {("62", "Phone"), ("92", "Born")}
    html = (folder / "report.html").read_text()
    page = Page(html)
    assert report.headline in page.words
    assert f"{report.cells_left_out} cells were left out; every row is accounted for" in page.words
    assert [attributes["href"] for tag, attributes in page.tags if tag == "a"] == ["warnings.csv"]
    (listed,) = [
        orjson.loads(str(attributes["data-issues"])) for _, attributes in page.tags if "data-issues" in attributes
    ]
    assert len(listed["rows"]) == 57
    assert {place for place, kind, _ in listed["rows"] if listed["kinds"][kind][4] == "Born"} == {"12", "82", "92"}
    assert re.search(r"Not imported: ?Note ?\.", page.words)
    assert [use.targets for use in report.columns] == [
        ("external_id",), ("email",), ("first_name",), ("phone_number",), ("properties.born",), (),
    ]  # fmt: skip
    assert not [each for each in ("0151 7", "morgen", "person10") if each in html + text]


def test_the_file_of_warnings_holds_every_one_with_its_value_and_suggestion(tmp_path: Path) -> None:
    """As CSV and as a workbook with those cells coloured; rows that were refused stand in the other file."""
    desk = at_desk(tmp_path)
    desk.write(
        [
            german(0),
            german(1, phone="4915112345678"),
            german(2, phone="0151 1", born="=1+1"),
            ("c3", "bob at home", "Bob", "0151 1", "", ""),
            ("c4", "eve@gmial.com", "Eve", "", "", ""),
        ],
        HEADER,
    )
    checked = pipeline.check(desk.source, desk.mapping, context=desk.context)
    assert checked.headline == "4 to be sent, 1 rejected, 3 cells left out"
    header, rows = rows_of(desk.folder / "runs" / checked.run / "warnings.csv")
    assert header == [*HEADER, *REJECT_COLUMNS, VALUE_COLUMN]
    assert [(row["_line"], row["_column"], row["_code"], row["_suggestion"], row["_value"]) for row in rows] == [
        ("3", "Phone", "phone-plus-lost", "'+4915112345678", "4915112345678"),
        ("4", "Phone | Born", "phone-invalid | date-invalid", "", "Phone: 0151 1 | Born: =1+1"),
        ("6", "Email", "email-domain-typo", "eve@gmail.com", "eve@gmial.com"),
    ]
    assert rows[1]["Born"] == "'=1+1", "no spreadsheet runs it"
    assert pipeline.rejects(desk.folder / "book.xlsx", checked.run, context=desk.context, warnings=True) == 3
    sheet = openpyxl.load_workbook(desk.folder / "book.xlsx")["Warnings"]
    coloured = {
        (cell.row, cell.column): cell.fill.fgColor.rgb
        for row in sheet.iter_rows()
        for cell in row
        if cell.fill.fill_type
    }
    assert sorted(coloured) == [(2, 4), (3, 4), (3, 5), (4, 2)]
    assert coloured[2, 4] == coloured[3, 5] != coloured[4, 2], "what was left out looks other than what was sent"
    assert pipeline.rejects(desk.folder / "no.xlsx", checked.run, context=desk.context) == 1
    refused = openpyxl.load_workbook(desk.folder / "no.xlsx")["Rejects"]
    assert {refused["B2"].fill.fgColor.rgb, refused["D2"].fill.fgColor.rgb} > {coloured[2, 4]}


def test_a_check_with_cells_left_out_says_so_last(tmp_path: Path) -> None:
    desk = at_desk(tmp_path)
    desk.write([german(0), german(1, phone="0151 1")], HEADER)
    report = pipeline.check(desk.source, desk.mapping, context=desk.context)
    assert "1 cell would be left out (1 of 'Phone')" in report.next_steps[-2]
    assert report.next_steps[-1] == "klaviyo-etl run sends these rows without that cell."
    assert "Nothing stands in the way" not in render_text(report) + render_html(report) + str(report_document(report))
    desk.write([german(0)], HEADER)
    clean = pipeline.check(desk.source, desk.mapping, context=desk.context)
    assert clean.next_steps == ("Nothing stands in the way: klaviyo-etl run sends these rows.",)


def test_a_cell_counts_once_and_only_where_its_row_was_taken(tmp_path: Path) -> None:
    """Two faults of one cell, cells of refused rows, errors in columns that nobody imports."""
    desk = at_desk(tmp_path)
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(list(HEADER))
    for number in range(4):
        sheet.append(list(german(number)))
    sheet["B2"], sheet["D2"] = "bob at home", "0151 1"
    sheet["D3"], sheet["F3"] = "#N/A", "#N/A"
    sheet["F4"] = "#REF!"
    for place in ("D3", "F3", "F4"):
        sheet[place].data_type = "e"
    book.save(desk.folder / "people.xlsx")
    report = pipeline.run(desk.folder / "people.xlsx", desk.mapping, context=desk.context, verify="none")
    assert report.headline == "3 loaded, 1 rejected, 1 cell left out"
    assert report.left_out_of == (("Phone", 1),)
    assert {path.name for path in (desk.folder / "runs" / report.run).glob("*.xlsx")} == {
        "rejects.xlsx",
        "warnings.xlsx",
    }


def test_a_report_lists_a_bounded_number_and_says_so(
    imported: tuple[ImporterFixture, Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, report = imported
    monkeypatch.setattr(etl.report.build, "MAX_LISTED", 10)
    found = pipeline.get_report(report.run, context=desk.context)
    assert (len(found.listed), found.listable) == (10, 57)
    words = Page(render_html(found)).words
    assert f"the first 10 of 57, errors first; klaviyo-etl rejects {report.run} --warnings writes all" in words
    assert pipeline.runs(context=desk.context)[0].listed == ()


# --- a corrected file runs as it is -----------------------------------------------------------------------------------


def book_at(path: Path) -> None:
    """A workbook as people have them: a cover sheet, a title, the header in row 3."""
    book = openpyxl.Workbook()
    assert book.active is not None
    book.active["A1"] = "Report of the year"
    sheet = book.create_sheet("Kunden")
    sheet.append(["Our customers"])
    sheet.append([])
    sheet.append(list(HEADER))
    for number in range(6):
        sheet.append(list(german(number, phone="0151 1" if number % 3 == 1 else "")))
    sheet["B5"] = "bob at home"
    book.save(path)


def by_openpyxl(made: Path, to: Path) -> None:
    openpyxl.load_workbook(made).save(to)


def as_values(made: Path, to: Path) -> None:
    """As programs copy tables: a new workbook with the cells and nothing else."""
    book = openpyxl.Workbook()
    assert book.active is not None
    for row in openpyxl.load_workbook(made).active.iter_rows(values_only=True):
        book.active.append(row)
    book.save(to)


def as_ods(made: Path, to: Path) -> None:
    """As LibreOffice saves a workbook: the property of the document becomes metadata of the user's own."""
    document = OpenDocumentSpreadsheet()
    with zipfile.ZipFile(made) as archive:
        run = archive.read("docProps/custom.xml").decode().partition("<vt:lpwstr>")[2].partition("<")[0]
    document.meta.addElement(UserDefined(name="klaviyo-etl run", valuetype="string", text=run))
    table = Table(name=openpyxl.load_workbook(made).sheetnames[0])
    for row in openpyxl.load_workbook(made).active.iter_rows(values_only=True):
        line = TableRow()
        for value in row:
            cell = TableCell(valuetype="string")
            cell.addElement(P(text="" if value is None else str(value)))
            line.addElement(cell)
        table.addElement(line)
    document.spreadsheet.addElement(table)
    document.save(str(to))


@pytest.mark.parametrize(("save", "name"), [(by_openpyxl, "a.xlsx"), (as_values, "b.xlsx"), (as_ods, "c.ods")])
def test_a_corrected_workbook_is_read_with_the_mapping_of_its_run(tmp_path: Path, save: Any, name: str) -> None:
    """Sheet 2 and header row 3 are the original's; saved by others and renamed, it runs; only its rows are sent."""
    desk = at_desk(tmp_path, source={"sheet": 2, "header_row": 3})
    book_at(desk.folder / "people.xlsx")
    first = pipeline.run(desk.folder / "people.xlsx", desk.mapping, context=desk.context, verify="none")
    assert first.headline == "5 loaded, 1 rejected, 1 cell left out"
    folder = desk.folder / "runs" / first.run
    for made, place, value in (("rejects.xlsx", "B2", "bob@mapleshop.de"), ("warnings.xlsx", "D2", "+4915123000099")):
        fixed = openpyxl.load_workbook(folder / made)
        fixed.active[place] = value
        if made == "rejects.xlsx":
            fixed.active["D2"] = "+4915123000098"
        fixed.save(desk.folder / "between.xlsx")
        moved = desk.folder / name
        save(desk.folder / "between.xlsx", moved)
        found = mapping_of_rows([moved], desk.context)
        assert isinstance(found, Mapping)
        assert found.model_dump() == parse_mapping(desk.mapping).model_dump()
        again = pipeline.run(moved, found, context=desk.context, verify="none")
        assert (again.headline, again.parent) == ("1 loaded", first.run)
    assert profiles(desk)["c1"]["email"] == "bob@mapleshop.de"
    assert profiles(desk)["c4"]["phone_number"] == "+4915123000099"


def test_run_takes_the_file_that_a_run_left_behind(tmp_path: Path) -> None:
    """On the command line, with nothing named but the file: where it lies, and under the name that rejects gives it."""
    folder = tmp_path / "desk"
    folder.mkdir()
    book_at(folder / "people.xlsx")
    mapping = pipeline_toml({"source": {"sheet": 2, "header_row": 3}, "defaults": {"country": "DE"}})
    (folder / "people.toml").write_text(mapping)
    code, said = told(folder, "run", "people.xlsx", "--sandbox", "--yes")
    assert (code, "5 loaded, 1 rejected, 1 cell left out" in said) == (1, True), said
    (run,) = [path.name for path in (folder / "runs").iterdir()]
    assert f"Cells left out:   runs/{run}/warnings.xlsx" in said
    for name in ("rejects.xlsx", "rejects.csv"):
        code, said = told(folder, "check", f"runs/{run}/{name}")
        assert (code, "1 rejected" in said) == (1, True), said
    code, said = told(folder, "report", run, "--format", "html", "--to", "page.html")
    links = re.findall(r'href="([^"]+)"', (folder / "page.html").read_text())
    assert links == [f"runs/{run}/{stem}{form}" for stem in ("rejects", "warnings") for form in (".xlsx", ".csv")]
    assert all((folder / link).is_file() for link in links)
    code, said = told(folder, "rejects", run)
    assert (code, f"1 row to fix: rejects-{run}.csv" in said) == (0, True), said
    fixed = (folder / f"rejects-{run}.csv").read_text("utf-8-sig").replace("bob at home", "bob@mapleshop.de")
    (folder / f"rejects-{run}.csv").write_text(fixed)
    code, said = told(folder, "run", f"rejects-{run}.csv", "--sandbox", "--yes")
    assert (code, "1 loaded, 1 cell left out" in said, f"parent   {run}" in said) == (0, True, True), said
    (folder / "other.csv").write_text("Email\nann@mapleshop.de\n")
    code, said = told(folder, "run", "other.csv", "--sandbox", "--yes")
    assert (code, "There is no mapping for other.csv" in said) == (2, True), said


def pipeline_toml(sections: dict[str, dict[str, Any]]) -> str:
    lines = []
    for section, values in {**sections, "columns": COLUMNS}.items():
        lines.append(f"[{section}]")
        for name, value in values.items():
            pairs = value.items() if isinstance(value, dict) else ()
            text = "{" + ", ".join(f"{key} = {orjson.dumps(one).decode()}" for key, one in pairs) + "}"
            lines.append(f"{name} = {text if pairs else orjson.dumps(value).decode()}")
    return "\n".join(lines)


DIALECTS = [
    (";", "cp1252", csv.QUOTE_MINIMAL),
    ("\t", "utf-16", csv.QUOTE_MINIMAL),
    ("|", "utf-8", csv.QUOTE_ALL),
    ("^", "utf-8-sig", csv.QUOTE_MINIMAL),
    (",", "cp1252", csv.QUOTE_ALL),
]


@pytest.mark.parametrize(("delimiter", "encoding", "quoting"), DIALECTS)
def test_rejects_are_written_in_the_dialect_of_the_source_and_read_as_any_spreadsheet_saves_them(
    tmp_path: Path, delimiter: str, encoding: str, quoting: Any
) -> None:
    """In columns for an Excel of that country; one row with other delimiters in its cells is no riddle."""
    desk = at_desk(tmp_path)
    source = {"encoding": encoding, "delimiter": delimiter} if encoding != "utf-8-sig" else {"delimiter": delimiter}
    desk.mapping["source"] = source
    note = 'a,b;c|d ^ "e"'
    with desk.source.open("w", encoding=encoding, newline="") as out:
        rows = [("c1", "bob at home", "Zoë", "1.234,50;2", "", note), german(2)]
        csv.writer(out, delimiter=delimiter, quoting=quoting).writerows([HEADER, *rows])
    report = pipeline.check(desk.source, desk.mapping, context=desk.context)
    path = desk.folder / "runs" / report.run / "rejects.csv"
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    header, (row,) = rows_of(path, delimiter=delimiter)
    assert (header, row["Name"], row["Note"]) == ([*HEADER, *REJECT_COLUMNS], "Zoë", note)
    rule = SourceRule(**source, sheet=2, header_row=7)
    for saved_as, between in ((encoding, ";"), (encoding, delimiter), ("utf-8-sig", ","), ("utf-16", "\t")):
        with (desk.folder / "saved.csv").open("w", encoding=saved_as, newline="") as out:
            csv.writer(out, delimiter=between, quoting=quoting).writerows([header, list(row.values())])
        with open_file(desk.folder / "saved.csv", rule) as back:
            assert back.info.columns == HEADER, (saved_as, between)
            assert IS_REJECTS in back.info.details
            (chunk,) = back.chunks()
            assert [tuple(cells) for cells in chunk.frame.to_numpy()] == [rows[0]], (saved_as, between)


def test_a_row_of_warnings_is_sent_with_the_other_lines_of_its_person(tmp_path: Path) -> None:
    """The older line has the bad phone, the newer one the plan: corrected alone, it would bring the old plan back."""
    desk = at_desk(tmp_path, profile={"duplicates": "last"})
    desk.mapping["columns"] = {**COLUMNS, "Note": "properties.plan"}
    rows = [(*german(1, phone="0151 1")[:5], "old"), (*german(1)[:3], "", "03.04.1990", "new"), german(2), german(3)]
    desk.write(rows, HEADER)
    first = desk.run()
    assert first.cells_left_out == 1
    path = desk.folder / "runs" / first.run / "warnings.csv"
    header, found = rows_of(path)
    assert [(row["_line"], row["Note"], row["_column"]) for row in found] == [("2", "old", "Phone"), ("3", "new", "")]
    again = pipeline.run(path, desk.mapping, context=desk.context, verify="none")
    assert (again.tally.read, again.tally.duplicate) == (2, 1)
    assert profiles(desk)["c1"]["properties"]["plan"] == "new"
    assert added_columns(header) == {*REJECT_COLUMNS, VALUE_COLUMN}


def test_nobody_vanishes_because_rows_to_fix_are_few(tmp_path: Path) -> None:
    """Even where state knows nothing of the run: rows to fix are never the whole source, and a mirrored list stays."""
    desk = at_desk(tmp_path)
    desk.mapping["load"] = {"list": "News", "small_run": 0, "missing": "mirror"}
    desk.write([*map(german, range(6)), german(7, phone="0151 1")], HEADER)
    first = desk.run()
    path = desk.folder / "runs" / first.run / "warnings.csv"
    kept = desk.folder / "kept.csv"
    kept.write_bytes(path.read_bytes())
    context = rehearsal.context(tmp_path, desk.sandbox, desk.clock, state=str(tmp_path / "other.db"))
    again = pipeline.run(kept, desk.mapping, context=context, verify="none")
    assert (again.tally.read, again.tally.loaded, again.parent) == (1, 1, None)
    assert len(list(pipeline.list_members("News", context=desk.context))) == 7


def test_where_two_mappings_fit_none_is_taken_in_silence(tmp_path: Path) -> None:
    """A file says its run by its name or its folder; without either, runs of different mappings are two readings."""
    desk = at_desk(tmp_path)
    desk.write([german(0), ("c1", "bob at home", "Bob", "", "", "")], HEADER)
    first = pipeline.check(desk.source, desk.mapping, context=desk.context)
    made = desk.folder / "runs" / first.run / "rejects.csv"
    nameless = desk.folder / "fixed.csv"
    nameless.write_bytes(made.read_bytes())
    found = mapping_of_rows([nameless], desk.context)
    assert found is not None
    assert found.model_dump() == parse_mapping(desk.mapping).model_dump()
    second = pipeline.check(desk.source, {**desk.mapping, "load": {"list": "VIP"}}, context=desk.context)
    with pytest.raises(ConfigError, match=f"{second.run}, {first.run}") as refused:
        mapping_of_rows([nameless], desk.context)
    assert refused.value.code == "mapping-missing"
    named = desk.folder / f"rejects-{first.run}.csv"
    named.write_bytes(made.read_bytes())
    for path, run in (
        (named, first.run),
        (made, first.run),
        (made.parent.parent / second.run / "rejects.csv", second.run),
    ):
        found = mapping_of_rows([path], desk.context)
        assert run_named(path) == run
        assert isinstance(found, Mapping)
        assert found.load.list == {first.run: "News", second.run: "VIP"}[run]
    stranger = rehearsal.context(tmp_path, desk.sandbox, desk.clock, state=str(tmp_path / "other.db"))
    with pytest.raises(ConfigError, match=f"of run {first.run}, and this state does not know"):
        mapping_of_rows([named], stranger)
    assert mapping_of_rows([desk.source], desk.context) is None
    (desk.folder / "rejects.zip").write_bytes(b"PK\x03\x04")
    assert run_named(desk.folder / "rejects.zip") is None


def test_code_of_a_mapping_runs_from_its_file_or_not_at_all(tmp_path: Path) -> None:
    desk = at_desk(tmp_path)
    desk.mapping["columns"] = {**COLUMNS, "Name": {"to": "first_name", "transform": [{"function": "os:getcwd"}]}}
    desk.write([("c1", "bob at home", "Bob", "", "", "")], HEADER)
    first = pipeline.check(desk.source, desk.mapping, context=desk.context)
    with pytest.raises(ConfigError, match="names Python code"):
        mapping_of_rows([desk.folder / "runs" / first.run / "rejects.csv"], desk.context)


def test_rows_of_events_find_the_mapping_of_their_run_too(tmp_path: Path) -> None:
    desk = ImporterFixture(tmp_path)
    rules = {
        "event": {"metric": "Visited"},
        "columns": {"Email": "email", "At": "time", "Born": {"to": "properties.born", "type": "date"}},
    }
    desk.write(
        [("bob at home", "2024-05-01T10:00:00Z", ""), ("ann@mapleshop.de", "2024-05-01T10:00:00Z", "x")],
        ("Email", "At", "Born"),
    )
    first = pipeline.events(desk.source, rules, context=desk.context, check=True)
    assert (first.headline, first.left_out_of) == ("1 to be sent, 1 rejected, 1 cell left out", (("Born", 1),))
    for name in ("rejects.csv", "warnings.csv"):
        path = desk.folder / "runs" / first.run / name
        found = mapping_of_rows([path], desk.context, kind="events")
        assert isinstance(found, EventMapping)
        assert found.event.metric == "Visited"
        with pytest.raises(ConfigError):
            mapping_of_rows([path], desk.context)
