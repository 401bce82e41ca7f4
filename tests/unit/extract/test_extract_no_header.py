"""A file without a header: nobody is lost, and nobody's address becomes the name of a column."""

from __future__ import annotations

from pathlib import Path

import pytest

from etl.errors import SourceError
from etl.extract import open_source
from tests.support.importer import ImporterFixture


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_without_a_header_loses_nobody(tmp_path: Path, delimiter: str, codec: str) -> None:
    desk = ImporterFixture(tmp_path)
    people = "c1,ann@mapleshop.com,Ann\nc2,bob@mapleshop.com,Bob\nc3,cy@mapleshop.com,Cy\n"
    desk.source.write_bytes(people.replace(",", delimiter).encode(codec))
    desk.mapping["columns"] = {"column_1": "external_id", "column_2": "email", "column_3": "first_name"}
    report = desk.run()
    assert (report.tally.read, report.tally.loaded) == (3, 3)
    assert any("there is no header" in note for note in report.source_notes)
    for file in desk.folder.rglob("manifest.json"):
        assert b"mapleshop" not in file.read_bytes()


def test_the_header_of_a_text_file_is_the_line_that_is_named(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text('Notes:\n"two\nlines ""of"" them"\n\nName,Email\nAnn,ann@x.de\n', encoding="utf-8")
    with open_source(path, header_row=5) as source:
        (chunk,) = source.chunks()
        assert source.info.columns == ("Name", "Email")
    assert chunk.frame.index.tolist() == [6]


@pytest.mark.parametrize("row", [1, 2])
def test_a_person_is_no_header_even_where_the_mapping_says_so(tmp_path: Path, row: int) -> None:
    path = tmp_path / "people.csv"
    path.write_text("ann@x.de,Ann\nbob@x.de,Bob\n", encoding="utf-8")
    with pytest.raises(SourceError, match="no header") as raised:
        open_source(path, header_row=row)
    assert raised.value.code == "header-missing"
    assert "@" not in str(raised.value)


def test_a_header_row_beyond_the_file_is_said(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text("Email\nann@x.de\n", encoding="utf-8")
    with pytest.raises(SourceError, match="header cannot be read"):
        open_source(path, header_row=9)
