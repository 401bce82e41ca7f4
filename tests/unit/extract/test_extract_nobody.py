"""Which line is the header, and which rows are nobody: one judge for text files and sheets."""

from __future__ import annotations

import csv
import datetime as dt
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from etl import pipeline
from etl.config import SourceRule
from etl.errors import SourceError
from etl.extract import open_source
from tests.support.importer import ImporterFixture


def read(path: Path, **options: Any) -> tuple[tuple[str, ...], list[tuple[str, ...]], dict[str, int], tuple[str, ...]]:
    """Return the columns, the rows, what was set aside, and the notes."""
    with open_source(path, **options) as source:
        rows = [row for chunk in source.chunks() for row in chunk.frame.itertuples(index=False, name=None)]
        return source.info.columns, rows, dict(source.info.set_aside), source.info.notes


Rows = str | list[list[Any]]


def written(path: Path, rows: Rows) -> Path:
    """Write a text file, or a workbook of these rows."""
    if isinstance(rows, str):
        path.write_text(rows, encoding="utf-8")
        return path
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path.with_suffix(".xlsx"))
    return path.with_suffix(".xlsx")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "people.csv"


HEADERLESS: dict[str, Rows] = {
    "addresses": "ann@x.de,Ann,Bonn\nbob@x.de,Bob,Ulm\n",
    "phones": "Ann,+4915112345678\nBob,+4915112345679\nCy,+4915112345670\n",
    "phones of a country": "Ann;0151 12345678\nBob;0151 12345679\n",
    "numbers": "1001,Ann,Bonn\n1002,Bob,Ulm\n1003,Cy,Trier\n",
    "codes": "C-1,Ann,Bonn\nC-2,Bob,Ulm\n",
    "dates": "Ann,2001-02-03\nBob,1999-12-31\n",
    "names, one of them twice": "Ann,Lee,Bonn\nBob,May,Ulm\nCy,Poe,Bonn\n",
    "names and addresses in brackets": "Ann <ann@x.de>,Bonn\nBob <bob@x.de>,Ulm\n",
    "a single person": "Ann,+4915112345678\n",
    "nothing in common": "1990-01-01,\n,12.50\n",
    "sparse, and nothing tells": "Lyon,\nUlm,Yann\nParis,Lea\n",
    "flags": "c-1;no;Ann\nd-22;yes;Bob\n",
    "sheet: addresses": [["ann@x.de", "Ann"], ["bob@x.de", "Bob"]],
    "sheet: numbers": [[1001, "Ann", 5], [1002, "Bob", 7]],
    "sheet: dates": [["Ann", dt.date(2001, 2, 3)], ["Bob", dt.date(1999, 12, 31)]],
}


@pytest.mark.parametrize("name", HEADERLESS)
def test_a_table_without_a_header_keeps_its_first_person(name: str, path: Path) -> None:
    rows = HEADERLESS[name]
    columns, people, _, notes = read(written(path, rows))
    assert columns == tuple(f"column_{place}" for place in range(1, len(columns) + 1))
    assert len(people) == (rows.count("\n") if isinstance(rows, str) else len(rows))
    assert any("there is no header" in note for note in notes)


HEADERS: dict[str, tuple[Rows, tuple[str, ...] | None, int]] = {
    "case 03": (
        'Notes:\n"Some\n email, in ""lines"". Really."\n\nFirst Name,Last Name,Email Address\nA,L,a@x.de\nB,M,b@x.de\n',
        ("First Name", "Last Name", "Email Address"),
        2,
    ),
    "a title in another delimiter": ("Customers, as of March\n\nEmail;Name;City\na@x.de;A;Bonn\nb@x.de;B;\n", None, 2),
    "facts of the report": (
        "Report date:,2024-01-05\nBy:,Ann Lee\nEmail,Name,City\na@x.de,A,Bonn\nb@x.de,B,Ulm\n",
        None,
        2,
    ),
    "facts as wide as the table": ("Shop,Berlin,2024\nEmail,Name,Points\na@x.de,A,3\nb@x.de,B,4\n", None, 2),
    "one column": ("Customers of March\nEmail\na@x.de\nb@x.de\nc@x.de\n", ("Email",), 3),
    "delimiters filled up": ("Customer list,,\n,,\nEmail,Name,City\na@x.de,A,Bonn\n", None, 1),
    "groups above the names": ("Contact,,Address,\nEmail,Name,City,Zip\na@x.de,A,Bonn,53111\n", None, 1),
    "groups that cover much": ("Contact,,Address\nEmail,Name,City\na@x.de,A,Bonn\n", None, 1),
    "no known names": ("Zork,Bla\na@x.de,3\nb@x.de,4\n", ("Zork", "Bla"), 2),
    "years": ("Kunde,2023,2024\nAnn,3,4\nBob,5,6\n", ("Kunde", "2023", "2024"), 2),
    "only a header": ("Email,Name\n", ("Email", "Name"), 0),
    "words above words": ("Foo,Bar\nAnn,Bonn\nBob,Ulm\n", ("Foo", "Bar"), 2),
    "a word where addresses are": ("Email,Points\nnot known,3\nb@x.de,4\nc@x.de,5\n", ("Email", "Points"), 3),
    "sheet: a number among names": ([["Email", "Name", 2024], ["a@x.de", "A", None], ["b@x.de", "B", 5.0]], None, 2),
    "sheet: a date among names": (
        [["Email", "Name", dt.date(2024, 1, 1)], ["a@x.de", "A", 7], ["b@x.de", "B", 5]],
        None,
        2,
    ),
    "sheet: a number above words": (
        [["Email", 1, 2], ["a@x.de", "A", "x"], ["b@x.de", "B", "y"]],
        ("Email", "1", "2"),
        2,
    ),
    "sheet: a title and blank rows": ([["Our people"], [], ["Email", "Name"], ["a@x.de", "A"]], ("Email", "Name"), 1),
    "sheet: groups": ([["Contact", None, "Address"], ["Email", "Name", "City"], ["a@x.de", "A", "Bonn"]], None, 1),
    "sheet: notes far right": (
        [["Email", "Name", None, None, "Note: call Ann"], ["a@x.de", "A", None, None, None], ["b@x.de", "B"]],
        ("Email", "Name"),
        2,
    ),
    "sheet: notes beside the rows": (
        [["Email", "Name"], ["a@x.de", "A", None, None, "call"], ["b@x.de", "B"], [None, None, None, None, "more"]],
        ("Email", "Name"),
        2,
    ),
    "sheet: a gap in the table": (
        [["Email", None, "City"], ["a@x.de", None, "Bonn"]],
        ("Email", "column_2", "City"),
        1,
    ),
}


@pytest.mark.parametrize("name", HEADERS)
def test_the_header_is_found_by_the_rows_below_it(name: str, path: Path) -> None:
    rows, columns, people = HEADERS[name]
    found = read(written(path, rows))
    if columns is None:
        assert found[0][0] in {"Email", "Shop"}, found
        assert "Name" in found[0]
    else:
        assert found[0] == columns
    assert len(found[1]) == people
    assert not any("may be it as well" in note for note in found[3]), found[3]


NOBODY = {
    "case 04": ("1001,ann@x.de,Ann,10\nCustomer ID,Email,Name,Spent\nTotal,,,22\n", 1, 1, 1),
    "other words": ('1001,ann@x.de,Ann,10\nSumme,,,10\n,,Gesamt,"10,00 €"\nGrand total:,,,10\n合計,,,10\n', 1, 0, 4),
    "groups": ("1001,ann@x.de,Ann,10\nBonn Ergebnis,,,10\nTotal for Ulm,,,10\nZwischensumme,,,3\n", 1, 0, 3),
    "footers": ("1001,ann@x.de,Ann,10\n3 rows\n(1 row affected)\nExported on 2026-01-02,,,\nSeite 1 von 3\n", 1, 0, 4),
    "footers in cells": (
        "1001,ann@x.de,Ann,10\nTotal records:,3,,\nExported on,2026-01-02,,\nStand: 01.02.2026\n",
        1,
        0,
        3,
    ),
    "rules": ("-----------,-----,----,-----\n1001,ann@x.de,Ann,10\n", 1, 0, 1),
    "amounts": ('1001,ann@x.de,Ann,10\nTotal (EUR),,,10\nTotal USD,,,10\nGesamt EUR,,"3 Zeilen",10\n', 1, 0, 3),
    "reports": (
        "1001,ann@x.de,Ann,1\nExported: 2026-01-02\nGenerated By:  Zoe 1/2/2026\nData as of 2026-01-02\n",
        1,
        0,
        3,
    ),
    "rights": ("1001,ann@x.de,Ann,1\nCopyright (c) 2026 x\nConfidential - x\nApplied filters: City is Bonn\n", 1, 0, 3),
    "repeated in capitals": ("1001,ann@x.de,Ann,10\nCUSTOMER ID,EMAIL,NAME,SPENT\n1002,b@x.de,Bob,\n", 2, 1, 0),
    "repeated with blanks": ("1001,ann@x.de,Ann,10\n Customer ID,Email ,Name,Spent\n1002,b@x.de,Bob,\n", 2, 1, 0),
    "people of such names": (
        "Total,total@x.de,Total,22\n2,b@x.de,Total,\n3,,A Total,5\nTotal,,Sum,\nEnde,,,\n4,c@x.de,Sum,3\n",
        6,
        0,
        0,
    ),
}


@pytest.mark.parametrize("name", NOBODY)
@pytest.mark.parametrize("kind", ["text", "sheet"])
def test_rows_that_are_nobody_are_counted_and_said(name: str, kind: str, path: Path) -> None:
    text, people, headers, sums = NOBODY[name]
    text = f"Customer ID,Email,Name,Spent\n{text}"
    file = written(path, text)
    if kind == "sheet":
        file = written(path, [[cell or None for cell in row] for row in csv.reader(text.splitlines())])
    _, rows, aside, notes = read(file)
    assert len(rows) == people
    expected = {"repeated headers": headers, "total rows and footers": sums}
    assert aside == {kind: count for kind, count in expected.items() if count}
    assert any("header is repeated" in note for note in notes) == bool(headers)
    assert any("sums of the table" in note for note in notes) == bool(sums)


def test_sums_in_json_are_nobody(path: Path) -> None:
    rows = '{"Id":"1","Email":"a@x.de","Spent":3}\n{"Id":"2","Email":null,"Spent":3}\n{"Id":"Total","Spent":6}\n'
    _, people, aside, notes = read(written(path.with_suffix(".jsonl"), rows))
    assert [row[0] for row in people] == ["1", "2"]
    assert aside == {"total rows and footers": 1}
    assert any("line 3" in note for note in notes)


def test_a_phone_is_a_person_even_beside_the_word_total(path: Path) -> None:
    lines = "Ann,0151 1234567,3\nTotal,+4915112345678,4\nTotal,5551234567,\nSum,0151 1234568,\nTotal,,7\n"
    rows = f"Name,Mobile,Spent\n{lines}"
    _, people, aside, _ = read(written(path, rows))
    assert [row[1] for row in people] == ["0151 1234567", "+4915112345678", "5551234567", "0151 1234568"]
    assert aside == {"total rows and footers": 1}


def test_nobody_is_found_among_many_without_addresses(path: Path) -> None:
    """More rows without an address than are looked at one by one, in blocks and by the strict reader."""
    body = "".join(f"{at},{'' if at % 2 else f'p{at}@x.de'},Ann\n" for at in range(3_000))
    for quirk in ("", '1,x@x.de,"An"n\n'):
        text = f"Id,Email,Name\n{body}{quirk}Id,Email,Name\n9001,z@x.de,Zoe\n,Total,\nTotal,,\n"
        with open_source(written(path, text), chunk_rows=500) as source:
            chunks = list(source.chunks())
        told = [(issue.line, issue.code) for chunk in chunks for issue in chunk.issues if "quote" not in issue.code]
        first = 3_002 + bool(quirk)
        assert told == [(first, "header-repeated"), (first + 2, "row-summary"), (first + 3, "row-summary")]
        assert sum(len(chunk.frame) for chunk in chunks) == 3_001
        assert all(chunk.records == 500 for chunk in chunks[:-1])


@pytest.mark.parametrize("header", ["Name,Email,Id", "Email,Id,Name,City", "Kundennummer,E-Mail,Vorname"])
def test_another_header_in_the_middle_stops_the_run(header: str, path: Path) -> None:
    with pytest.raises(SourceError, match="Line 3 is another header") as raised:
        read(written(path, f"Id,Email,Name\n1,a@x.de,Ann\n{header}\nx,y,z\n"))
    assert raised.value.code == "header-changed"
    assert "Split the file" in raised.value.hint


RIVALS = {
    "names and their labels": "email,fname,points\nE-Mail-Adresse,Vorname des Kunden,Punkte\na@x.de,A,3\nb@x.de,B,4\n",
    "a survey": "Day,Email,Score\nRecorded Date,Contact Email,Your Score\n2024-01-02,a@x.de,3\n2024-01-03,b@x.de,4\n",
}


@pytest.mark.parametrize("name", RIVALS)
def test_of_two_rows_of_names_one_is_proposed_and_the_other_said(name: str, path: Path) -> None:
    columns, people, _, notes = read(written(path, RIVALS[name]))
    assert columns == tuple(RIVALS[name].splitlines()[0].split(","))
    assert any("line 1 is taken as the header, and line 2 may be it as well" in note for note in notes)
    assert [row[-1] for row in people[-2:]] == ["3", "4"]
    for row in (1, 2):
        columns, _, _, notes = read(path, header_row=row)
        assert columns == tuple(RIVALS[name].splitlines()[row - 1].split(","))
        assert not any("as well" in note for note in notes)
    # The mapping that names the columns of a row says which one it is.
    expected = RIVALS[name].splitlines()[1].split(",")
    assert read(path, expected=expected)[0] == tuple(expected)


@pytest.mark.parametrize("first", ["Ann,+4915112345678", "Ann <ann@x.de>,Bonn", "mailto:ann@x.de,"])
def test_whoever_names_a_person_as_the_header_is_told(first: str, path: Path) -> None:
    rows = [first.split(","), ["Bob", "x"]]
    for file in (written(path, f"{first}\nBob,x\n"), written(path, [[cell or None for cell in row] for row in rows])):
        with pytest.raises(SourceError, match="There is no header") as raised:
            open_source(file, header_row=1)
        assert "Ann" not in str(raised.value)
        assert "ann@" not in str(raised.value)
        columns, people, _, _ = read(file, header_row=0)
        assert (columns, len(people)) == (("column_1", "column_2"), 2)


def test_rows_at_the_top_and_the_end_are_left_out(path: Path) -> None:
    rows = [["Email,Name"], ["Email", "Name"], ["a@x.de", "A"], ["b@x.de", "B"], ["c@x.de", "C"], ["Checked by", "Zoe"]]
    text = "Email,Name\n" + "".join(",".join(row) + "\n" for row in rows[1:]) + "\n,\n"
    for file in (written(path, text), written(path, rows)):
        columns, people, aside, notes = read(file, skip_rows=1, skip_footer=1, chunk_rows=2)
        assert columns == ("Email", "Name")
        assert [row[1] for row in people] == ["A", "B", "C"]
        assert aside["rows left out by skip_footer"] == 1
        assert any("skip_footer" in note for note in notes)
        assert [row[1] for row in read(file, skip_rows=2, header_row=0)[1]] == ["A", "B", "C", "Zoe"]
        assert read(file, skip_footer=99)[1] == []
    with open_source(written(path, text), skip_rows=1, skip_footer=2, chunk_rows=1) as source:
        assert [len(chunk.frame) for chunk in source.chunks()] == [1, 1]


def test_a_person_in_the_place_of_the_header_stands_in_no_file(tmp_path: Path) -> None:
    desk = ImporterFixture(tmp_path)
    desk.source.write_text("Ann,+4915112345678\nBob,+4915112345679\nTotal,2\n", encoding="utf-8")
    desk.mapping["columns"] = {"column_2": "phone_number", "column_1": "first_name"}
    report = desk.run()
    assert (report.tally.read, report.tally.loaded) == (2, 2)
    for file in desk.folder.rglob("manifest.json"):
        assert b"Ann" not in file.read_bytes()


def test_another_header_leaves_nothing_behind(tmp_path: Path) -> None:
    desk = ImporterFixture(tmp_path)
    head = "Id,Email,Name\n1,ann@mapleshop.com,Ann\n"
    desk.source.write_text(f"{head}Email,Id,Name\nbob@mapleshop.com,2,Bob\n", encoding="utf-8")
    with pytest.raises(SourceError, match="another header"):
        desk.run()
    assert not desk.writes
    desk.source.write_text(head, encoding="utf-8")
    assert desk.run().tally.loaded == 1


def test_init_is_told_where_the_header_is(tmp_path: Path) -> None:
    desk = ImporterFixture(tmp_path)
    desk.source.write_text(RIVALS["names and their labels"], encoding="utf-8")
    for row, name in ((None, "fname"), (1, "fname"), (2, "Vorname des Kunden")):
        _, text = pipeline.init(desk.source, rule=SourceRule(header_row=row), context=desk.context)
        assert name in text
        assert ("header_row" in text) == (row is not None)


def test_all_verbs_say_the_same_of_rows_that_are_nobody(tmp_path: Path) -> None:
    desk = ImporterFixture(tmp_path)
    people = "1,ann@mapleshop.com,Ann\n2,bob@mapleshop.com,Bob\nId,Email,Name\n3,cy@mapleshop.com,Cy\n,,\nTotal,,3\n"
    desk.source.write_text(f"Customers of March\n\nId,Email,Name\n{people}", encoding="utf-8")
    desk.guards(max_rejected_percent=0)
    _, text = pipeline.init(desk.source, context=desk.context)
    assert "Email" in text
    plan = pipeline.plan(desk.source, desk.mapping, context=desk.context)
    assert plan.read == 3
    assert any("1 repeated headers, 1 total rows" in note for note in plan.notes)
    checked = pipeline.check(desk.source, desk.mapping, context=desk.context)
    report = desk.run()
    aside = {"blank rows": 1, "repeated headers": 1, "total rows and footers": 1}
    for one in (checked, report):
        assert (one.tally.read, one.tally.rejected) == (3, 0)
        assert dict(one.set_aside) == aside
        assert {group.code: group.lines for group in one.issues} == {"header-repeated": (6,), "row-summary": (9,)}
        assert any("header is line 3" in note for note in one.source_notes)
    assert report.tally.loaded == 3
    folder = desk.folder / "runs" / report.run
    assert "and no records: 1 blank rows, 1 repeated headers" in (folder / "report.txt").read_text(encoding="utf-8")
    assert "1 repeated headers" in (folder / "report.html").read_text(encoding="utf-8")
