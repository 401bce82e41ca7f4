"""CSV in the dialects that people export: found from the first lines, or named; what is unusual is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from etl.config import parse_mapping
from etl.errors import ConfigError
from etl.extract import open_source
from etl.model import Issue, SourceInfo
from tests.support.dialect_files import FILES, HEAD


def read(
    path: Path, text: str, written: str = "utf-8", **options: Any
) -> tuple[list[list[str]], list[Issue], SourceInfo]:
    """Return header and rows, issues, and what is known of the source."""
    path.write_bytes(text.encode(written))
    with open_source(path, **options) as source:
        chunks = list(source.chunks())
        rows = [list(row) for chunk in chunks for row in chunk.frame.itertuples(index=False, name=None)]
        return [list(source.info.columns), *rows], [issue for chunk in chunks for issue in chunk.issues], source.info


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "people.csv"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_every_dialect_gives_the_cells_its_writer_meant(path: Path, encoding: str) -> None:
    for name, file in FILES.items():
        rows, issues, _ = read(path, file.text, encoding)
        assert rows == file.rows, name
        assert {issue.code for issue in issues} <= ({"row-too-short", "row-summary"} if "ragged" in name else set()), (
            name
        )


NOTES = {
    "backslash before quotes": (
        "a backslash before a quote",
        "(detected by line 2;",
        "1 cell that holds \\N: read as empty",
    ),
    "MySQL into outfile": (
        "quotes are letters",
        "a backslash before",
        "lines 2, 3",
        "1 cell that holds \\N: read as empty",
    ),
    "blank before quotes": ("blanks between quotes and delimiters",),
    "single quotes": ("cells are quoted by ' (detected by line 2;",),
    "stray quotes, tab: two people stay two": ("quotes are letters", "detected by line 2;"),
    **dict.fromkeys(("comma", "all quoted, semicolon", "inches, tab"), ()),
    "inches, tab": ("quotes are letters",),
    "Windows paths are no escapes": (),
    "one ragged row": ("sums of the table",),
    "sep line in quotes": (),
}


@pytest.mark.parametrize("name", NOTES)
def test_what_is_unusual_is_said_and_nothing_else(path: Path, name: str) -> None:
    _, _, info = read(path, FILES[name].text)
    said = "\n".join(info.notes)
    assert all(part in said for part in NOTES[name])
    assert bool(info.notes) == bool(NOTES[name])


def test_what_the_mapping_says_is_kept(path: Path) -> None:
    """Where the lines do not show it, or where they show something else."""
    head = HEAD.replace("~", ",")
    rows, _, info = read(path, f"{head}\nann@mapleshop.com,%'Ann%',Bonn\n", quote="'", escape="%")
    assert rows[1] == ["ann@mapleshop.com", "'Ann'", "Bonn"]
    assert any("as the mapping says" in note for note in info.notes)
    rows, _, _ = read(
        path, f'{head}\nann@mapleshop.com,"Ann",NULL\nbob@mapleshop.com,\\N, n/a \n', null_values=["NULL", "n/a"]
    )
    assert rows[1:] == [["ann@mapleshop.com", "Ann", ""], ["bob@mapleshop.com", "\\N", ""]]
    rows, _, info = read(path, f'{head}\nann@mapleshop.com,"Ann",\\N\n', quote="", null_values=[])
    assert rows[1] == ["ann@mapleshop.com", '"Ann"', "\\N"]
    rows, issues, _ = read(path, FILES["backslash before quotes"].text, escape="")
    assert [issue.code for issue in issues] == ["quote-malformed"]
    rows, _, _ = read(path, "a\tb\n1\tx\\ny\n", quote="", escape="\\")
    assert rows[1] == ["1", "x\ny"]


@pytest.mark.parametrize("delimiter", ["\t", ";"])
@pytest.mark.parametrize("block", ["", '"quoted"'])
def test_a_stray_quote_below_the_first_lines_costs_its_line(path: Path, delimiter: str, block: str) -> None:
    """Closed by another row's quote it would make two people one, and the row would fit the header."""
    people = [["Email", "Name", "City"], *([f"p{number}@mapleshop.com", block, "Bonn"] for number in range(300))]
    people += [["ann@mapleshop.com", '"Annie', "Bonn"], ["bob@mapleshop.com", 'Bobby"', "Ulm"]]
    people += [["eve@mapleshop.com", '"Eve', "Ulm"], ["", "", ""], ["dan@mapleshop.com", 'Dan"', "Ulm"]]
    people += [["cy@mapleshop.com", '"Cy\nof Rome"', "Rome"]]
    rows, issues, _ = read(path, "".join(delimiter.join(row) + "\n" for row in people))
    assert [(issue.line, issue.code) for issue in issues] == [
        (302, "quote-holds-rows"),
        (304, "quote-holds-rows"),
    ]
    assert rows[301] == ["bob@mapleshop.com", 'Bobby"', "Ulm"]
    assert rows[302:] == [["dan@mapleshop.com", 'Dan"', "Ulm"], ["cy@mapleshop.com", "Cy\nof Rome", "Rome"]]
    assert len(rows) == 304


def test_broken_quotes_in_a_file_that_quotes_cost_their_lines(path: Path) -> None:
    text = 'Email,Name,Tags\nann@mapleshop.com,Ann,"a,b"\nbob@mapleshop.com,"B"ob,x\ncy@mapleshop.com,"Cy,x\n'
    for delimiter in ",;\t":
        rows, issues, info = read(path, text.replace(",", delimiter))
        assert rows[1:] == [["ann@mapleshop.com", "Ann", f"a{delimiter}b"]]
        assert [(issue.line, issue.code) for issue in issues] == [(3, "quote-malformed"), (4, "quote-unclosed")]
        assert not info.notes


def test_a_cell_of_several_lines_is_none_of_several_rows(path: Path) -> None:
    text = 'Address,Email\n"Main Street 1, Bonn\nGermany",ann@mapleshop.com\n"2, Ulm\nGermany",bob@mapleshop.com\n'
    rows, issues, _ = read(path, text)
    assert rows[1:] == [["Main Street 1, Bonn\nGermany", "ann@mapleshop.com"], ["2, Ulm\nGermany", "bob@mapleshop.com"]]
    assert not issues


@pytest.mark.parametrize("encoding", ["utf-8", "UTF8", "utf-8-sig", "cp1252", "ascii", "utf-16-le"])
@pytest.mark.parametrize("marks", [1, 2])
def test_a_mark_at_the_start_is_no_letter_of_the_header(path: Path, encoding: str, marks: int) -> None:
    written = "utf-16-le" if encoding.startswith("utf-16") else "utf-8"
    text = "\ufeff" * marks + "Email,First Name\nann@mapleshop.com,José\n"
    rows, issues, info = read(path, text, written, encoding=encoding)
    assert rows == [["Email", "First Name"], ["ann@mapleshop.com", "José"]]
    assert not issues
    assert any("although" in note for note in info.notes) == (encoding in {"cp1252", "ascii"})


def test_marks_between_files_that_were_put_together_are_no_letters(path: Path) -> None:
    for encoding in ("utf-8", "utf-16-le"):
        text = '\ufeffEmail,Name\nann@mapleshop.com,Ann\n\ufeff"bob@mapleshop.com","Bob, Jr."\n'
        text += "\ufeff\ufeffcy@mapleshop.com,Cy\n"
        rows, issues, _ = read(path, text, encoding)
        assert rows[1:] == [["ann@mapleshop.com", "Ann"], ["bob@mapleshop.com", "Bob, Jr."], ["cy@mapleshop.com", "Cy"]]
        assert not issues


NAMES = {
    "Prénom": ["Pre\u0301nom", "Prénom\u200b", "\ufeffPr\u2060énom", "Pré\u00adnom", "Pr\u200dénom\u200e"],
    "Code postal": ["Code\u00a0postal", "Code\u202fpostal", "\u200fCode postal"],
    "می\u200cشود": ["می\u200cشود\u200f"],
}


def test_names_that_look_the_same_are_the_same(path: Path, tmp_path: Path) -> None:
    """In a header, in JSON, and as the mapping writes them."""
    for name, others in NAMES.items():
        for written in (name, *others):
            rows, issues, _ = read(path, f"Email,{written}\nann@mapleshop.com,Ann\n")
            assert rows[0] == ["Email", name]
            assert not issues
            lines = tmp_path / "people.jsonl"
            lines.write_text(f'{{"Email": "ann@mapleshop.com", "{written}": "Ann"}}\n', encoding="utf-8")
            with open_source(lines) as source:
                assert [list(chunk.frame[name]) for chunk in source.chunks()] == [["Ann"]]
            assert source.info.columns == ("Email", name)
            mapping = parse_mapping(
                {
                    "columns": {"\ufeffEmail": "email", written: "first_name"},
                    "computed": {"properties.greeting": {"template": f"Dear {{{written}}}"}},
                    "defaults": {"country_column": written},
                }
            )
            assert not mapping.missing_columns(("Email", name))
            assert (
                mapping.hash
                == parse_mapping(
                    {
                        "columns": {"Email": "email", name: "first_name"},
                        "computed": {"properties.greeting": {"template": f"Dear {{{written}}}"}},
                        "defaults": {"country_column": name},
                    }
                ).hash
            )
    with pytest.raises(ConfigError, match="are the same column"):
        parse_mapping({"columns": {"Email": "email", "Prénom": "first_name", "Pre\u0301nom": "last_name"}})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"quote": "ab"}, "source.quote"),
        ({"quote": "a"}, "a letter"),
        ({"escape": " "}, "a blank"),
        ({"delimiter": "\n"}, "a line break"),
        ({"delimiter": ";", "quote": ";"}, "same character"),
        ({"quote": "'", "escape": "'"}, "doubled quotes"),
        ({"url": "sqlite:///x", "query": "select 1", "null_values": ["x"]}, "null_values is for files"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_mapping({"source": options, "columns": {"Email": "email"}})
