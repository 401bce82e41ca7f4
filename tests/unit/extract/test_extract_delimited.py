"""CSV as people export it: encodings, delimiters, quotes, line ends, ragged rows; and the true line of every record."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etl.errors import SourceError
from etl.extract import open_source
from etl.model import Chunk
from tests.support.effort import examples

Read = tuple[dict[int, tuple[str, ...]], dict[int, str], tuple[str, ...], tuple[str, ...]]


def read(path: Path, data: bytes, *, chunk_rows: int = 2, **options: str | int) -> Read:
    """Return rows by line, codes of issues by line, headers and notes."""
    path.write_bytes(data)
    with open_source(path, chunk_rows=chunk_rows, **options) as source:  # type: ignore[arg-type]
        chunks: list[Chunk] = list(source.chunks())
        rows = {row[0]: row[1:] for chunk in chunks for row in chunk.frame.itertuples(name=None)}
        rows |= {row.line: row.cells for chunk in chunks for row in chunk.ragged}
        codes = {issue.line: issue.code for chunk in chunks for issue in chunk.issues}
        return rows, codes, source.info.columns, source.info.notes


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "people.csv"


TEXT = "Name,Stadt\nJosé,Köln\nZoë,Zürich\n"
ENCODINGS = {
    "utf-8": ("", TEXT.encode()),
    "utf-8 with a mark": ("byte order mark", TEXT.encode("utf-8-sig")),
    "utf-16 little": ("UTF-16", TEXT.encode("utf-16")),
    "utf-16 big": ("UTF-16", b"\xfe\xff" + TEXT.encode("utf-16-be")),
    "utf-16 without a mark": ("UTF-16", TEXT.encode("utf-16-le")),
    "Windows-1252": ("Windows-1252", TEXT.encode("cp1252")),
}


@pytest.mark.parametrize("name", ENCODINGS)
def test_an_encoding_is_detected_and_said(name: str, path: Path) -> None:
    note, data = ENCODINGS[name]
    rows, codes, columns, notes = read(path, data)
    assert (columns, rows, codes) == (("Name", "Stadt"), {2: ("José", "Köln"), 3: ("Zoë", "Zürich")}, {})
    assert any(note in said for said in notes) if note else not notes


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_delimiters_and_line_ends_are_found(delimiter: str, newline: str, path: Path) -> None:
    lines = [["a", "b", "c"], ["1", "x y", ""], ["2", "", "z"]]
    text = newline.join(delimiter.join(line) for line in lines)
    rows, codes, columns, _ = read(path, text.encode())
    assert (columns, rows, codes) == (("a", "b", "c"), {2: ("1", "x y", ""), 3: ("2", "", "z")}, {})


def test_cells_stay_what_they_are(path: Path) -> None:
    """No type is guessed, no word means nothing."""
    cells = ["00123", "NA", "null", "None", "1e5", "TRUE", " x ", "-", "#N/A", "nan"]
    rows, _, _, _ = read(path, ("h\n" + "\n".join(cells) + "\n").encode())
    assert [row[0] for row in rows.values()] == cells


def test_quotes_doubled_quotes_and_line_breaks_in_cells(path: Path) -> None:
    data = b'a,b\n"say ""hi""","two\nlines"\n"x, y","three\r\nlines\n!"\n3,4\n'
    rows, codes, _, _ = read(path, data)
    assert rows == {2: ('say "hi"', "two\nlines"), 4: ("x, y", "three\r\nlines\n!"), 7: ("3", "4")}
    assert not codes


def test_blank_lines_are_no_records_but_count_as_lines(path: Path) -> None:
    rows, codes, _, _ = read(path, b"\na,b\n\n1,2\n\n\n3,4\n\n")
    assert rows == {4: ("1", "2"), 7: ("3", "4")}
    assert not codes


def test_ragged_rows_are_issues_on_their_line_and_the_rest_goes_on(path: Path) -> None:
    rows, codes, _, _ = read(path, b"a,b\n1\n1,2\n1,2,3\n4,5\n")
    assert codes == {2: "row-too-short", 4: "row-too-long"}
    assert rows == {2: ("1",), 3: ("1", "2"), 4: ("1", "2", "3"), 5: ("4", "5")}


def test_duplicate_and_empty_headers_get_names(path: Path) -> None:
    rows, codes, columns, _ = read(path, b"a,a,,a\n1,2,3,4\n")
    assert len(set(columns)) == 4
    assert (columns[0], columns[2]) == ("a", "column_3")
    assert set(codes.values()) & {"header-duplicate", "header-empty"}
    assert rows == {2: ("1", "2", "3", "4")}


def test_a_file_cut_off_inside_a_quote_loses_that_record_only(path: Path) -> None:
    rows, codes, _, _ = read(path, b'a,b\n1,2\n3,"cut off')
    assert codes == {3: "quote-unclosed"}
    assert rows[2] == ("1", "2")
    assert set(rows) == {2, 3}


@pytest.mark.parametrize(
    ("row", "code"),
    [(b'"a"b,c', "quote-malformed"), (b"a\0,c", "cell-has-nul"), (b"\xff\xfe\xe9,c", "row-undecodable")],
)
def test_a_broken_record_costs_itself(row: bytes, code: str, path: Path) -> None:
    rows, codes, _, _ = read(path, b"a,b\n1,\xc3\xa9\n" + row + b"\n3,\xc3\xa9\n5,\xc3\xa9\n", encoding="utf-8")
    assert codes == {3: code}
    assert (rows[2], rows[4], rows[5]) == (("1", "é"), ("3", "é"), ("5", "é"))
    assert set(rows) == {2, 3, 4, 5}


def test_a_giant_cell_is_read(path: Path) -> None:
    rows, codes, _, _ = read(path, b"a,b\n" + b"x" * 2_000_000 + b",1\n2,3\n")
    assert len(rows[2][0]) == 2_000_000
    assert not codes


REFUSED = {
    "an empty file": (b"", "source-empty"),
    "a binary file": (bytes(range(256)) * 20, "source-binary"),
    "a PDF": (b"%PDF-1.7 ...", "source-binary"),
    "no header": (b"\n\n  \n", None),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_table_is_refused_clearly(name: str, path: Path) -> None:
    data, code = REFUSED[name]
    path.write_bytes(data)
    with pytest.raises(SourceError) as refused, open_source(path) as source:
        list(source.chunks())
    assert refused.value.hint
    assert code is None or refused.value.code == code


def test_a_header_alone_is_a_source_without_rows(path: Path) -> None:
    rows, codes, columns, _ = read(path, b"a,b\n")
    assert (rows, codes, columns) == ({}, {}, ("a", "b"))


def test_the_digest_is_that_of_the_file(path: Path) -> None:
    import hashlib  # noqa: PLC0415

    path.write_bytes(TEXT.encode())
    with open_source(path) as source:
        list(source.chunks())
        assert source.sha256 == hashlib.sha256(TEXT.encode()).hexdigest()


# Without what spreadsheets and old systems mark cells and ends with: test_spreadsheet_marks.py has those.
UNMARKED = st.characters(codec="utf-8", exclude_characters="\0\x1a'=", exclude_categories=["Cs"])
CELL = st.text(UNMARKED, max_size=8)
TABLES = st.integers(2, 4).flatmap(
    lambda width: st.lists(st.lists(CELL, min_size=width, max_size=width), min_size=1, max_size=12)
)


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    table=TABLES,
    delimiter=st.sampled_from(",;\t|"),
    newline=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    chunk_rows=st.integers(1, 9),
)
def test_what_a_csv_writer_wrote_is_read_back_cell_by_cell_with_true_lines(
    *, tmp_path: Path, table: list[list[str]], delimiter: str, newline: str, encoding: str, chunk_rows: int
) -> None:
    header = [f"h{number}" for number in range(len(table[0]))]
    expected: dict[int, tuple[str, ...]] = {}
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=newline, quoting=csv.QUOTE_ALL)
    writer.writerow(header)
    line = 2
    for row in table:
        if any(cell.strip() for cell in row):
            expected[line] = tuple(row)
        here = io.StringIO(newline="")
        csv.writer(here, delimiter=delimiter, lineterminator=newline, quoting=csv.QUOTE_ALL).writerow(row)
        written = here.getvalue()
        # A line ends at \n, \r\n or \r, inside quotes as well.
        line += written.replace("\r\n", "\n").replace("\r", "\n").count("\n")
        text.write(written)
    rows, codes, columns, _ = read(
        tmp_path / "people.csv",
        text.getvalue().encode(encoding),
        chunk_rows=chunk_rows,
        delimiter=delimiter,
        encoding=encoding,
        header_row=1,  # cells of chance can look more like a header than h0 and h1 do
    )
    assert (columns, codes) == (tuple(header), {})
    assert rows == expected
