"""Several files as one source: one table, and every row keeps the file and the line it came from."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from etl import pipeline
from etl.cli import _main
from etl.cli.session import Common, mapping_of
from etl.errors import ConfigError, SourceError, UsageError
from etl.extract import Source, open_files, open_source, resolve_sources
from etl.model import Chunk, LineLocator, Progress, SourceFile
from etl.report import render_html, render_json, render_text
from tests.support.importer import ImporterFixture

HEADER = "Id,Email,Name\n"


def line(number: int, name: str = "Ann") -> str:
    return f"c{number},person{number}@mapleshop.com,{name}\n"


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of temporary files, which must be empty afterwards."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert not list(folder.iterdir())


def together(*paths: Path | str, chunk_rows: int = 2) -> Source:
    files = resolve_sources(paths, {})
    return open_files(files.name, files.paths, files.names, lambda path: open_source(path, chunk_rows=chunk_rows), {})


def read(source: Source) -> tuple[dict[str, tuple[Any, ...]], list[Chunk]]:
    """Return place → cells, and the chunks."""
    with source:
        chunks = list(source.chunks())
    places = LineLocator({chunk.part for chunk in chunks if chunk.part is not None})
    rows = {places.text(row[0]): row[1:] for chunk in chunks for row in chunk.frame.itertuples(name=None)}
    return rows, chunks


def write(folder: Path, **texts: str | bytes) -> None:
    for name, text in texts.items():
        (folder / name.replace("__", ".")).write_bytes(text if isinstance(text, bytes) else text.encode())


# --- which files ------------------------------------------------------------------------------------------------------


def test_a_pattern_gives_its_files_in_natural_order(tmp_path: Path) -> None:
    write(tmp_path, a_10__csv="x", a_9__csv="x", a_2__csv="x", b_1__txt="x")
    (tmp_path / "a_folder.csv").mkdir()
    files = resolve_sources([str(tmp_path / "a_*.csv")], {})
    assert files.names == ("a_2.csv", "a_9.csv", "a_10.csv")
    assert files.name == str(tmp_path / "a_*.csv")


def test_files_come_as_given_and_each_once(tmp_path: Path) -> None:
    write(tmp_path, a__csv="x", b__csv="x")
    a, b = tmp_path / "a.csv", tmp_path / "b.csv"
    files = resolve_sources([b, str(tmp_path / "*.csv")], {})
    assert files.paths == (b, a)
    assert files.name == f"{b}, {tmp_path / '*.csv'}"
    assert resolve_sources([f"{n}.csv" for n in range(9)], {}).name == "0.csv, 1.csv, 2.csv and 6 more"


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    for folder in ("may", "june"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder, people__csv="x")
    files = resolve_sources([str(tmp_path / "**" / "people.csv")], {})
    assert files.names == (str(tmp_path / "june" / "people.csv"), str(tmp_path / "may" / "people.csv"))


def test_a_name_that_exists_is_no_pattern(tmp_path: Path) -> None:
    write(tmp_path, **{"people[1]__csv": "x", "people1__csv": "x"})
    assert resolve_sources([str(tmp_path / "people[1].csv")], {}).names == ("people[1].csv",)


def test_a_pattern_without_files_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"No file matches .*exports/\*\.csv") as refused:
        resolve_sources([str(tmp_path / "exports/*.csv")], {})
    assert refused.value.code == "source-not-found"


def test_standard_input_is_not_one_of_several(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        resolve_sources(["-", tmp_path / "a.csv"], {})


# --- one table --------------------------------------------------------------------------------------------------------


def test_rows_keep_file_and_line_whatever_the_format(tmp_path: Path) -> None:
    write(
        tmp_path,
        a__csv=HEADER + line(1) + line(2, '"two\nlines"') + line(3),
        c__csv__gz=gzip.compress(("\n\n" + HEADER.replace(",", ";") + line(5).replace(",", ";")).encode()),
    )
    pq.write_table(
        pa.table({"Name": ["Ann"], "Id": ["c4"], "Email": ["person4@mapleshop.com"]}), tmp_path / "b.parquet"
    )
    (tmp_path / "d.jsonl").write_text('{"Id": "c6", "Email": "person6@mapleshop.com"}\n', encoding="utf-8")
    names = ("a.csv", "b.parquet", "c.csv.gz", "d.jsonl")
    rows, chunks = read(together(*(tmp_path / name for name in names)))
    assert {place: row[0] for place, row in rows.items()} == {
        "a.csv:2": "c1",
        "a.csv:3": "c2",
        "a.csv:5": "c3",
        "b.parquet:1": "c4",
        "c.csv.gz:4": "c5",
        "d.jsonl:1": "c6",
    }
    assert rows["b.parquet:1"] == ("c4", "person4@mapleshop.com", "Ann")
    assert rows["d.jsonl:1"][2] != rows["d.jsonl:1"][2]  # absent in JSON Lines: missing, not empty
    lines = [number for chunk in chunks for number in chunk.frame.index]
    assert lines == sorted(set(lines))
    assert {dtype.name for chunk in chunks for dtype in chunk.frame.dtypes} == {"str"}


def test_the_digest_is_over_all_files_and_moves_with_each(tmp_path: Path) -> None:
    write(tmp_path, a__csv=HEADER + line(1), b__csv=HEADER + line(2))
    source = together(tmp_path / "a.csv", tmp_path / "b.csv")
    assert source.sha256 is None
    read(source)
    digests = [hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in ("a.csv", "b.csv")]
    assert source.sha256 == hashlib.sha256("".join(f"{digest}\n" for digest in digests).encode()).hexdigest()


def test_progress_goes_over_all_files_and_ends_at_their_size(tmp_path: Path) -> None:
    write(tmp_path, a__csv=HEADER + "".join(map(line, range(50))), b__csv=HEADER + "".join(map(line, range(9))))
    source = together(tmp_path / "a.csv", tmp_path / "b.csv", chunk_rows=5)
    _, chunks = read(source)
    positions = [chunk.position for chunk in chunks]
    assert positions == sorted(positions)
    assert positions[-1] == source.info.size == sum(path.stat().st_size for path in tmp_path.glob("*.csv"))
    assert source.info.unit == "B"


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ("Id,Email\n", "b.csv has other columns than a.csv: it lacks 'Name'"),
        ("Id,Email,Name,Plan\n", "b.csv has other columns than a.csv: it has 'Plan' besides"),
        ("Id,Mail,Name\n", "it lacks 'Email' and has 'Mail' besides"),
    ],
)
def test_other_columns_are_an_error_before_any_row(second: str, said: str, tmp_path: Path) -> None:
    write(tmp_path, a__csv=HEADER + line(1), b__csv=second)
    with pytest.raises(SourceError) as refused:
        together(tmp_path / "a.csv", tmp_path / "b.csv")
    assert refused.value.code == "columns-differ"
    assert said in refused.value.message


def test_columns_in_another_order_are_put_right_ragged_rows_too(tmp_path: Path) -> None:
    write(tmp_path, a__csv=HEADER + line(1), b__csv="Name,Id,Email\nBob,c2,b@x.com\nEve,c3\nZoe,c4,z@x.com,more\n")
    rows, chunks = read(together(tmp_path / "a.csv", tmp_path / "b.csv", chunk_rows=50))
    assert rows["b.csv:2"] == ("c2", "b@x.com", "Bob")
    assert [row.cells for row in chunks[1].ragged] == [("c3", "", "Eve"), ("c4", "z@x.com", "Zoe", "more")]


def test_a_file_that_changes_while_others_are_read_is_noticed(tmp_path: Path) -> None:
    write(tmp_path, a__csv=HEADER + line(1), b__csv=HEADER + line(2))
    with together(tmp_path / "a.csv", tmp_path / "b.csv") as source:
        chunks = source.chunks()
        next(chunks)
        write(tmp_path, b__csv="Id,Mail\n1,2\n")
        with pytest.raises(SourceError) as refused:
            list(chunks)
    assert refused.value.code == "source-changed"


def test_a_file_without_rows_is_known_all_the_same(tmp_path: Path) -> None:
    write(tmp_path, a__csv=HEADER, b__csv=HEADER + line(1))
    _, chunks = read(together(tmp_path / "a.csv", tmp_path / "b.csv"))
    assert [(chunk.part.name, chunk.records) for chunk in chunks if chunk.part] == [("a.csv", 0), ("b.csv", 1)]


def test_an_archive_of_parts_of_one_table_is_read_whole(tmp_path: Path) -> None:
    """Shops split large exports so."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("export/part_1.csv", HEADER + line(1))
        archive.writestr("export/part_2.csv", HEADER + line(2))
        archive.writestr("__MACOSX/._part_1.csv", "junk")
    write(tmp_path, export__zip=data.getvalue(), more__csv=HEADER + line(3))
    rows, _ = read(open_source(tmp_path / "export.zip"))
    assert {place: row[0] for place, row in rows.items()} == {
        "export/part_1.csv:2": "c1",
        "export/part_2.csv:2": "c2",
    }
    rows, _ = read(together(tmp_path / "more.csv", tmp_path / "export.zip"))
    assert {place: row[0] for place, row in rows.items()} == {
        "more.csv:2": "c3",
        "export.zip/export/part_1.csv:2": "c1",
        "export.zip/export/part_2.csv:2": "c2",
    }


def test_notes_say_which_files_they_are_about(tmp_path: Path) -> None:
    write(tmp_path, a__csv=HEADER + line(1), b__csv=(HEADER + line(2, "José")).encode("cp1252"))
    notes = together(tmp_path / "a.csv", tmp_path / "b.csv").info.notes
    assert notes[0] == "2 files read as one source"
    assert notes[1].startswith("b.csv: read as Windows-1252")


def test_places() -> None:
    places = LineLocator([SourceFile("b.csv", 20), SourceFile("a.csv", 1)])
    assert [places.text(number) for number in (0, 1, 2, 19, 20, 21)] == [
        "0", "a.csv", "a.csv:1", "a.csv:18", "b.csv", "b.csv:1",
    ]  # fmt: skip
    assert LineLocator(()).text(7) == "7"


# --- the whole way ----------------------------------------------------------------------------------------------------


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[ImporterFixture]:
    desk = ImporterFixture(tmp_path)
    yield desk
    desk.sandbox.close()


def exports(desk: ImporterFixture) -> list[Path]:
    """Write two files: in the second a refused row, a ragged one, and a duplicate of the first file."""
    write(
        desk.folder,
        orders_1__csv=HEADER + line(1) + line(2) + ",broken,X\n",
        orders_2__csv="Name,Email,Id\nAnn,person3@mapleshop.com,c3\nBob,not-an-address,\nEve,e@x.com\n"
        "Ann,person1@mapleshop.com,c1\n",
    )
    return [desk.folder / "orders_1.csv", desk.folder / "orders_2.csv"]


def run(desk: ImporterFixture, source: Any, **options: Any) -> Any:
    return pipeline.run(source, desk.mapping, context=desk.context, verify="none", **options)


def test_report_and_rejects_name_file_and_line(desk: ImporterFixture) -> None:
    seen: list[Progress] = []
    desk.context = desk.process(progress=seen.append)
    exports(desk)
    pattern = str(desk.folder / "orders_*.csv")
    report = run(desk, pattern)
    assert (report.tally.read, report.tally.loaded, report.tally.rejected, report.tally.duplicate) == (7, 3, 3, 1)
    assert report.source == pattern
    assert [(file.name, file.rows) for file in report.files] == [("orders_1.csv", 3), ("orders_2.csv", 4)]
    groups = {group.code: group for group in report.issues}
    assert groups["row-too-short"].places == ("orders_2.csv:4",)
    assert groups["duplicate-merged"].places == ("orders_2.csv:5",)
    assert groups["duplicate-merged"].detail == "line orders_1.csv:2"
    refused = [group for group in report.issues if group.column == "Email" and group.severity == "error"]
    assert sorted(place for group in refused for place in group.places) == ["orders_1.csv:4", "orders_2.csv:3"]
    assert "orders_2.csv:4" in render_text(report)
    assert "<span>orders_2.csv:4</span>" in render_html(report)
    document = orjson.loads(render_json(report))
    (short,) = [issue for issue in document["issues"] if issue["code"] == "row-too-short"]
    assert (short["lines"], short["files"]) == ([4], ["orders_2.csv"])
    assert document["files"] == [{"name": "orders_1.csv", "rows": 3}, {"name": "orders_2.csv", "rows": 4}]
    staged = [step for step in seen if step.phase == "stage"]
    assert (staged[-1].done, staged[-1].unit) == (staged[-1].total, "B")

    rejects = desk.folder / "runs" / report.run / "rejects.csv"
    with rejects.open(encoding="utf-8-sig", newline="") as file:
        found = list(csv.DictReader(file))
    assert [(row["_file"], row["_line"], row["Email"]) for row in found] == [
        ("orders_1.csv", "4", "broken"),
        ("orders_2.csv", "3", "not-an-address"),
        ("orders_2.csv", "4", "e@x.com"),
    ]
    with desk.context.open_store() as store:
        state = store.runs.get(report.run).details.files
        assert store.runs.get(report.run).details.source_facts["sha256"]
    assert [(file.name, file.offset, file.rows) for file in state] == [
        ("orders_1.csv", 1, 3),
        ("orders_2.csv", 6, 4),
    ]


def test_the_rejects_file_runs_with_the_same_mapping(desk: ImporterFixture) -> None:
    report = run(desk, exports(desk))
    rejects = desk.folder / "runs" / report.run / "rejects.csv"
    fixed = rejects.read_text(encoding="utf-8-sig").replace("not-an-address", "bob@mapleshop.com")
    (desk.folder / "fixed.csv").write_text(fixed, encoding="utf-8")
    again = run(desk, desk.folder / "fixed.csv")
    assert again.parent == report.run
    assert (again.tally.read, again.tally.loaded, again.tally.rejected) == (3, 2, 1)


def test_the_mapping_names_them_from_its_own_folder(desk: ImporterFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    exports(desk)
    monkeypatch.chdir("/")
    for given in ('"orders_*.csv"', '["orders_1.csv", "orders_2.csv"]'):
        mapping = desk.folder / "crm.toml"
        mapping.write_text(f'[source]\npath = {given}\n[columns]\n"Email" = "email"\n', encoding="utf-8")
        assert pipeline.check(None, mapping, context=desk.context).tally.read == 7


def test_one_file_with_other_columns_leaves_no_run_behind(desk: ImporterFixture) -> None:
    good = exports(desk)
    write(desk.folder, orders_3__csv="Id,Email\nc9,person9@mapleshop.com\n")
    with pytest.raises(SourceError) as refused:
        run(desk, [*good, desk.folder / "orders_3.csv"])
    assert refused.value.exit_code == 3
    assert not desk.writes
    assert run(desk, good).tally.loaded == 3
    assert len(pipeline.runs(context=desk.context)) == 1


def test_a_pilot_over_several_files_stops_in_the_middle(desk: ImporterFixture) -> None:
    report = run(desk, exports(desk), limit=4)
    assert report.tally.read == 4
    assert [(file.name, file.rows) for file in report.files] == [("orders_1.csv", 3), ("orders_2.csv", 1)]


def test_the_age_of_several_files_is_that_of_the_newest(desk: ImporterFixture) -> None:
    import os  # noqa: PLC0415

    now = desk.clock.now()
    first, second = exports(desk)
    os.utime(first, (now - 360_000, now - 360_000))
    os.utime(second, (now - 3_600, now - 3_600))
    desk.guards(max_source_age_hours=2)
    assert run(desk, [first, second]).exit_code == 1
    os.utime(second, (now - 36_000, now - 36_000))
    assert run(desk, [first, second]).exit_code == 6


def test_an_unmapped_column_is_missed_by_the_name_of_all(desk: ImporterFixture) -> None:
    desk.mapping["columns"]["Plan"] = "properties.plan"
    with pytest.raises(ConfigError, match=r"orders_1\.csv, .*orders_2\.csv has no column 'Plan'"):
        run(desk, exports(desk))


def test_sending_again_keeps_the_places(desk: ImporterFixture) -> None:
    """A retry copies rows of an earlier run; their files come with them."""
    files = exports(desk)
    files[1].write_text("Name,Email,Id\nAnn,ann@mapleshop.com,c7\nBob,bob@sandbox-refused.com,c8\n", encoding="utf-8")
    report = run(desk, files)
    assert report.tally.failed == 1
    again = pipeline.retry(report.run, context=desk.context)
    assert [(file.name, file.rows) for file in again.files] == [("orders_1.csv", 0), ("orders_2.csv", 1)]
    assert [group.places for group in again.issues] == [("orders_2.csv:3",)]


def test_people_that_vanished_are_told_by_file(desk: ImporterFixture) -> None:
    first, second = exports(desk)
    desk.mapping["load"] = {**desk.mapping["load"], "missing": "remove_from_list"}
    desk.guards(max_missing_percent=100)
    pattern = str(desk.folder / "orders_*.csv")
    run(desk, pattern)
    write(desk.folder, orders_1__csv=HEADER + line(1))
    run(desk, pattern)
    (taken_off,) = [one for one in pipeline.runs(context=desk.context) if one.command == "missing"]
    assert [(file.name, file.rows) for file in taken_off.files] == [(first.name, 1), (second.name, 0)]


# --- as people type it ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [["orders_1.csv", "orders_2.csv"], ["orders_*.csv"], ["orders_[12].csv"], ["orders_1.csv", "orders_*.csv"], []],
)
def test_the_command_line_takes_several(
    arguments: list[str], desk: ImporterFixture, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    exports(desk)
    monkeypatch.chdir(desk.folder)
    mapping = '[source]\npath = "orders_*.csv"\n[columns]\n"Id" = "external_id"\n"Email" = "email"\n'
    (desk.folder / "crm.toml").write_text(mapping, encoding="utf-8")
    assert _main(["check", *arguments, "-m", "crm.toml"]) == 1
    said = capsys.readouterr().out
    assert "= 7  rows read: every row is accounted for" in said
    assert "orders_2.csv:4" in said


@pytest.mark.parametrize(
    ("file", "mapping"),
    [
        ("people.csv", "people.toml"),
        ("https://host/exports/people.csv?X-Amz-Signature=1", "people.toml"),
        ("s3://bucket/people.parquet", "people.toml"),
        ("people[1].csv", "people[1].toml"),
    ],
)
def test_a_single_file_has_its_mapping_beside_it_or_here(
    file: str, mapping: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, **{"people[1]__csv": HEADER})
    (tmp_path / mapping).write_text("", encoding="utf-8")
    assert mapping_of([file], None, Common()) == Path(mapping)
    (tmp_path / mapping).unlink()
    with pytest.raises(ConfigError) as refused:
        mapping_of([file], None, Common())
    assert "Signature" not in str(refused.value)
