"""Empty is empty: delimiters at the end of rows, cells left out there, blank rows, and what stands behind a text."""

from __future__ import annotations

from pathlib import Path

import pytest

from etl.extract import open_source
from tests.support.importer import ImporterFixture

PEOPLE = [("c1", "ann@mapleshop.com", "Ann"), ("c2", "bob@mapleshop.com", "Bob"), ("c3", "cy@mapleshop.com", "Cy")]


def loaded(
    folder: Path, data: bytes, name: str = "people.csv", **guards: int
) -> tuple[ImporterFixture, dict[str, int], list[str]]:
    """Run a file into the sandbox; return the desk, the rows of each outcome, and what the report notes."""
    desk = ImporterFixture(folder)
    desk.source = folder / name
    desk.source.write_bytes(data)
    desk.guards(**guards)
    report = desk.run()
    return desk, {key: count for key, count in report.tally.parts if count}, list(report.source_notes)


def read(path: Path, text: str | bytes) -> tuple[list[tuple[object, ...]], list[int], tuple[str, ...]]:
    """Return the rows, the lines of the ragged ones, and the notes."""
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with open_source(path, chunk_rows=2) as source:
        chunks = list(source.chunks())
        assert source.sha256 is not None
        return (
            [row[1:] for chunk in chunks for row in chunk.frame.itertuples(name=None)],
            [row.line for chunk in chunks for row in chunk.ragged],
            source.info.notes,
        )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "people.csv"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("more", [1, 3])
@pytest.mark.parametrize("quote", ["", '"'])
def test_a_delimiter_at_the_end_of_every_row(tmp_path: Path, delimiter: str, more: int, quote: str) -> None:
    cells = [[f"{quote}{cell}{quote}" for cell in row] for row in PEOPLE]
    text = "Id,Email,Name\n".replace(",", delimiter) + "".join(
        delimiter.join(row) + delimiter * more + "\n" for row in cells
    )
    desk, outcomes, notes = loaded(tmp_path, text.encode())
    assert outcomes == {"loaded": 3}
    assert desk.profiles == 3
    assert any("a delimiter at the end" in note for note in notes)


def test_a_cell_beyond_the_header_still_costs_its_row(path: Path) -> None:
    rows, ragged, _ = read(
        path, "Email,Name\na@x.de,A,\nb@x.de,B,\nLee, Cy,c@x.de,\nd@x.de,D,more\ne@x.de,E\nf@x.de,F,\n"
    )
    assert rows == [("a@x.de", "A"), ("b@x.de", "B"), ("e@x.de", "E"), ("f@x.de", "F")]
    assert ragged == [4, 5]


def test_rows_that_have_shifted_are_not_cut(path: Path) -> None:
    """The comma in the name is not quoted, and the last cell is empty: what is left over is no delimiter too many."""
    rows, ragged, _ = read(path, "Name,Email,City\nLee, Ann,a@x.de,\nMay, Bob,b@x.de,\n")
    assert (rows, ragged) == ([], [2, 3])


def test_one_delimiter_too_many_among_full_rows_is_ragged(path: Path) -> None:
    rows, ragged, _ = read(path, "Email,Name\na@x.de,A\nb@x.de,B,\nc@x.de,C\n")
    assert len(rows) == 2
    assert ragged == [3]


def test_cells_left_out_at_the_end(tmp_path: Path) -> None:
    text = "Id,Email,Name,City,Zip\nc1,ann@mapleshop.com,Ann\nc2,bob@mapleshop.com\nc3,cy@mapleshop.com,Cy,Ulm,89073\n"
    desk, outcomes, notes = loaded(tmp_path, text.encode())
    assert outcomes == {"loaded": 3}
    assert desk.profiles == 3
    assert any("leave out empty cells at their end (2 of the first 3)" in note for note in notes)


def test_a_header_with_one_delimiter_too_many(path: Path) -> None:
    rows, ragged, _ = read(path, "Email,Name,\na@x.de,A\nb@x.de,\n")
    assert (rows, ragged) == ([("a@x.de", "A", ""), ("b@x.de", "", "")], [])


def test_one_short_row_among_full_ones_stays_ragged(path: Path) -> None:
    rows, ragged, notes = read(path, "Email,Name,City\na@x.de,A,Bonn\nb@x.de,B\nc@x.de,C,Ulm\n")
    assert (len(rows), ragged, notes) == (2, [3], ())


def test_halves_of_broken_lines_are_not_filled_up(path: Path) -> None:
    rows, ragged, _ = read(path, "Email,Street,City\na@x.de,12 Main St\nApt 4,Bonn\nb@x.de,1 Side St\nApt 2,Ulm\n")
    assert (rows, ragged) == ([], [2, 3, 4, 5])


def test_a_row_that_lacks_a_cell_before_its_address_is_not_filled_up(path: Path) -> None:
    text = "Id,Email,Name,City\n1,a@x.de,A\n2,b@x.de,B\n3,c@x.de\nd@x.de,D\n4,e@x.de\n5,f@x.de\n6,g@x.de,G,Ulm\n"
    rows, ragged, _ = read(path, text)
    assert len(rows) == 6
    assert ragged == [5]


BLANK = [",,", ",,,,", ",", " , ,\t", '"","",""', '"",""', "\u00a0,,"]


@pytest.mark.parametrize("blank", BLANK)
def test_rows_of_delimiters_are_counted_and_nobody(tmp_path: Path, blank: str) -> None:
    people = [",".join(row) for row in PEOPLE]
    text = "\n".join(["Id,Email,Name", people[0], blank, *people[1:], *[blank] * 20, ""])
    desk, outcomes, notes = loaded(tmp_path, text.encode(), max_rejected_percent=0)
    assert outcomes == {"loaded": 3}
    assert desk.profiles == 3
    assert any(note.startswith("21 blank rows") for note in notes), notes


def test_blank_rows_of_several_files_are_said(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text(f"Id,Email,Name\n{name},{name}@mapleshop.com,A\n,,\n", encoding="utf-8")
    desk = ImporterFixture(tmp_path)
    desk.source = tmp_path / "*.csv"
    report = desk.run()
    assert desk.profiles == 2
    assert any("1 blank rows" in note for note in report.source_notes), report.source_notes


@pytest.mark.parametrize(
    "tail",
    [b"\x1a", b"\n\x1a", b"\r\n\x1a\r\n", b"\n\x1a\x1a", b"\0", b"\n\0\0\0", b"\n" + bytes(70_000), b"\n\x1a\0\0"],
)
@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "cp1252"])
def test_what_stands_behind_a_text_is_none_of_it(path: Path, tail: bytes, codec: str) -> None:
    rows, ragged, _ = read(path, "Email,Name\na@x.de,José\nb@x.de,Zoë".encode(codec) + tail)
    assert (rows, ragged) == ([("a@x.de", "José"), ("b@x.de", "Zoë")], [])


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_keeps_its_last_half_letter(path: Path, codec: str) -> None:
    rows, ragged, _ = read(path, "Email,Name\na@x.de,José\nb@x.de,Zoë\n".encode(codec))
    assert (rows, ragged) == ([("a@x.de", "José"), ("b@x.de", "Zoë")], [])


def test_a_nul_inside_still_costs_its_row(path: Path) -> None:
    long = "".join(f"p{number}@x.de,Ann and then some more\n" for number in range(200))
    rows, ragged, _ = read(path, f"Email,Name\na@x.de,\0\n{long}\x1a")
    assert (len(rows), ragged) == (200, [2])
