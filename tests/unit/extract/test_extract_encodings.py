"""Old encodings are told by how their letters stand together; a file of two is read line by line; doubt is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from etl.extract import open_source
from etl.extract.delimited.alphabets import plausibility, well_formed
from etl.model import Chunk
from tests.support.encoding_pairs import PAIRS, SIZES, export


def cells(path: Path, data: bytes, **options: str) -> tuple[list[tuple[str, ...]], dict[int, str], tuple[str, ...]]:
    """Return header and rows, codes by line, and the notes."""
    path.write_bytes(data)
    with open_source(path, **options) as source:  # type: ignore[arg-type]
        chunks: list[Chunk] = list(source.chunks())
        rows = [row for chunk in chunks for row in chunk.frame.itertuples(index=False, name=None)]
        codes = {issue.line: issue.code for chunk in chunks for issue in chunk.issues}
        return [source.info.columns, *rows], codes, source.info.notes


def table(text: str) -> list[tuple[str, ...]]:
    return [tuple(line.split(",")) for line in text.splitlines()]


@pytest.mark.parametrize("rows", SIZES[:2])
@pytest.mark.parametrize(("language", "codec"), PAIRS, ids=[f"{language} in {codec}" for language, codec in PAIRS])
def test_an_export_reads_as_it_was_written(language: str, codec: str, rows: int, tmp_path: Path) -> None:
    text = export(language, rows)
    read, codes, notes = cells(tmp_path / "people.csv", text.encode(codec))
    assert read == table(text)
    assert not codes
    assert any("detected" in note for note in notes)


MIXED = (
    b"Email,First Name,City\n"
    b"ann@mapleshop.com,Jos\xc3\xa9,K\xc3\xb6ln\nbob@mapleshop.com,Zo\xc3\xab,Trier\n"
    b"cy@mapleshop.com,Ren\xe9,K\xf6ln\ndee@mapleshop.com,J\xf6rg,Bonn\neve@mapleshop.com,K\xe4the,Ulm\n"
)


@pytest.mark.parametrize(
    ("language", "codec"),
    [
        ("de", "cp1252"),
        ("fr", "cp1252"),
        ("es", "mac_roman"),
        ("hu", "cp1250"),
        ("pl", "cp1250"),
        ("ru", "cp1251"),
        ("tr", "cp1254"),
        ("el", "cp1253"),
        ("cs", "cp852"),
    ],
)
@pytest.mark.parametrize("share", [1, 2, 5], ids=["half", "a third", "a sixth"])
def test_a_file_of_two_encodings_is_read_line_by_line(language: str, codec: str, share: int, tmp_path: Path) -> None:
    """Exports put one behind the other: never ``JosÃ©``."""
    one, two = export(language, 40, seed=1), export(language, 40 * share, seed=2).split("\r\n", 1)[1]
    for data in (
        one.encode() + two.encode(codec),
        one.split("\r\n", 1)[0].encode() + b"\r\n" + two.encode(codec) + one.split("\r\n", 1)[1].encode(),
    ):
        read, codes, notes = cells(tmp_path / "people.csv", data)
        if codes:
            assert set(codes.values()) == {"row-undecodable"}, "refused with their lines"
            assert any("lines hold bytes of another encoding" in note for note in notes)
        else:
            assert sorted(read) == sorted(table(one + two))
            assert any("of two encodings" in note for note in notes)


def test_the_mixed_file_of_the_reports(tmp_path: Path) -> None:
    read, codes, _ = cells(tmp_path / "people.csv", MIXED)
    assert [row[1:] for row in read[1:]] == [
        ("José", "Köln"),
        ("Zoë", "Trier"),
        ("René", "Köln"),
        ("Jörg", "Bonn"),
        ("Käthe", "Ulm"),
    ]
    assert not codes


def test_a_mixed_line_may_lie_across_blocks(tmp_path: Path) -> None:
    """Cut anywhere: the line is one, and so is its encoding."""
    filler = "".join(f"p{number}@mapleshop.com,Renée,Orléans\n" for number in range(70_000))
    data = b"Email,First,City\n" + filler.encode("cp1252") + MIXED.split(b"\n", 1)[1] * 2
    read, codes, _ = cells(tmp_path / "people.csv", data)
    assert len(read) == 70_011
    assert {row[1:] for row in read[1:70_001]} == {("Renée", "Orléans")}
    assert read[70_001][1:] == ("José", "Köln")
    assert not codes


def test_words_are_for_eyes_and_doubt_is_said(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes("Email,Name\na@x.hu,Gergő\nb@x.hu,Győző\n".encode("cp1250"))
    with open_source(path) as source:
        assert set(source.info.words) == {"Gergő", "Győző"}
        assert not any("Gerg" in note for note in source.info.notes)
    path.write_bytes(b"Email,Name\na@x.com,\xb1\n")
    with open_source(path) as source:
        assert source.info.details["encoding_doubtful"] == "yes"
    with open_source(path, encoding="cp1252") as source:
        assert "encoding_doubtful" not in source.info.details


def test_letters_of_one_language_are_more_likely_than_a_mixture() -> None:
    assert plausibility("García Muñoz Pérez") == 1.0
    assert plausibility("García Muńoz Pérez") < 1.0
    assert plausibility("plain") == 1.0
    assert well_formed("Käthe Müller") == 1.0
    assert well_formed("KäÖhe MüÄler") < 1.0


@pytest.mark.parametrize("half", [0xD83D, 0xDE00])
@pytest.mark.parametrize(
    ("codec", "mark"),
    [("utf-16-le", b"\xff\xfe"), ("utf-16-be", b"\xfe\xff"), ("utf-16-le", b""), ("utf-32-le", b"\xff\xfe\0\0")],
)
def test_half_a_character_costs_its_row_and_no_other(tmp_path: Path, codec: str, mark: bytes, half: int) -> None:
    text = f"Email,Name\r\nann@a.co,Zo\U0001f600\r\nbob@a.co,B{chr(half)}b\r\ncy@a.co,Cy\r\n"
    read, codes, _ = cells(tmp_path / "f.csv", mark + text.encode(codec, "surrogatepass"))
    assert read == [("Email", "Name"), ("ann@a.co", "Zo\U0001f600"), ("cy@a.co", "Cy")]
    assert codes == {3: "row-undecodable"}
    cut = mark + text.replace(chr(half), "").encode(codec).removesuffix("\r\n".encode(codec)) + b"\x3d"
    read, codes, _ = cells(tmp_path / "f.csv", cut)
    assert read[-1] == ("bob@a.co", "Bb")
    assert codes == {4: "row-undecodable"}


@pytest.mark.parametrize("codec", ["iso2022_jp", "iso2022_kr", "shift_jis", "gb18030", "big5", "euc_kr", "hz"])
def test_bytes_that_are_no_text_cost_their_row_in_any_codec(tmp_path: Path, codec: str) -> None:
    text = "Email,Name\nann@a.co,\u4e2d\nbob@a.co,x\ncy@a.co,y\n".encode(codec).replace(b"bob", b"b\x1b$\xff\x81b")
    read, codes, _ = cells(tmp_path / "f.csv", text, encoding=codec)
    assert read == [("Email", "Name"), ("ann@a.co", "\u4e2d"), ("cy@a.co", "y")]
    assert codes == {3: "row-undecodable"}
