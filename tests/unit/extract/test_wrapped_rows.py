"""Rows that stand in quotes as a whole are read as the rows in them, and only those; their lines stay."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.extract import open_source
from etl.extract.delimited.wrapped_rows import find_wrapped_rows
from tests.support.effort import examples

ROWS = [["Email", "Name", "City"], ["ann@x.de", "Ann", "Bonn"], ["bob@x.de", 'Bob "Bo" Lee', "Ulm, Donau"]]


def read(path: Path, data: str | bytes, **options: str) -> tuple[list[tuple[object, ...]], list[int], str]:
    """Return the rows, header first, the lines of those below it, and the notes."""
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    with open_source(path, **options) as source:  # type: ignore[arg-type]  # options of text
        rows: list[tuple[object, ...]] = [tuple(source.info.columns)]
        lines: list[int] = []
        for chunk in source.chunks():
            assert not chunk.ragged
            rows += chunk.frame.itertuples(index=False, name=None)
            lines.extend(chunk.frame.index)
        return rows, lines, " ".join(source.info.notes)


def written(rows: list[list[str]], delimiter: str = ",", quoting: int = csv.QUOTE_MINIMAL, end: str = "\n") -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator=end).writerows(rows)  # type: ignore[arg-type]
    return out.getvalue()


def in_one_column(text: str, *, delimiter: str = ",", end: str = "\n", every: bool = True) -> str:
    """Write the rows of a file as a spreadsheet does that took each for one cell."""
    rows = [
        written([row], delimiter).removesuffix("\n")
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    ]
    return written([[row] for row in rows], ";", csv.QUOTE_ALL if every else csv.QUOTE_MINIMAL, end)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("delimiter", [",", "\t", "|"])
@pytest.mark.parametrize("every", [True, False])
def test_a_row_in_quotes_is_the_row_in_them(tmp_path: Path, delimiter: str, end: str, *, every: bool) -> None:
    text = in_one_column(written(ROWS, delimiter), delimiter=delimiter, end=end, every=every)
    rows, lines, notes = read(tmp_path / "a.csv", text)
    assert rows == [tuple(row) for row in ROWS]
    assert lines == [2, 3]
    assert "rows that stand in quotes as a whole" in notes


def test_lines_stay_where_a_cell_is_broken(tmp_path: Path) -> None:
    rows = [ROWS[0], ["ann@x.de", "Ann\nLee", "Bonn"], ["bob@x.de", "Bob", "Ulm"]]
    found, lines, _ = read(tmp_path / "a.csv", in_one_column(written(rows)))
    assert [row[1] for row in found] == ["Name", "Ann\nLee", "Bob"]
    assert lines == [2, 4]


@pytest.mark.parametrize("codec", ["utf-8-sig", "cp1250", "cp1252"])
def test_any_encoding_and_a_mark_before_the_first_row(tmp_path: Path, codec: str) -> None:
    rows = [ROWS[0], *(["ann@x.de", "Jörg", "Köln"] for _ in range(3))]
    found, _, _ = read(tmp_path / "a.csv", in_one_column(written(rows)).encode(codec))
    assert found[1] == ("ann@x.de", "Jörg", "Köln")
    assert found[0][0] == "Email"


@pytest.mark.parametrize(
    "text",
    [
        'Name\n"Lee, Ann"\n"May, Bob"\n',  # one column of names
        '"Name"\n"Lee, Ann"\n"May, Bob"\n',
        '"Email","Name"\n"ann@x.de","Lee, Ann"\n',  # every cell in quotes
        '"Email, work"\n"ann@x.de"\n"bob@x.de"\n',
        'Email,Name\n"Lee, Ann, Dr.",ann@x.de\n',
        'Email;Name\n"ann@x.de";"""Ann"""\n',
    ],
)
def test_other_quotes_are_what_they_are(tmp_path: Path, text: str) -> None:
    assert find_wrapped_rows(text.encode(), is_whole=True) is None
    _, _, notes = read(tmp_path / "a.csv", text)
    assert "as a whole" not in notes


def test_who_says_what_a_quote_is_is_believed(tmp_path: Path) -> None:
    rows, _, notes = read(tmp_path / "a.csv", in_one_column(written(ROWS[:2])), quote="'")
    assert "as a whole" not in notes
    assert rows[1] == ('"ann@x.de', "Ann", 'Bonn"')


CELLS = st.text(st.sampled_from('ab ,;"\nö'), max_size=6)


@given(st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=6), st.booleans())
@settings(max_examples=examples(60))
def test_whatever_stands_in_the_cells(rows: list[list[str]], every: bool) -> None:  # noqa: FBT001 - a case
    """What is found is what was written; a row that needs no quotes may stand without."""
    text = in_one_column(written([ROWS[0], *rows]), every=every)
    found = find_wrapped_rows(text.encode(), is_whole=True, delimiter=",")
    if found is None:
        assert not every or not any("".join(row).strip() for row in rows)
        return
    plain = b"".join(found.unwrapped(text.encode().splitlines(keepends=True))).decode()
    assert list(csv.reader(io.StringIO(plain, newline=""))) == [ROWS[0], *rows]
    assert plain.count("\n") == text.count("\n")


def test_a_quote_that_is_never_closed_costs_its_row_and_no_memory() -> None:
    rows = find_wrapped_rows(b'"A,B"\n"1,2"\n', is_whole=True)
    assert rows is not None
    lines = [b'"A,B"\n', b'"1,2\n', *[b"x" * 999 + b"\n"] * 1_000, b'"3,4"\n', b'"5,6"\n']
    found = list(rows.unwrapped(lines))
    assert found[0] == b"A,B\n"
    assert b"".join(found).count(b"\n") == len(lines)
    assert max(map(len, found)) < 300_000
    assert found[-1] == b"5,6\n"
