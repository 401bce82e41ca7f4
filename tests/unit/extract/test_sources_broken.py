"""Broken sources from the command line: a clear error, the right exit code, and nothing is lost or left behind."""

from __future__ import annotations

import contextlib
import errno
import functools
import gzip
import io
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from etl.cli import _main
from etl.errors import ExitCode
from etl.extract import open_query, open_source
from etl.extract.delimited import buffer
from etl.sandbox import SANDBOX_KEY, SandboxServer, SandboxSettings
from etl.state import PackedChunk
from etl.state.staging.stage import Staging
from tests.support.databases import SERVERS, opened
from tests.support.effort import sample
from tests.support.http_files import WebFiles, web_files
from tests.support.tcp_proxy import cut_wire

COLUMNS = '[columns]\n"Id" = "external_id"\n"Email" = "email"\n'
GOOD = "Id,Email\nc1,ann@mapleshop.com\n"
MANY = "Id,Email\n" + "".join(f"c{number},person{number}@mapleshop.com\n" for number in range(20_000))
SECRET = "hunter2"
ROWS = {
    "postgresql": "SELECT n AS \"Id\", 'p' || n || '@mapleshop.com' AS \"Email\", repeat('x', 400) AS pad "
    "FROM generate_series(1, 20000) n ORDER BY n",
    "mariadb": "SELECT seq AS Id, concat('p', seq, '@mapleshop.com') AS Email, repeat('x', 400) AS pad "
    "FROM seq_1_to_20000 ORDER BY seq",
}
CUT_AFTER = 4_000_000
"""Of about nine million bytes: some chunks are in state by then."""


@pytest.fixture(scope="module")
def klaviyo() -> Iterator[SandboxServer]:
    with SandboxServer(SandboxSettings(limits="off")) as running:
        yield running


@pytest.fixture(scope="module")
def web() -> Iterator[WebFiles]:
    with web_files() as running:
        running.files["/cut/people.csv"] = MANY.encode()
        yield running


@dataclass
class World:
    """A folder to run in. ``stack``: what a case opens."""

    folder: Path
    web: WebFiles
    patch: pytest.MonkeyPatch
    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def write(self, name: str, data: bytes | str) -> list[str]:
        (self.folder / name).write_bytes(data.encode() if isinstance(data, str) else data)
        return [name]

    def query(self, url: str, query: str, **more: str) -> list[str]:
        """Let the mapping ask a database."""
        listed = 'variables = ["DB_PASSWORD", "NO_SUCH_VARIABLE"]'
        lines = [
            f'url = "{url}"',
            listed,
            f'query = """{query}"""',
            *(f"{name} = {value}" for name, value in more.items()),
        ]
        self.write("crm.toml", "[source]\n" + "\n".join(lines) + "\n" + COLUMNS)
        return []


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, klaviyo: SandboxServer, web: WebFiles) -> Iterator[World]:
    folder, temporary = tmp_path / "desk", tmp_path / "temporary"
    folder.mkdir()
    temporary.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    for name in list(os.environ):
        if name.startswith("KLAVIYO_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("KLAVIYO_PRIVATE_KEY", SANDBOX_KEY)
    monkeypatch.setenv("KLAVIYO_BASE_URL", klaviyo.url)
    monkeypatch.setenv("DB_PASSWORD", SECRET)
    monkeypatch.setattr("etl.extract.files.remote.READ_SECONDS", 0.3)
    # Small chunks: what breaks in the middle shall break behind rows that are already in state.
    monkeypatch.setattr("etl.pipeline.staging.stage.open_query", functools.partial(open_query, chunk_rows=1_000))
    monkeypatch.setattr(
        "etl.pipeline.staging.rejects_source.open_source", functools.partial(open_source, chunk_rows=1_000)
    )
    (folder / "crm.toml").write_text(COLUMNS, encoding="utf-8")
    at = World(folder, web, monkeypatch)
    with at.stack:
        yield at
    assert not list(temporary.iterdir())


# --- the ways to break ------------------------------------------------------------------------------------------------

Break = Callable[[World], list[str]]
"""Prepares a broken source; returns the FILE arguments that lead to it."""


def cut_off(name: str, whole: Callable[[], bytes], share: float = 0.6) -> Break:
    return lambda world: world.write(name, whole()[: int(len(whole()) * share)])


def gzipped() -> bytes:
    return gzip.compress(MANY.encode())


def zstd() -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as out:
        out.write(MANY.encode())
    return bytes(sink.getvalue().to_pybytes())


def workbook() -> bytes:
    book = openpyxl.Workbook()
    for number in range(500):
        book.active.append([f"c{number}", f"person{number}@mapleshop.com"])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def parquet() -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({"Id": [str(number) for number in range(5_000)]}), out)
    return out.getvalue()


def unreadable(world: World) -> list[str]:
    """Refuse to open it: permissions would not stop a test that runs as root."""
    real = Path.open

    def refusing(self: Path, *rest: Any, **options: Any) -> Any:
        if self.name == "locked.csv":
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(self, *rest, **options)

    arguments = world.write("locked.csv", GOOD)
    world.patch.setattr(Path, "open", refusing)
    return arguments


def disk_breaks(world: World) -> list[str]:
    """Let reading fail behind the first blocks, as a network drive that goes away does."""
    arguments = world.write("drive.csv", MANY * 4)
    real = buffer.HashingReader.readinto

    def failing(self: Any, buffer: Any) -> int:
        if self.position > 1_000_000:
            raise OSError(errno.EIO, "Input/output error")
        return real(self, buffer)

    world.patch.setattr(buffer, "BLOCK", 1 << 18)
    world.patch.setattr(buffer.HashingReader, "readinto", failing)
    return arguments


def no_room(world: World) -> list[str]:
    """Let the disk be full where files are unpacked."""

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    world.patch.setattr("etl.extract.files.archive._copy", full)
    return world.write("a.csv.gz", gzipped())


def folder(world: World) -> list[str]:
    (world.folder / "exports").mkdir()
    return ["exports"]


def one_of_several(world: World) -> list[str]:
    world.write("a-1.csv", MANY)
    world.write("a-2.csv", "Id,Mail\nc1,ann@mapleshop.com\n")
    return ["a-*.csv"]


def one_of_several_damaged(world: World) -> list[str]:
    world.write("a-1.csv", MANY)
    world.write("a-2.csv.gz", gzip.compress(MANY.encode())[:-9])
    return ["a-1.csv", "a-2.csv.gz"]


def at_web(path: str) -> Break:
    return lambda world: [world.web.url(path, login="" if "cut" in path else f"ann:{SECRET}@") + f"?sig={SECRET}"]


def cut_download(world: World) -> list[str]:
    return [world.web.url("/cut/people.csv")]


def nobody_answers(world: World) -> list[str]:
    return [f"http://ann:{SECRET}@127.0.0.1:9/people.csv?sig={SECRET}"]


def database_url(kind: str, **changes: Any) -> str:
    url = sa.make_url(SERVERS[kind]).set(**changes)
    return url.render_as_string(hide_password=False).replace("%24%7BDB_PASSWORD%7D", "${DB_PASSWORD}")


def need(kind: str, world: World) -> None:
    """Skip, or in CI fail, without the server."""
    list(opened(kind, world.folder))


def refused_login(kind: str) -> Break:
    def breaking(world: World) -> list[str]:
        need(kind, world)
        return world.query(database_url(kind, username="nobody_here", password="${DB_PASSWORD}"), ROWS[kind])

    return breaking


def dropped_table(kind: str) -> Break:
    def breaking(world: World) -> list[str]:
        ways = opened(kind, world.folder)
        database = next(ways)
        database.execute("CREATE TABLE {t} (id INTEGER)", "DROP TABLE {t}")
        list(ways)
        return world.query(database.url, f"SELECT id FROM {database.table} ORDER BY id")

    return breaking


def server_stops(kind: str) -> Break:
    def breaking(world: World) -> list[str]:
        need(kind, world)
        url = sa.make_url(SERVERS[kind])
        there = (url.host or "127.0.0.1", url.port or {"postgresql": 5432, "mariadb": 3306}[kind])
        port = world.stack.enter_context(cut_wire(*there, CUT_AFTER))
        return world.query(database_url(kind, host="127.0.0.1", port=port), ROWS[kind])

    return breaking


def query(kind: str, text: str, **more: str) -> Break:
    def breaking(world: World) -> list[str]:
        need(kind, world)
        return world.query(SERVERS[kind], text, **more)

    return breaking


def no_server(kind: str) -> Break:
    return lambda world: world.query(database_url(kind, host="127.0.0.1", port=9), ROWS[kind])


def no_database(world: World) -> list[str]:
    world.write("crm.db", "this is no database at all, but it is long enough to be one" * 20)
    return world.query("sqlite:///crm.db", "SELECT id FROM people ORDER BY id")


BROKEN: dict[str, tuple[Break, ExitCode, str]] = {
    "truncated gzip": (cut_off("a.csv.gz", gzipped), ExitCode.NOT_STARTED, "source-damaged"),
    "gzip without its last byte": (cut_off("a.csv.gz", gzipped, 0.99999), ExitCode.NOT_STARTED, "source-damaged"),
    "truncated zstd": (cut_off("a.csv.zst", zstd), ExitCode.NOT_STARTED, "source-damaged"),
    "half-written workbook": (cut_off("a.xlsx", workbook), ExitCode.NOT_STARTED, "source-binary"),
    "half-written parquet": (cut_off("a.parquet", parquet), ExitCode.NOT_STARTED, "source-damaged"),
    "unreadable file": (unreadable, ExitCode.NOT_STARTED, "source-unreadable"),
    "drive that goes away in the middle": (disk_breaks, ExitCode.NOT_STARTED, "source-unreadable"),
    "no room to unpack": (no_room, ExitCode.NOT_STARTED, "source-no-space"),
    "missing file": (lambda _: ["nothing.csv"], ExitCode.NOT_STARTED, "source-not-found"),
    "directory": (folder, ExitCode.NOT_STARTED, "source-is-directory"),
    "empty glob": (lambda _: ["exports/*.csv"], ExitCode.NOT_STARTED, "source-not-found"),
    "one of several with another header": (one_of_several, ExitCode.NOT_STARTED, "columns-differ"),
    "one of several damaged": (one_of_several_damaged, ExitCode.NOT_STARTED, "source-damaged"),
    "404": (at_web("/people.csv"), ExitCode.NOT_STARTED, "source-not-found"),
    "403": (at_web("/status/403/people.csv"), ExitCode.NOT_STARTED, "source-login"),
    "500": (at_web("/status/500/people.csv"), ExitCode.NOT_STARTED, "source-unreachable"),
    "download cut off": (cut_download, ExitCode.NOT_STARTED, "source-lost"),
    "web server silent": (at_web("/silent/people.csv"), ExitCode.NOT_STARTED, "source-timeout"),
    "web server absent": (nobody_answers, ExitCode.NOT_STARTED, "source-unreachable"),
    "wrong password (postgresql)": (refused_login("postgresql"), ExitCode.NOT_STARTED, "source-login"),
    "wrong password (mariadb)": (refused_login("mariadb"), ExitCode.NOT_STARTED, "source-login"),
    "no database": (no_database, ExitCode.NOT_STARTED, "source-not-database"),
    "dropped table (postgresql)": (dropped_table("postgresql"), ExitCode.NOT_STARTED, "query-failed"),
    "dropped table (mariadb)": (dropped_table("mariadb"), ExitCode.NOT_STARTED, "query-failed"),
    "query without order": (query("postgresql", "SELECT 1 AS id"), ExitCode.NOT_STARTED, "query-unordered"),
    "query that writes": (query("mariadb", "DROP TABLE people"), ExitCode.NOT_STARTED, "query-not-select"),
    "query that takes too long": (
        query("postgresql", 'SELECT pg_sleep(20)::text AS "Id", 1 AS "Email" ORDER BY 1', timeout="0.3"),
        ExitCode.NOT_STARTED,
        "source-timeout",
    ),
    "connection refused (postgresql)": (no_server("postgresql"), ExitCode.NOT_STARTED, "source-unreachable"),
    "connection refused (mariadb)": (no_server("mariadb"), ExitCode.NOT_STARTED, "source-unreachable"),
    "server stops in the middle (postgresql)": (server_stops("postgresql"), ExitCode.NOT_STARTED, "source-lost"),
    "server stops in the middle (mariadb)": (server_stops("mariadb"), ExitCode.NOT_STARTED, "source-lost"),
    "password variable not set": (
        lambda world: world.query("postgresql://ann:${NO_SUCH_VARIABLE}@127.0.0.1/test", ROWS["postgresql"]),
        ExitCode.USAGE,
        "environment-missing",
    ),
    "password in the mapping": (
        lambda world: world.query(f"postgresql://ann:{SECRET}@127.0.0.1/test", ROWS["postgresql"]),
        ExitCode.USAGE,
        "mapping-invalid",
    ),
}


@pytest.mark.parametrize("name", sample(list(BROKEN), 2))
def test_a_broken_source_is_told_and_leaves_nothing_behind(
    name: str, world: World, klaviyo: SandboxServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    staged: list[int] = []
    add = Staging.add

    def counted(self: Staging, run_id: str, packed: PackedChunk) -> None:
        add(self, run_id, packed)
        staged.append(len(packed.pending) + len(packed.rejected))

    monkeypatch.setattr(Staging, "add", counted)
    breaking, exit_code, code = BROKEN[name]
    arguments = breaking(world)
    before = writes(klaviyo)
    # For the whole way, with Klaviyo at its end.
    assert _main(["run", *arguments, "-m", "crm.toml", "--yes"]) == exit_code
    said = capsys.readouterr()
    assert f"error [{code}]: " in said.err
    assert re.search(r"\nhint: \S", said.err), said.err
    assert "Traceback" not in said.err + said.out
    assert SECRET not in said.err + said.out
    if "in the middle" in name:
        assert 0 < sum(staged) < 80_000
    # Nothing was sent, and nothing waits to be.
    assert writes(klaviyo) == before
    assert _main(["resume"]) in {ExitCode.USAGE, ExitCode.STATE}
    assert re.search(r"error \[(nothing-to-resume|state-missing)\]", capsys.readouterr().err)
    state = world.folder / "klaviyo-etl.db"
    if state.exists():
        assert remains(state) == {}
        assert SECRET.encode() not in state.read_bytes()
    assert not list(world.folder.glob("runs/*"))
    # A good source runs afterwards as if nothing had been.
    world.write("crm.toml", COLUMNS)
    world.write("good.csv", GOOD)
    assert _main(["run", "good.csv", "-m", "crm.toml", "--yes"]) == ExitCode.OK
    assert "1  rows read: every row is accounted for" in capsys.readouterr().out
    assert remains(state)["runs"] == 1


def writes(klaviyo: SandboxServer) -> int:
    """Return how many requests would have changed the account."""
    return sum(count for name, count in klaviyo.sandbox.requests.items() if not name.startswith("GET"))


def remains(state: Path) -> dict[str, int]:
    """Return how many rows each table has, but for what every state has, and that a source failed (for status)."""
    engine = sa.create_engine(f"sqlite:///{state}", poolclass=sa.pool.NullPool)
    names = set(sa.inspect(engine).get_table_names()) - {"migrations", "owners", "failed_commands"}
    with engine.connect() as connection:
        found = {name: int(connection.scalar(sa.text(f"SELECT count(*) FROM {name}")) or 0) for name in names}
    engine.dispose()
    assert {"runs", "blocks", "rows", "issues"} <= names
    return {name: count for name, count in found.items() if count}
