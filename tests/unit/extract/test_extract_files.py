"""Parquet, JSON Lines, compressed files and standard input: the same rows whatever the wrapping."""

from __future__ import annotations

import bz2
import csv
import datetime as dt
import gzip
import io
import lzma
import sys
import tempfile
import zipfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from etl.errors import SourceError
from etl.extract import open_source
from etl.extract.files import archive
from etl.model import Chunk
from tests.support.importer import ImporterFixture

PLAIN = "Email,Name\nann@mapleshop.com,José\nbob@mapleshop.com,\n"


def read(path: Path | str, **options: Any) -> tuple[dict[int, tuple[Any, ...]], dict[int, str], tuple[str, ...]]:
    with open_source(path, chunk_rows=2, **options) as source:
        chunks: list[Chunk] = list(source.chunks())
        rows = {row[0]: row[1:] for chunk in chunks for row in chunk.frame.itertuples(name=None)}
        codes = {issue.line: issue.code for chunk in chunks for issue in chunk.issues}
        return rows, codes, source.info.columns


def zipped(data: bytes, *names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, data)
    return out.getvalue()


def zstd(*frames: bytes) -> bytes:
    """Return each text as a frame of its own, as parallel compressors and ``cat`` write them."""
    packed_frames = []
    for frame in frames:
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, "zstd") as out:
            out.write(frame)
        packed_frames.append(sink.getvalue().to_pybytes())
    return b"".join(packed_frames)


WRAPPINGS = {
    "people.csv.gz": gzip.compress(PLAIN.encode()),
    "people.csv.xz": lzma.compress(PLAIN.encode()),
    "people.csv.zst": zstd(PLAIN.encode()),
    "people.zip": zipped(PLAIN.encode(), "export/people.csv", "__MACOSX/._people.csv"),
}


@pytest.fixture
def no_leftovers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files, which must be empty afterwards."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.mark.parametrize("name", WRAPPINGS)
def test_a_compressed_file_is_read_and_leaves_nothing_behind(name: str, tmp_path: Path, no_leftovers: Path) -> None:
    (tmp_path / name).write_bytes(WRAPPINGS[name])
    rows, codes, columns = read(tmp_path / name)
    assert (rows, codes, columns) == (
        {2: ("ann@mapleshop.com", "José"), 3: ("bob@mapleshop.com", "")},
        {},
        ("Email", "Name"),
    )
    assert not list(no_leftovers.iterdir())
    with open_source(tmp_path / name) as source:
        assert source.info.name == name
        assert any("unpacked" in note for note in source.info.notes)
        (temporary,) = no_leftovers.iterdir()
        assert temporary.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("name", WRAPPINGS)
def test_a_cut_off_archive_is_refused_and_leaves_nothing_behind(
    name: str, share: float, tmp_path: Path, no_leftovers: Path
) -> None:
    whole = WRAPPINGS[name]
    (tmp_path / name).write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(SourceError) as refused:
        open_source(tmp_path / name)
    assert refused.value.hint
    assert not list(no_leftovers.iterdir())


@pytest.mark.parametrize("name", ["bomb.csv.gz", "bomb.csv.zst", "bomb.zip"])
def test_a_bomb_is_refused_before_it_fills_the_disk(
    name: str, tmp_path: Path, no_leftovers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "_HARMLESS", 1_000_000)
    bomb = b"a" * 20_000_000
    packs: dict[str, Callable[[bytes], bytes]] = {
        ".gz": gzip.compress,
        ".zst": zstd,
        ".zip": lambda data: zipped(data, "bomb.csv"),
    }
    pack = packs[Path(name).suffix]
    (tmp_path / name).write_bytes(pack(bomb))
    with pytest.raises(SourceError, match="far more than it should") as refused:
        open_source(tmp_path / name)
    assert refused.value.code == "archive-bomb"
    assert not list(no_leftovers.iterdir())


SKIPPABLE = b"\x50\x2a\x4d\x18\x05\x00\x00\x00hello"


@pytest.mark.parametrize(
    "data",
    [
        zstd(PLAIN[:20].encode(), PLAIN[20:].encode()),
        SKIPPABLE + zstd(PLAIN.encode()),
        zstd(PLAIN[:20].encode()) + SKIPPABLE + zstd(PLAIN[20:].encode()),
    ],
    ids=["two frames", "a skippable frame first", "a skippable frame between"],
)
def test_all_frames_of_zstd_are_read(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "people.csv.zst").write_bytes(data)
    assert read(tmp_path / "people.csv.zst")[0] == read_plain(tmp_path)


@pytest.mark.parametrize("cut", [1, 4, 30])
def test_a_last_frame_of_zstd_that_is_cut_off_is_no_end(cut: int, tmp_path: Path, no_leftovers: Path) -> None:
    """The rows before it would look like a whole file."""
    (tmp_path / "people.csv.zst").write_bytes(zstd(PLAIN.encode(), PLAIN.encode())[:-cut])
    with pytest.raises(SourceError) as refused:
        open_source(tmp_path / "people.csv.zst")
    assert refused.value.code == "source-damaged"
    assert not list(no_leftovers.iterdir())


def read_plain(folder: Path) -> dict[int, tuple[Any, ...]]:
    (folder / "plain.csv").write_text(PLAIN, encoding="utf-8")
    return read(folder / "plain.csv")[0]


def test_messages_name_the_file_inside(tmp_path: Path) -> None:
    (tmp_path / "export.zip").write_bytes(zipped(b"", "people.csv"))
    with pytest.raises(SourceError, match=r"^people\.csv is empty"):
        open_source(tmp_path / "export.zip")


def test_an_archive_of_several_tables_is_not_guessed_at(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a.csv", PLAIN)
        archive.writestr("b.csv", "Order,Total\n1,2\n")
    with pytest.raises(SourceError, match=r"holds 2 files, which are not parts of one table: 'a\.csv', 'b\.csv'"):
        open_source(tmp_path / "two.zip")


def test_standard_input_is_a_source(monkeypatch: pytest.MonkeyPatch, no_leftovers: Path) -> None:
    monkeypatch.setattr(sys, "stdin", type("Stream", (), {"buffer": io.BytesIO(PLAIN.encode())})())
    rows, _, columns = read("-")
    assert (len(rows), columns) == (2, ("Email", "Name"))
    assert not list(no_leftovers.iterdir())


VALUES: dict[str, tuple[Any, str | None]] = {
    "text": ("00123", "00123"),
    "nothing": (None, None),
    "empty text": ("", ""),
    "an integer": (2**60, str(2**60)),
    "a float": (12.5, "12.5"),
    "a whole float": (3.0, "3"),
    "not a number": (float("nan"), None),
    "true": (True, "true"),
    "a decimal": (Decimal("10.50"), "10.50"),
    "a date": (dt.date(2024, 2, 29), "2024-02-29"),
    "a moment": (dt.datetime(2024, 2, 29, 8, 30, tzinfo=dt.UTC), "2024-02-29 08:30:00+00:00"),
    "a list": (["a", "b"], '["a","b"]'),
    "an object": ({"a": 1}, '{"a":1}'),
}


@pytest.mark.parametrize("name", VALUES)
def test_a_typed_value_becomes_text(name: str, tmp_path: Path) -> None:
    value, text = VALUES[name]
    pq.write_table(pa.table({"Id": ["x"], "Value": [value]}), tmp_path / "people.parquet")
    rows, codes, _ = read(tmp_path / "people.parquet")
    assert not codes
    assert rows[1][0] == "x"
    assert rows[1][1] == text if text is not None else rows[1][1] != rows[1][1]


def test_a_damaged_parquet_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "people.parquet"
    pq.write_table(pa.table({"Id": [str(number) for number in range(1_000)]}), path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(SourceError, match="damaged Parquet"):
        open_source(path)


def test_json_lines_are_flattened_and_bad_lines_cost_themselves(tmp_path: Path) -> None:
    path = tmp_path / "people.jsonl"
    path.write_text(
        '{"email": "ann@mapleshop.com", "address": {"city": "Köln", "zip": "01040"}, "tags": ["a"]}\n'
        "\n"
        "{broken\n"
        "[1]\n"
        '{"email": "bob@mapleshop.com", "vip": true, "spent": 12.0, "tags": null}\n',
        encoding="utf-8",
    )
    rows, codes, columns = read(path)
    assert columns == ("email", "address.city", "address.zip", "tags", "vip", "spent")
    assert rows[1][:4] == ("ann@mapleshop.com", "Köln", "01040", '["a"]')
    assert (rows[5][0], rows[5][4], rows[5][5]) == ("bob@mapleshop.com", "true", "12")
    assert codes == {3: "row-not-json", 4: "row-not-json"}


def test_the_same_customers_from_every_kind_of_file_give_the_same_profiles(tmp_path: Path) -> None:
    """Text in, text out: CSV, workbook, Parquet, JSON Lines and a compressed CSV end as identical records."""
    import openpyxl  # noqa: PLC0415

    header = ["Id", "Email", "Name"]
    people = [[f"00{number}", f"p{number}@mapleshop.com", "José" if number % 2 else ""] for number in range(300)]
    text = io.StringIO(newline="")
    csv.writer(text).writerows([header, *people])
    (tmp_path / "a.csv").write_text(text.getvalue(), encoding="utf-8", newline="")
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(text.getvalue().encode()))
    book = openpyxl.Workbook()
    for row in [header, *people]:
        book.active.append(row)
    book.save(tmp_path / "c.xlsx")
    columns = {name: [row[place] for row in people] for place, name in enumerate(header)}
    pq.write_table(pa.table(columns), tmp_path / "d.parquet")
    lines = b"\n".join(orjson.dumps(dict(zip(header, row, strict=True))) for row in people)
    (tmp_path / "e.jsonl").write_bytes(lines)
    bodies = {}
    for path in sorted(tmp_path.glob("*.*")):
        folder = tmp_path / path.name.replace(".", "_")
        folder.mkdir()
        desk = ImporterFixture(folder)
        desk.source = path
        report = desk.run()
        with desk.context.open_store() as store:
            bodies[path.name] = store.records.bodies(report.run, [line for line, *_ in store.rows.outcomes(report.run)])
        desk.sandbox.close()
    assert len(bodies) == 5
    assert len({tuple(found) for found in bodies.values()}) == 1


def test_what_is_compressed_in_another_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "people.csv.bz2").write_bytes(bz2.compress(PLAIN.encode()))
    with pytest.raises(SourceError) as refused:
        open_source(tmp_path / "people.csv.bz2")
    assert refused.value.code == "source-binary"
