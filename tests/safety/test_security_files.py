"""Files of other people and of ours: pipes are read, devices refused, nothing is changed of what is not ours."""

from __future__ import annotations

import gzip
import itertools
import os
import signal
import socket
import sqlite3
import stat
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from odf.opendocument import OpenDocumentSpreadsheet
from odf.table import Table, TableCell, TableRow
from odf.text import P

from etl import pipeline
from etl.cli.session import Common, Session
from etl.config import parse_mapping
from etl.errors import ExitCode
from etl.extract.headers import unique_headers
from etl.extract.spreadsheet.formats.quirks import quirks_of
from etl.model import RunStatus
from etl.pipeline.lifecycle.create import begin, sweep
from etl.sandbox import SANDBOX_KEY, SandboxServer, SandboxSettings
from etl.state import RunOptions, Store
from tests.support.cli_process import PATIENCE, start, wait_until
from tests.support.command_line import told
from tests.support.effort import examples
from tests.support.importer import ImporterFixture
from tests.support.state_backends import FakeClock

PEOPLE = "Email,Name\nann@mapleshop.com,Ann\nbob@mapleshop.com,Bob\n"
MAPPING = '[columns]\n"Email" = "email"\n"Name" = "first_name"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    at = tmp_path / "desk"
    at.mkdir()
    (at / "people.csv").write_text(PEOPLE, encoding="utf-8")
    (at / "people.toml").write_text(MAPPING, encoding="utf-8")
    return at


@pytest.fixture
def server() -> Iterator[SandboxServer]:
    with SandboxServer(SandboxSettings(limits="off", job_seconds=0.0)) as running:
        yield running


# --- what is read


def through(pipe: Path, data: bytes) -> threading.Thread:
    """Write into a pipe once, as another program does."""
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(data), daemon=True)
    writer.start()
    return writer


@pytest.mark.parametrize("extra", ["", '[source]\ndelimiter = ","\n', '[source]\nencoding = "utf-8"\n'])
@pytest.mark.parametrize("packed", [False, True])
def test_a_named_pipe_is_read(folder: Path, extra: str, *, packed: bool) -> None:
    (folder / "people.toml").write_text(extra + MAPPING, encoding="utf-8")
    writer = through(folder / "pipe", gzip.compress(PEOPLE.encode()) if packed else PEOPLE.encode())
    code, said = told(folder, "check", "pipe", "-m", "people.toml")
    writer.join(PATIENCE)
    assert (code, "= 2  rows read" in said) == (ExitCode.OK, True), said


def test_a_descriptor_is_read_by_its_name(folder: Path) -> None:
    """``<(...)`` and /dev/fd/N; one of several files too."""
    for files in (1, 2):
        reading, writing = os.pipe()
        os.write(writing, PEOPLE.encode())
        os.close(writing)
        try:
            names = [f"/dev/fd/{reading}", "people.csv"][:files]
            code, said = told(folder, "check", *names, "-m", "people.toml")
        finally:
            os.close(reading)
        assert (code, f"{2 * files}  rows read" in said) == (ExitCode.OK, True), said


@pytest.mark.parametrize("delimiter", ["", 'delimiter = ","\n'])
def test_standard_input_is_read_whatever_the_mapping_sets(folder: Path, delimiter: str) -> None:
    (folder / "people.toml").write_text(f"[source]\n{delimiter}{MAPPING}", encoding="utf-8")
    for name in ("-", "/dev/stdin"):
        process = start(folder, "check", name, "-m", "people.toml")
        out, err = process.communicate(PEOPLE)
        assert (process.returncode, "2  rows read" in out) == (ExitCode.OK, True), err


@pytest.mark.parametrize("what", ["/dev/zero", "/dev/null", "/dev/full", "/", "socket", "x" * 300])
def test_what_is_no_file_of_rows_is_refused(folder: Path, what: str) -> None:
    if what == "socket":
        at = socket.socket(socket.AF_UNIX)
        at.bind(str(folder / "socket"))
        at.close()
    for command in (("check", what, "-m", "people.toml"), ("init", what, "--to", "x.toml", "--yes")):
        code, said = told(folder, *command)
        assert code in {ExitCode.NOT_STARTED, ExitCode.USAGE}, said
    assert told(folder, "check", "people.csv", "-m", what)[0] == ExitCode.USAGE


# --- our own files


@pytest.mark.parametrize("kind", ["text", "database", "empty folder", "device", "pipe"])
def test_a_state_that_is_not_ours_stays_as_it_is(folder: Path, kind: str) -> None:
    at = folder / "x.db"
    if kind == "text":
        at.write_text("notes", encoding="utf-8")
    elif kind == "database":
        connection = sqlite3.connect(at)
        connection.execute("CREATE TABLE runs (x)")
        connection.commit()
        connection.close()
    elif kind == "empty folder":
        at.mkdir()
    elif kind == "pipe":
        os.mkfifo(at)
    else:
        at = Path("/dev/null")
    if kind != "device":
        at.chmod(0o644)
    before = at.stat()
    content = at.read_bytes() if at.is_file() else b""
    for command in (("check", "people.csv"), ("runs",), ("report",), ("run", "people.csv", "--sandbox", "--yes")):
        code, said = told(folder, *command, "--state", str(at))
        assert code == ExitCode.STATE, said
    assert (at.stat().st_mode, at.stat().st_mtime_ns) == (before.st_mode, before.st_mtime_ns)
    assert not at.is_file() or at.read_bytes() == content
    assert not list(folder.glob("x.db-*"))


@pytest.mark.parametrize(
    "state",
    [
        "nul\x00byte",
        "x" * 300,
        "missing/x.db",
        "people.csv/x.db",
        "/",
        "sqlite://",
        "sqlite:///x.db?mode=ro",
        "sqlite:///x.db?nonsense=1",
        "sqlite+aiosqlite:///x.db",
        "sqlite://host/x.db",
        "mysql://u@h/d",
        "postgresql://u@127.0.0.1:99999/d",
        "postgresql://u@127.0.0.1:1/d",
        "postgresql://u@127.0.0.1:port/d",
        "postgresql://u@127.0.0.1:1/d?nonsense=1",
        "://",
        "nonsense://x",
        ":memory:",
    ],
)
def test_no_state_that_can_be_named_is_a_bug(folder: Path, state: str) -> None:
    for command in (("check", "people.csv"), ("runs",)):
        code, said = told(folder, *command, "--state", state)
        assert code == ExitCode.STATE or (state.startswith("sqlite+") and code == ExitCode.OK), said


def test_a_lock_that_cannot_be_taken_is_told(folder: Path, server: SandboxServer) -> None:
    reach = {"KLAVIYO_PRIVATE_KEY": SANDBOX_KEY, "KLAVIYO_BASE_URL": server.url}
    assert told(folder, "check", "people.csv")[0] == ExitCode.OK
    lock = folder / f"klaviyo-etl.db.{server.sandbox.settings.account.id}.lock"
    lock.mkdir()
    code, said = told(folder, "run", "people.csv", "--yes", **reach)
    assert (code, "state-lock" in said) == (ExitCode.STATE, True)
    lock.rmdir()
    lock.symlink_to(folder / "people.csv")
    assert told(folder, "run", "people.csv", "--yes", **reach)[0] == ExitCode.STATE
    assert (folder / "people.csv").read_text(encoding="utf-8") == PEOPLE


def test_no_message_holds_the_password_of_the_state(tmp_path: Path) -> None:
    for state in ("postgresql://u:hunter2@h/d", "postgresql://u@h/d?password=hunter2", "postgresql://u:hunter2@@h/d"):
        flags = Session(None, None, None, Common(state=state)).flags  # type: ignore[arg-type]
        assert "hunter2" not in flags
        assert flags.startswith(" --state ")


def test_the_sandbox_s_people_are_private_and_can_be_forgotten(folder: Path) -> None:
    assert told(folder, "run", "people.csv", "--sandbox", "--yes")[0] == ExitCode.OK
    data = folder / "klaviyo-sandbox.db"
    files = [path for path in folder.iterdir() if path.name.startswith(data.name)]
    assert [stat.S_IMODE(path.stat().st_mode) for path in files] == [0o600] * len(files)
    data.chmod(0o644)  # as an earlier version left it
    assert told(folder, "run", "people.csv", "--sandbox", "--yes")[0] == ExitCode.OK
    assert stat.S_IMODE(data.stat().st_mode) == 0o600
    (folder / "notes.db").write_text("notes", encoding="utf-8")
    assert told(folder, "sandbox", "--forget", "--data", "notes.db")[0] == ExitCode.USAGE
    assert told(folder, "sandbox", "--data", "notes.db", "--port", "0")[0] == ExitCode.USAGE
    assert (folder / "notes.db").read_text(encoding="utf-8") == "notes"
    assert told(folder, "sandbox", "--forget")[0] == ExitCode.OK
    assert not [path for path in folder.iterdir() if path.name.startswith(data.name)]
    assert told(folder, "sandbox", "--forget")[0] == ExitCode.OK


@pytest.mark.parametrize("command", ["plan", "check"])
def test_a_killed_look_leaves_nobody_s_rows_behind(folder: Path, server: SandboxServer, command: str) -> None:
    reach = {"KLAVIYO_PRIVATE_KEY": SANDBOX_KEY, "KLAVIYO_BASE_URL": server.url}
    rows = "".join(f"p{number}@mapleshop.com,n{number}\n" for number in range(60_000))
    (folder / "big.csv").write_text("Email,Name\n" + rows, encoding="utf-8")
    process = start(folder, command, "big.csv", "-m", "people.toml", KLAVIYO_ETL_WORKERS="0", **reach)
    state = folder / "klaviyo-etl.db"

    def staged() -> int:
        if not state.exists():
            return 0
        connection = sqlite3.connect(f"file:{state}?mode=ro", uri=True)
        try:
            return int(connection.execute("SELECT count(*) FROM blocks").fetchone()[0])
        except sqlite3.Error:
            return 0
        finally:
            connection.close()

    wait_until(lambda: staged() > 0)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert staged() > 0
    assert told(folder, "check", "people.csv", **reach)[0] == ExitCode.OK
    connection = sqlite3.connect(state)
    left = [connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("runs", "blocks")]
    connection.close()
    assert left == [1, 1]


def test_a_look_that_is_still_going_on_is_left_alone(tmp_path: Path) -> None:
    with Store.open(tmp_path / "x.db", clock=FakeClock()) as store:
        mapping = parse_mapping({"columns": {"Email": "email"}})
        for command in ("plan", "check"):
            begin(store, "x", mapping, command=command, account=None, options=RunOptions())
        sweep(store)
        assert len(store.runs.with_status([RunStatus.STAGING], ["plan", "check"])) == 2


# --- rules that judge nobody


def test_a_rule_that_cannot_be_evaluated_lets_nobody_through(tmp_path: Path) -> None:
    desk = ImporterFixture(tmp_path)
    desk.write(3)
    desk.mapping["rules"] = [{"name": "grown up", "expression": "first_name > 17"}]
    looked = pipeline.check(desk.source, desk.mapping, context=desk.context)
    report = desk.run()
    events_sent = desk.writes
    forced = desk.run(force=True)
    plan = pipeline.plan(desk.source, desk.mapping, context=desk.context)
    desk.sandbox.close()
    assert (looked.exit_code, report.exit_code, events_sent) == (ExitCode.GUARD, ExitCode.GUARD, 0)
    assert any("row-rule-broken" in note and "grown up" in note for note in report.notes)
    assert forced.tally.loaded == 3
    assert any("row-rule-broken" in objection for objection in plan.objections)


def test_nor_does_a_check_of_a_schema_that_breaks(folder: Path) -> None:
    (folder / "mine.py").write_text(
        "import pandera.pandas as pa\nfrom schemas.profile import Profile\n"
        "class Mine(Profile):\n"
        "    @pa.dataframe_check\n    @classmethod\n    def broken(cls, rows):\n        raise ValueError('x')\n",
        encoding="utf-8",
    )
    (folder / "people.toml").write_text(f'[profile]\nschema = "mine:Mine"\n{MAPPING}', encoding="utf-8")
    code, said = told(folder, "check", "people.csv", "--trust")
    assert (code, "schema-broken" in said) == (ExitCode.GUARD, True), said
    assert told(folder, "run", "people.csv", "--trust", "--sandbox", "--yes")[0] == ExitCode.GUARD


def test_a_function_that_fails_on_a_consent_costs_the_row(folder: Path) -> None:
    (folder / "mine.py").write_text("def word(text):\n    return {'yes': 'yes'}[text]\n", encoding="utf-8")
    (folder / "people.csv").write_text("Email,News\nann@mapleshop.com,yes\nbob@mapleshop.com,never\n", encoding="utf-8")
    (folder / "people.toml").write_text(
        '[columns]\n"Email" = "email"\n'
        '"News" = { to = "consent.email", transform = [{ function = "mine:word" }] }\n'
        '[consent]\nsubscribed = ["yes"]\nunsubscribed = ["never"]\n',
        encoding="utf-8",
    )
    code, said = told(folder, "check", "people.csv", "--trust")
    assert (code, "1  rejected" in said) == (ExitCode.ROWS_NOT_LOADED, True), said


# --- small files that cost much


def workbook(path: Path, sheet: bytes, *, relations: bytes | None = None) -> None:
    """Write a workbook whose one sheet is this document."""
    plain = path.with_suffix(".plain.xlsx")
    book = openpyxl.Workbook()
    book.active.append(["Email", "Name"])
    book.active.append(["ann@mapleshop.com", "Ann"])
    book.save(plain)
    with zipfile.ZipFile(plain) as given, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name in given.namelist():
            data = given.read(name)
            if name == "xl/worksheets/sheet1.xml":
                data = sheet
            if name == "xl/_rels/workbook.xml.rels" and relations is not None:
                data = relations
            out.writestr(name, data)


HEAD = b'<?xml version="1.0"?><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
TABLE = (
    b'<row r="1"><c r="A1" t="inlineStr"><is><t>Email</t></is></c>'
    b'<c r="B1" t="inlineStr"><is><t>Name</t></is></c></row>'
    b'<row r="2"><c r="A2" t="inlineStr"><is><t>ann@mapleshop.com</t></is></c></row>'
)
TAIL = b"</sheetData></worksheet>"


@pytest.mark.parametrize(
    "piece",
    [
        b"<c ",
        b'<c t="e" ',
        b"<row ",
        b"<col ",
        b"<mergeCell ",
        b"<x:",
        b"<aaaaaaa",
        b'<c t="e" r="A',
        b"<",
        b'<row hidden="',
    ],
)
def test_no_sheet_hangs_the_search(tmp_path: Path, piece: bytes) -> None:
    """A 2 kB file that unpacks to megabytes of tags that never end: each was searched to the end of the file."""
    path = tmp_path / "x.xlsx"
    workbook(path, HEAD + TABLE + piece * (1_000_000 // len(piece)) + TAIL)
    quirks_of(path, "Sheet")


def test_nor_do_relations_without_end(tmp_path: Path) -> None:
    path = tmp_path / "x.xlsx"
    workbook(path, HEAD + TABLE + TAIL, relations=b"<Relationship " * 100_000)
    quirks_of(path, "Sheet")


@pytest.mark.parametrize(
    "far",
    [
        b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>',
        b'<row r="3"><c r="XFD3"><v>1</v></c></row><row r="1048576"><c r="B1048576" t="s"/></row>',
        b'<row r="900000"><c s="1" r="AAA900000"/></row>',
        b"<row r='1048576'><c r='XFD1048576'><v>1</v></c></row>",
    ],
)
def test_a_far_cell_costs_no_memory(folder: Path, far: bytes) -> None:
    workbook(folder / "x.xlsx", HEAD + TABLE + far + TAIL)
    process = start(folder, "check", "x.xlsx", "-m", "people.toml")
    out, err = process.communicate()
    assert process.returncode in {ExitCode.OK, ExitCode.NOT_STARTED, ExitCode.ROWS_NOT_LOADED}, err
    assert "rows read" in out or "sheet-too-wide" in err


def test_a_sheet_that_is_wide_at_the_top_and_empty_below_is_refused(folder: Path) -> None:
    top = b'<row r="1"><c r="A1" t="inlineStr"><is><t>Email</t></is></c><c r="XFD1"><v>1</v></c></row>'
    workbook(folder / "x.xlsx", HEAD + top + b'<row r="1048576"><c r="A1048576"><v>1</v></c></row>' + TAIL)
    code, said = told(folder, "check", "x.xlsx", "-m", "people.toml")
    assert (code, "sheet-too-wide" in said) == (ExitCode.NOT_STARTED, True)


def test_an_open_document_that_repeats_itself_is_refused(folder: Path) -> None:
    document = OpenDocumentSpreadsheet()
    table = Table(name="S")
    row = TableRow(numberrowsrepeated=1_000_000)
    cell = TableCell(valuetype="string", numbercolumnsrepeated=16_000)
    cell.addElement(P(text="x"))
    row.addElement(cell)
    table.addElement(row)
    document.spreadsheet.addElement(table)
    document.save(str(folder / "x.ods"))
    code, said = told(folder, "check", "x.ods", "-m", "people.toml")
    assert (code, "sheet-too-wide" in said) == (ExitCode.NOT_STARTED, True)


def test_many_equal_headers_are_no_work_for_each_other() -> None:
    names, _ = unique_headers(["x"] * 200_000, 1)
    assert (len(set(names)), names[:3], names[-1]) == (200_000, ("x", "x (2)", "x (3)"), "x (200000)")


def slowly(header: list[str]) -> tuple[str, ...]:
    """How it was done before."""
    names: list[str] = []
    taken = {name.strip() for name in header}
    for position, raw in enumerate(header, start=1):
        name = raw.strip() or f"column_{position}"
        if name in names:
            number = next(n for n in itertools.count(2) if f"{name} ({n})" not in {*names, *taken})
            name = f"{name} ({number})"
        names.append(name)
    return tuple(names)


@settings(max_examples=examples(30), deadline=None)
@given(st.lists(st.sampled_from(["x", "x (2)", "x (3)", "", " x", "column_2", "x (2) (2)"]), max_size=12))
def test_they_are_called_what_they_were_called(header: list[str]) -> None:
    assert unique_headers(header, 1)[0] == slowly(header)


def test_a_workbook_that_unpacks_without_end_is_refused(folder: Path) -> None:
    workbook(folder / "x.xlsx", HEAD + TABLE + b" " * 150_000_000 + TAIL)
    code, said = told(folder, "check", "x.xlsx", "-m", "people.toml")
    assert (code, "archive-bomb" in said) == (ExitCode.NOT_STARTED, True)


def test_a_large_sheet_is_read_as_before(folder: Path) -> None:
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("S")
    sheet.append(["Email", "Name", *[f"c{number}" for number in range(40)]])
    for number in range(300):
        sheet.append([f"p{number}@mapleshop.com", "Ann", *[number] * 40])
    book.save(folder / "x.xlsx")
    code, said = told(folder, "check", "x.xlsx", "-m", "people.toml")
    assert (code, "300  rows read" in said, "left out" in said) == (ExitCode.OK, True, False)
