"""Marks of spreadsheets in CSV are no part of a cell: apostrophes judged by column, text formulas anywhere."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from etl import pipeline
from etl.config import parse_mapping
from etl.extract import open_source
from etl.extract.delimited import buffer as texts_module
from etl.validate.validator import Validator
from tests.support.importer import ImporterFixture


def read(path: Path, text: str, chunk_rows: int = 18_000) -> tuple[dict[str, list[str]], str]:
    path.write_text(text, encoding="utf-8", newline="")
    cells: dict[str, list[str]] = {}
    with open_source(path, chunk_rows=chunk_rows) as source:
        for chunk in source.chunks():
            assert not chunk.ragged
            for name, column in chunk.frame.items():
                cells.setdefault(str(name), []).extend(column.tolist())
        return cells, " ".join(source.info.notes)


@pytest.mark.parametrize(
    ("header", "cells", "expected"),
    [
        ("Customer ID", ["'7100000000001", "'7100000000002"], ["7100000000001", "7100000000002"]),
        ("Zip", ["'01085", "", "'2026"], ["01085", "", "2026"]),
        ("Zip", ["'SW1A 1AA"], ["SW1A 1AA"]),
        ("Phone", ["'+14155552671", "'(0412) 000 111"], ["+14155552671", "(0412) 000 111"]),
        ("Born (customer.metafields.x)", ["'1990-05-02"], ["1990-05-02"]),
        ("Note", ["'=SUM(A1)", "'@ann", "'-5"], ["=SUM(A1)", "@ann", "-5"]),
        ("Tier", ["'gold", "'silver", "'gold"], ["gold", "silver", "gold"]),
        ("Zip", ["'0108" + str(n) for n in range(9)] + ["02134"], ["0108" + str(n) for n in range(9)] + ["02134"]),
        ("Zip", ["''01085", "'01086"], ["'01085", "01086"]),
        ("Zip", ['="01040"', '"=""02134"""', '=""'], ["01040", "02134", ""]),
        ("Last Name", ['="Lee"', '"=""Ann """"A"""" B"""'], ["Lee", 'Ann "A" B']),
    ],
)
def test_marks_are_taken_off_and_said(tmp_path: Path, header: str, cells: list[str], expected: list[str]) -> None:
    found, notes = read(tmp_path / "f.csv", f"Email,{header}\n" + "".join(f"a@b.co,{cell}\n" for cell in cells))
    assert found[header] == expected
    assert repr(header) in notes
    assert "spreadsheet" in notes


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["“Bonn”", "“Ulm”", ""], ["Bonn", "Ulm", ""]),
        (["„Bonn“", "„Ulm”"], ["Bonn", "Ulm"]),
        (["« Lyon »", "«Nice»"], ["Lyon", "Nice"]),
        (["»Bonn«"], ["Bonn"]),
        (["“Bonn”", "Ulm", "“Trier”"], None),
        (["“Big” deal", "“A” and “B”"], None),
        (["Hotel “Post”"], None),
    ],
)
def test_quotes_of_a_word_processor_around_all_cells(
    tmp_path: Path, cells: list[str], expected: list[str] | None
) -> None:
    found, notes = read(tmp_path / "f.csv", "“Email”,“City”\n" + "".join(f"“a@b.co”,{cell}\n" for cell in cells))
    assert found == {"Email": ["a@b.co"] * len(cells), "City": expected or cells}
    assert "taken off: 'Email'" in notes
    assert ("so they stay: 'City'" in notes) is (cells[0] == "“Bonn”" and expected is None)
    assert (", 'City' (" in notes) is (expected is not None)


@pytest.mark.parametrize(
    ("header", "cells"),
    [
        ("Last Name", ["'t Hooft", "'s Gravesande", "'n Brink"]),
        ("Surname", ["'Aumua", "'Ofa", "'Akau"]),
        ("City", ["'s-Hertogenbosch", "'t Zand", "'s-Gravenhage"]),
        ("Company", ["'t Hooft BV"]),
        ("Note", ["'Ann'", "'Bob'", "'Cy'"]),
        ("Note", ["'", "'", "'"]),
        ("Formula", ["=01040", "=A1+1", '=UPPER("x")']),
        ("Slogan", ["'twas nice"]),
    ],
)
def test_what_may_be_meant_stays(tmp_path: Path, header: str, cells: list[str]) -> None:
    found, notes = read(tmp_path / "f.csv", f"Email;{header};x\n" + "".join(f"a@b.co;{cell};y\n" for cell in cells))
    assert found[header] == cells
    assert "taken off" not in notes


def test_a_column_marked_in_part_keeps_its_cells_and_is_said(tmp_path: Path) -> None:
    found, notes = read(tmp_path / "f.csv", "Email,Zip\na@b.co,'01085\nc@d.co,02134\n")
    assert found["Zip"] == ["'01085", "02134"]
    assert "'Zip' (1 cells)" in notes


def test_a_column_that_begins_late_is_judged_where_it_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty in the first block of the file; and marks that only begin later are said."""
    monkeypatch.setattr(texts_module, "BLOCK", 4_000)
    rows = [f"p{n}@mapleshop.com,{n:05},{chr(39) if n > 500 else ''}{n:05}," for n in range(900)]
    rows += [f"q{n}@mapleshop.com,{n:05},,{chr(39)}{n:05}" for n in range(900)]
    found, notes = read(tmp_path / "f.csv", "Email,Id,Zip,Code\n" + "".join(f"{row}\n" for row in rows), 100)
    assert found["Code"] == [""] * 900 + [f"{n:05}" for n in range(900)]
    assert "'Code' (" in notes.partition("taken off")[2]
    assert found["Zip"][501] == "'00501"
    assert "'Zip' (399 cells); as ids and postal codes such cells are held back" in notes


@pytest.mark.parametrize("answer", [None, "drop", "keep"])
def test_a_doubtful_mark_is_held_back_until_the_mapping_says_what_it_is(tmp_path: Path, answer: str | None) -> None:
    desk = ImporterFixture(tmp_path)
    people = [
        ("ann@mapleshop.com", "'7100000000001", "'01085", "'0412 000 111", "'t Hooft"),
        ("bob@mapleshop.com", "7100000000002", "02134", "0412 000 112", "May"),
        ("cy@mapleshop.com", "7100000000003", "02135", "0412 000 113", "'5 Lee"),
    ]
    desk.write(people, ("E", "I", "Z", "P", "L"))
    rule = {"apostrophe": answer} if answer else {}
    desk.mapping = {
        "columns": {
            "E": "email",
            "I": {"to": "external_id", **rule},
            "Z": {"to": "location.zip", **rule},
            "P": "phone_number",
            "L": "last_name",
        },
        "defaults": {"country": "AU"},
        "load": {"small_run": 0},
    }
    report = desk.run()
    ann = next(p for p in map(json.loads, desk.sandbox.dump().splitlines()) if p["email"] == "ann@mapleshop.com")
    assert (ann["phone_number"], ann["last_name"]) == ("+61412000111", "'t Hooft")
    told = {(group.code, group.lines) for group in report.issues}
    if answer is None:
        assert told == {("apostrophe-doubtful", (2,))}
        assert not ann.get("external_id")
        assert not (ann.get("location") or {}).get("zip")
    else:
        mark = "'" if answer == "keep" else ""
        assert told == set()
        assert (ann["external_id"], ann["location"]["zip"]) == (f"{mark}7100000000001", f"{mark}01085")


def test_ids_of_events_are_held_back_where_they_are_in_doubt() -> None:
    """Rounded by a spreadsheet, or with an apostrophe before them: nothing of two events is taken for one."""
    rules = {"columns": {"E": "email", "U": "properties.$unique_id", "O": "properties.$order_id"}}
    validator = Validator(parse_mapping(rules), ("E", "U", "O"))
    cells = {"E": ["a@b.co", "c@d.co", "e@f.co"], "U": ["1.23457E+18", "1.23457E+18", "7"], "O": ["'0071", "72", "73"]}
    found = validator.validate(pd.DataFrame(cells, index=pd.Index([2, 3, 4], name="line"), dtype="str"))
    assert {(issue.line, issue.code, issue.column) for issue in found.issues} == {
        (2, "external-id-spreadsheet-number", "U"), (3, "external-id-spreadsheet-number", "U"),
        (2, "apostrophe-doubtful", "O"),
    }  # fmt: skip


@pytest.mark.parametrize("chunk_rows", [1, 7, 5_000])
@pytest.mark.parametrize("oddity", ["", '5" screen'])
def test_every_chunk_has_the_same_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk_rows: int, oddity: str
) -> None:
    monkeypatch.setattr(texts_module, "BLOCK", 4_000)
    zips = [f"'{n:05}" for n in range(900)] + ["'t Hooft", "x", "'y"]
    rows = "".join(f"p{n}@mapleshop.com,{cell},'t Hooft,{oddity if n > 200 else ''}\n" for n, cell in enumerate(zips))
    found, _ = read(tmp_path / "f.csv", "Email,Zip,Last Name,Note\n" + rows, chunk_rows)
    assert found["Zip"] == [f"{n:05}" for n in range(900)] + ["t Hooft", "x", "y"]
    assert set(found["Last Name"]) == {"'t Hooft"}


def test_a_shopify_export_reaches_klaviyo_without_marks(tmp_path: Path) -> None:
    desk = ImporterFixture(tmp_path)
    desk.source.write_text(
        "Customer ID,Email,Last Name,Default Address Zip,Code\n"
        "'7100000000001,ann@mapleshop.com,'t Hooft,'01085,=\"00123\"\n"
        '\'7100000000002,bob@mapleshop.com,May,\'2026,"=""00124"""\n',
        encoding="utf-8",
    )
    desk.mapping = {
        "columns": {
            "Customer ID": "external_id",
            "Email": "email",
            "Last Name": "last_name",
            "Default Address Zip": "location.zip",
            "Code": "properties.code",
        },
        "load": {"small_run": 0},
    }
    report = desk.run()
    people = {p["external_id"]: p for p in map(json.loads, desk.sandbox.dump().splitlines())}
    assert set(people) == {"7100000000001", "7100000000002"}
    assert people["7100000000001"]["location"]["zip"] == "01085"
    assert people["7100000000001"]["last_name"] == "'t Hooft"
    assert people["7100000000002"]["properties"]["code"] == "00124"
    assert any("'Customer ID' (2 of 2 cells)" in note for note in report.source_notes)


def test_init_says_what_it_took_off(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_text("Email,Zip\nann@mapleshop.com,'01085\nbob@mapleshop.com,'02134\n", encoding="utf-8")
    proposal, _ = pipeline.init(path)
    assert any("'Zip' (2 of 2 cells)" in advice.text for advice in proposal.advice)
