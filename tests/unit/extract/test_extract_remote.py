"""Files elsewhere: fetched whole, read like any other, and no secret of a URL is shown or kept."""

from __future__ import annotations

import gzip
import importlib
import io
import sys
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import fsspec
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from etl import pipeline
from etl.config import parse_mapping
from etl.errors import ConfigError, EtlError, SourceError
from etl.extract import masked, open_files, open_source, resolve_sources
from etl.extract.files import remote, scratch
from etl.model import LineLocator
from tests.support.http_files import LOGIN, WebFiles, web_files
from tests.support.importer import ImporterFixture

PLAIN = "Id,Email,Name\nc1,ann@mapleshop.com,José\n007,bob@mapleshop.com,\n"
ROWS = [("c1", "ann@mapleshop.com", "José"), ("007", "bob@mapleshop.com", "")]
SIGNATURE = "X-Amz-Credential=AKIA%2F20260101%2Fus-east-1&X-Amz-Signature=5ec3e75ec3e75ec3"


@pytest.fixture(scope="module")
def server() -> Iterator[WebFiles]:
    with web_files() as running:
        running.files = {
            "/people.csv": PLAIN.encode(),
            f"/signed.csv?{SIGNATURE}": PLAIN.encode(),
            "/private/people.csv": PLAIN.encode(),
            "/people.csv.gz": gzip.compress(PLAIN.encode()),
            "/people.xlsx": workbook(),
            "/people.parquet": parquet(),
            "/cut/people.csv": (PLAIN * 50_000).encode(),
            "/large.csv": PLAIN.encode() + b"c2,x@mapleshop.com,Zo\n" * 1_000_000,
        }
        yield running


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of temporary files, which must be empty afterwards."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert not list(folder.iterdir())


@pytest.fixture
def store() -> Iterator[fsspec.AbstractFileSystem]:
    """An object store that can list its files."""
    system = fsspec.filesystem("memory")
    yield system
    system.store.clear()
    system.pseudo_dirs[:] = [""]


def workbook() -> bytes:
    book = openpyxl.Workbook()
    for row in [line.split(",") for line in PLAIN.splitlines()]:
        book.active.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def parquet() -> bytes:
    header, *rows = [line.split(",") for line in PLAIN.splitlines()]
    out = io.BytesIO()
    pq.write_table(pa.table(dict(zip(header, zip(*rows, strict=True), strict=True))), out)
    return out.getvalue()


def read(path: str, **environ: str) -> list[tuple[str, ...]]:
    with open_source(path, environ=environ) as source:
        return [row[1:] for chunk in source.chunks() for row in chunk.frame.itertuples(name=None)]


# --- read -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["people.csv", "people.csv.gz", "people.xlsx", "people.parquet"])
def test_a_url_is_a_file_like_any_other(name: str, server: WebFiles, store: fsspec.AbstractFileSystem) -> None:
    store.pipe(f"/exports/{name}", server.files[f"/{name}"])
    for url in (server.url(f"/{name}"), f"memory://exports/{name}"):
        assert read(url) == ROWS
        with open_source(url) as source:
            assert source.info.name == url
            assert source.info.notes[0] == f"fetched, {len(server.files[f'/{name}']):,} bytes"


def test_it_is_asked_for_once(server: WebFiles) -> None:
    """A link may be good for one answer only."""
    server.asked.clear()
    read(server.url("/people.xlsx"))
    assert server.asked == ["/people.xlsx"]


def test_a_signed_url_is_sent_as_it_stands(server: WebFiles) -> None:
    """To encode it again would spoil the signature."""
    server.asked.clear()
    assert read(server.url(f"/signed.csv?{SIGNATURE}")) == ROWS
    assert server.asked == [f"/signed.csv?{SIGNATURE}"]


def test_variables_fill_a_part_or_all_of_it(server: WebFiles) -> None:
    user, password = LOGIN
    template = server.url("/private/people.csv", login="${WHO}:${PASSWORD}@")
    assert read(template, WHO=user, PASSWORD=password) == ROWS
    assert read("${EXPORT_URL}", EXPORT_URL=server.url(f"/signed.csv?{SIGNATURE}")) == ROWS
    with pytest.raises(ConfigError, match="PASSWORD"):
        read(template, WHO=user)


def test_memory_does_not_hold_the_file(server: WebFiles) -> None:
    size = len(server.files["/large.csv"])
    read(server.url("/people.csv"))
    tracemalloc.start()
    try:
        path = remote.fetch(server.url("/large.csv"), {})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert path.stat().st_size == size > 20_000_000
    assert path.parent.stat().st_mode & 0o077 == 0
    scratch.remove_scratch(path)
    assert peak < size / 2


def test_a_pattern_in_a_store_is_several_files(store: fsspec.AbstractFileSystem) -> None:
    for number in (10, 9):
        store.pipe(f"/exports/day-{number}.csv", f"Id,Email,Name\nc{number},a{number}@mapleshop.com,\n".encode())
    store.pipe("/exports/readme.txt", b"no table")
    files = resolve_sources(["memory://exports/day-*.csv"], {})
    assert files.names == ("day-9.csv", "day-10.csv")
    with open_files(files.name, files.paths, files.names, open_source, {}) as source:
        chunks = list(source.chunks())
        places = LineLocator({chunk.part for chunk in chunks if chunk.part})
        assert [places.text(line) for chunk in chunks for line in chunk.frame.index] == ["day-9.csv:2", "day-10.csv:2"]
        assert chunks[-1].position == source.info.size > 0


def test_each_of_several_is_fetched_once(server: WebFiles, tmp_path: Path) -> None:
    (tmp_path / "here.csv").write_text(PLAIN, encoding="utf-8")
    server.asked.clear()
    files = resolve_sources([server.url("/people.csv"), tmp_path / "here.csv", server.url("/people.csv.gz")], {})
    with open_files(files.name, files.paths, files.names, open_source, {}) as source:
        assert sum(chunk.records for chunk in source.chunks()) == 6
    assert server.asked == ["/people.csv", "/people.csv.gz"]


# --- what goes wrong --------------------------------------------------------------------------------------------------

WRONG = {
    "/nothing.csv": ("source-not-found", "There is no file"),
    "/status/410/a.csv": ("source-not-found", "There is no file"),
    "/status/403/a.csv": ("source-login", "status 403"),
    "/private/people.csv": ("source-login", "status 401"),
    "/status/503/a.csv": ("source-unreachable", "status 503"),
    "/cut/people.csv": ("source-lost", "broke while"),
    "/silent/people.csv": ("source-timeout", "did not answer"),
}


@pytest.mark.parametrize("path", WRONG)
def test_what_goes_wrong_is_said_without_secrets(path: str, server: WebFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "READ_SECONDS", 0.3)
    code, said = WRONG[path]
    with pytest.raises(SourceError) as refused:
        read(server.url(f"{path}?token=hunter2", login="ann:hunter2@") if "cut" not in path else server.url(path))
    assert refused.value.code == code
    assert said in refused.value.message
    assert "hunter2" not in str(refused.value)
    assert refused.value.exit_code == 3
    assert refused.value.hint


def test_a_server_that_is_not_there_is_said() -> None:
    with pytest.raises(SourceError) as refused:
        read("http://ann:hunter2@127.0.0.1:9/a.csv")
    assert refused.value.code == "source-unreachable"
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("url", ["memory://exports/none.csv", "memory://exports"])
def test_what_is_no_file_in_a_store_is_said(url: str, store: fsspec.AbstractFileSystem) -> None:
    store.pipe("/exports/a.csv", PLAIN.encode())
    with pytest.raises(SourceError) as refused:
        read(url)
    assert refused.value.code in {"source-not-found", "source-is-directory"}


@pytest.mark.parametrize("pattern", ["memory://exports/none-*.csv", "memory://nowhere/*.csv"])
def test_a_pattern_without_files_is_an_error(pattern: str, store: fsspec.AbstractFileSystem) -> None:
    store.pipe("/exports/a.csv", PLAIN.encode())
    with pytest.raises(SourceError, match="No file matches memory://"):
        resolve_sources([pattern], {})


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://example.com/people.csv", "source-scheme"),
        ("ftp://ann:hunter2@example.com/people.csv", "source-scheme"),
        ("postgresql://ann:hunter2@example.com/crm", "source-scheme"),
    ],
)
def test_what_is_no_source_is_refused_before_anything_is_asked(url: str, code: str) -> None:
    with pytest.raises(SourceError) as refused:
        read(url)
    assert refused.value.code == code
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "module", "extra"),
    [
        ("https://example.com/a.csv", "aiohttp", "remote"),
        ("https://example.com/a.csv", "fsspec", "remote"),
        ("s3://bucket/a.csv", "s3fs", "s3"),
        ("gs://bucket/a.csv", "gcsfs", "gcs"),
    ],
)
def test_a_library_that_is_missing_is_named(url: str, module: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # fsspec remembers what another test has made it load.
    loaded = importlib.import_module("fsspec.registry")._registry
    monkeypatch.delitem(loaded, url.partition("://")[0], raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SourceError) as refused:
        read(url)
    assert refused.value.code == "source-driver"
    assert refused.value.hint == f"pip install 'klaviyo-etl[{extra}]'"


def test_a_file_beyond_all_measure_is_not_fetched_to_its_end(
    store: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.pipe("/endless.csv", PLAIN.encode() * 1_000)
    monkeypatch.setattr(remote, "MAX_BYTES", 10_000)
    with pytest.raises(SourceError) as refused:
        read("memory://endless.csv")
    assert refused.value.code == "archive-bomb"


# --- secrets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("people.csv", "people.csv"),
        ("exports/what?.csv", "exports/what?.csv"),
        ("https://host/a.csv", "https://host/a.csv"),
        ("https://host:8443/a@b.csv", "https://***"),
        ("https://ann:secret@host:8443/a.csv", "https://***@host:8443/a.csv"),
        ("https://secret@host/a.csv", "https://***@host/a.csv"),
        ("https://ann:se/cret@host/a.csv", "https://***"),
        ("https://ann:1?secret@host/a.csv", "https://***"),
        ("https://ann:sec@ret@host/a.csv", "https://***@host/a.csv"),
        (f"https://host/a.csv?{SIGNATURE}#part", "https://host/a.csv?***"),
        ("https://host/a.csv#secret", "https://host/a.csv"),
        ("s3://key:secret@bucket/a/*.csv", "s3://***@bucket/a/*.csv"),
    ],
)
def test_urls_are_shown_without_secrets(url: str, shown: str) -> None:
    assert masked(url) == shown


@pytest.mark.parametrize(
    "path",
    [
        "https://ann:hunter2@host/a.csv",
        f"https://bucket.example.com/a.csv?{SIGNATURE}",
        "https://host/a.csv?sv=2026&sig=hunter2",
        "https://host/a.csv?access_token=hunter2",
        ["a.csv", "https://host/a.csv?api_key=hunter2"],
    ],
)
def test_a_mapping_that_holds_a_secret_is_refused(path: str | list[str]) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_mapping({"source": {"path": path}, "columns": {"Email": "email"}})
    assert "hunter2" not in str(refused.value)
    assert "environment" in str(refused.value)


def test_no_secret_reaches_state_or_reports(server: WebFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user, password = LOGIN
    monkeypatch.setenv("EXPORT_PASSWORD", password)
    monkeypatch.setenv("EXPORT_URL", server.url(f"/signed.csv?{SIGNATURE}"))
    desk = ImporterFixture(tmp_path)
    spelled = server.url("/private/people.csv", login=f"{user}:{quote(password, safe='')}@")
    pipeline.run(spelled, desk.mapping, context=desk.context, verify="none")
    pipeline.run([spelled, "${EXPORT_URL}"], desk.mapping, context=desk.context, verify="none")
    named = server.url("/private/people.csv", login=f"{user}:${{EXPORT_PASSWORD}}@")
    mapping = {
        **desk.mapping,
        "source": {"path": [named, "${EXPORT_URL}"], "variables": ["EXPORT_PASSWORD", "EXPORT_URL"]},
    }
    report = pipeline.run(None, mapping, context=desk.context, verify="none")
    with pytest.raises(EtlError):
        pipeline.run(server.url("/nothing.csv?sig=5ec3e75ec3e75ec3"), desk.mapping, context=desk.context)
    desk.sandbox.close()
    assert report.tally.read == 4
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"private/people.csv" in kept
    for secret in (password, quote(password, safe=""), "5ec3e75ec3e75ec3"):
        assert secret.encode() not in kept


def test_what_breaks_half_way_leaves_nothing_to_resume(server: WebFiles, tmp_path: Path) -> None:
    desk = ImporterFixture(tmp_path)
    with pytest.raises(SourceError) as refused:
        pipeline.run(server.url("/cut/people.csv"), desk.mapping, context=desk.context)
    assert refused.value.code == "source-lost"
    assert not desk.writes
    assert pipeline.run(server.url("/people.csv"), desk.mapping, context=desk.context).tally.loaded == 2
    assert len(pipeline.runs(context=desk.context)) == 1
    desk.sandbox.close()
