"""Of sheets ``init`` takes the one that holds people, asks where several do, and lists them where none does."""

from __future__ import annotations

import gzip
import tomllib
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from etl import pipeline
from etl.discover import Question
from etl.errors import ConfigError
from tests.support.importer import ImporterFixture

COVER = [["Customers of Maple Shop"], ["exported on 1 March 2026"], ["for internal use"]]
PEOPLE = [["Email", "Name"], ["ann@mapleshop.com", "Ann"], ["bob@mapleshop.com", "Bob"]]
MORE = [["E-Mail", "Vorname"], ["cleo@mapleshop.com", "Cleo"]]
PRODUCTS = [["Id", "Product"], ["P1", "Mug"], ["P2", "Bowl"]]
PLACES = [["City", "Land"], ["Lyon", "France"], ["Lyon", "France"]]


def book(path: Path, **sheets: Sequence[Sequence[Any]]) -> Path:
    workbook = openpyxl.Workbook()
    workbook.remove(workbook.worksheets[0])
    for name, rows in sheets.items():
        sheet = workbook.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
        sheet.sheet_state = "hidden" if name.startswith("Hidden") else "visible"
    workbook.save(path)
    return path


def test_a_packed_workbook_is_looked_through_like_any_other(tmp_path: Path) -> None:
    desk = ImporterFixture(tmp_path)
    path = book(tmp_path / "people.xlsx", Cover=COVER, People=PEOPLE)
    with zipfile.ZipFile(tmp_path / "people.zip", "w") as archive:
        archive.write(path, "people.xlsx")
    (tmp_path / "people.xlsx.gz").write_bytes(gzip.compress(path.read_bytes()))
    for name in ("people.zip", "people.xlsx.gz"):
        _, text = pipeline.init(tmp_path / name, context=desk.context)
        mapping = tomllib.loads(text)
        assert mapping["source"]["sheet"] == "People"
        assert "Sheet 'People' is read: it alone says who somebody is" in text
        assert pipeline.check(tmp_path / name, mapping, context=desk.context).tally.read == 2


@pytest.mark.parametrize(
    ("sheets", "taken"),
    [
        ({"Cover": COVER, "People": PEOPLE}, "People"),
        ({"Cover": COVER, "Empty": [], "Products": PRODUCTS, "People": PEOPLE}, "People"),
        ({"People": PEOPLE, "Notes": COVER}, "People"),
        ({"Places": PLACES, "Products": PRODUCTS}, "Products"),
    ],
)
def test_the_only_sheet_of_people_is_taken_and_said(sheets: dict[str, Any], taken: str, tmp_path: Path) -> None:
    desk = ImporterFixture(tmp_path)
    path = book(tmp_path / "people.xlsx", **sheets)
    proposal, text = pipeline.init(path, context=desk.context, beside=tmp_path)
    mapping = tomllib.loads(text)
    assert mapping["source"]["sheet"] == taken
    assert any(f"Sheet {taken!r} is read" in advice.text and advice.sure for advice in proposal.advice)
    assert pipeline.check(path, mapping, context=desk.context).tally.read == len(sheets[taken]) - 1


def test_of_several_one_is_asked_for(tmp_path: Path) -> None:
    desk = ImporterFixture(tmp_path)
    path = book(tmp_path / "people.xlsx", Cover=COVER, May=PEOPLE, June=MORE, Hidden=PEOPLE)
    asked: list[Question] = []

    def june(question: Question) -> str:
        asked.append(question)
        return "June" if question.about == "sheet" else question.safe

    _, text = pipeline.init(path, context=desk.context, ask=june)
    assert tomllib.loads(text)["source"]["sheet"] == "June"
    (question,) = asked
    assert question.choices == {
        "May": "'May': 2 rows with Email, Name", "June": "'June': 1 rows with E-Mail, Vorname",
    }  # fmt: skip
    assert question.cells["June"] == "cleo@mapleshop.com, Cleo".replace(", ", "; ")
    proposal, text = pipeline.init(path, context=desk.context)
    assert tomllib.loads(text)["source"]["sheet"] == "May"
    (advice,) = (advice for advice in proposal.advice if advice.about == "sheet")
    assert advice.text == "Several sheets, 'May', 'June' hold people. Taken: 'May'; name another with --sheet."
    assert not advice.sure
    assert "cleo" not in text


def test_where_nobody_is_found_the_sheets_are_listed(tmp_path: Path) -> None:
    desk = ImporterFixture(tmp_path)
    path = book(tmp_path / "people.xlsx", Cover=COVER, Places=PLACES)
    with pytest.raises(ConfigError) as caught:
        pipeline.init(path, context=desk.context)
    assert caught.value.code == "nobody-identified"
    assert "2 'Places': City, Land" in caught.value.hint
    assert "1 'Cover'" in caught.value.hint
