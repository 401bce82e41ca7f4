"""A backup holds one moment of a state, says whether it is whole, and is put into either database as it was."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
import sqlalchemy as sa

from etl import pipeline
from etl.errors import LockedError, StateError
from etl.model import RunStatus
from etl.state import BackupHeader, Store, check_state
from etl.state.db import schema
from etl.state.migrations import LATEST
from etl.state.upkeep.backup_file import read_header
from etl.state.upkeep.keeping import back_up, restore
from etl.state.upkeep.table_rows import TableSum, sum_tables
from tests.support.earlier_schemas import SCHEMAS, plant
from tests.support.in_process import CrashError
from tests.support.state_backends import FakeClock, OpenStore, begin

NEWEST = SCHEMAS[-1]


def sums(store: Store) -> dict[str, TableSum]:
    with store.database.read() as connection:
        return {name: each for name, each in sum_tables(connection).items() if name != "moves"}


@pytest.fixture
def kept(state_url: str, clock: FakeClock, open_store: OpenStore) -> Store:
    """A state with a run that finished and one that was interrupted, and some that webhooks and forms left."""
    plant(NEWEST, state_url)
    clock.time += 60
    store = open_store()
    with store.database.write() as connection:
        outbox = schema.outbox.insert().values(kind="form", body=b"{}", accepted_at=1.0, done_at=2.0)
        connection.execute(outbox)
        connection.execute(schema.outbox.delete())
    return store


@pytest.fixture
def backup(kept: Store, state_url: str, clock: FakeClock, tmp_path: Path) -> Path:
    path = tmp_path / "state.backup"
    back_up(state_url, path, clock=clock, tool_version="1")
    return path


def put(path: Path, url: str, *, replace: bool = False, **options: Callable[[str], None]) -> BackupHeader:
    heard: list[BackupHeader] = []
    found = restore(path, url, clock=FakeClock(), replace=replace, hear=heard.append, **options)
    assert heard == [found]
    return found


def test_a_backup_is_put_into_the_other_database_as_it_was(
    kept: Store, backup: Path, other_url: str, clock: FakeClock
) -> None:
    header = put(backup, other_url)
    assert (header.runs, header.accounts, header.schema) == (2, ("SBX001",), LATEST)
    assert header.unfinished == (header.newest,)
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    with Store.open(other_url, clock=clock) as there:
        assert sums(there) == sums(kept)
        ids = [begin(store) for store in (kept, there)]
        assert [store.database.seq(run) for store, run in zip((kept, there), ids, strict=True)] == [3, 3]
        with there.database.write() as connection:
            again = schema.outbox.insert().values(kind="form", body=b"{}", accepted_at=1.0)
            number = connection.execute(again.returning(schema.outbox.c.id)).scalar_one()
        assert number == 2, "the id of a request that is gone is not given again"
    assert check_state(other_url, clock=clock).findings == ()


def test_a_backup_has_only_what_was_committed_and_waits_for_nobody(
    kept: Store, state_url: str, other_url: str, clock: FakeClock, tmp_path: Path
) -> None:
    before = sums(kept)
    path = tmp_path / "busy.backup"
    with kept.database.write() as connection:
        connection.execute(
            schema.watermarks.insert().values(account="A", source="s", kind="text", value="7", run=1, moved_at=1.0)
        )
        back_up(state_url, path, clock=clock, tool_version="1")
    assert sums(kept) != before
    put(path, other_url)
    with Store.open(other_url, clock=clock) as there:
        assert sums(there) == before


def test_what_was_deleted_is_not_in_a_backup(tmp_path: Path, clock: FakeClock) -> None:
    """Pages that are free keep their old bytes; the backup does not take them."""
    url, secret = str(tmp_path / "state.db"), b"ann@mapleshop.com" * 400
    with Store.open(url, clock=clock) as store:
        for change in (
            schema.outbox.insert().values(kind="form", body=secret, accepted_at=1.0),
            schema.outbox.delete(),
        ):
            with store.database.write() as connection:
                connection.execute(change)
        with store.database.write() as connection:
            assert connection.exec_driver_sql("PRAGMA freelist_count").scalar_one() > 0
        back_up(url, tmp_path / "state.backup", clock=clock, tool_version="1")
    put(tmp_path / "state.backup", str(tmp_path / "restored.db"))
    assert b"ann@mapleshop.com" not in (tmp_path / "restored.db").read_bytes()


def test_a_state_that_holds_anything_is_replaced_only_when_asked(kept: Store, backup: Path, state_url: str) -> None:
    begin(kept)
    with pytest.raises(StateError, match="already") as refused:
        put(backup, state_url)
    assert refused.value.code == "state-not-empty"
    assert len(kept.runs.newest()) == 3
    put(backup, state_url, replace=True)
    # The process that has it open goes on with what is there now.
    assert [run.status for run in kept.runs.newest()] == [RunStatus.LOADING, RunStatus.FINISHED]


def test_a_state_in_which_a_run_is_at_work_is_left_alone(
    kept: Store, backup: Path, state_url: str, open_store: OpenStore
) -> None:
    with open_store().lock.hold("SBX001", "run"), pytest.raises(LockedError) as refused:
        put(backup, state_url, replace=True)
    assert refused.value.code == "run-locked"


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_restore_that_is_killed_has_changed_all_or_nothing(
    moment: str, kept: Store, backup: Path, state_url: str
) -> None:
    begin(kept)
    before = sums(kept)

    def die(now: str) -> None:
        if now == moment:
            raise CrashError

    with pytest.raises(CrashError):
        put(backup, state_url, replace=True, on_commit=die)
    assert len(kept.runs.newest()) == (3 if moment == "before" else 2)
    assert (sums(kept) == before) is (moment == "before")


def header_changed(data: bytes, **values: object) -> bytes:
    magic, header, rest = data.split(b"\n", 2)
    return b"\n".join((magic, orjson.dumps({**orjson.loads(header), **values}), rest))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda data: data[: len(data) // 2], "backup-damaged"),
        (lambda data: data[:400] + bytes([data[400] ^ 1]) + data[401:], "backup-damaged"),
        (lambda data: data + b"\0", "backup-damaged"),
        (lambda data: header_changed(data, runs=7), "backup-damaged"),
        (lambda data: header_changed(data, format=2), "backup-too-new"),
        (lambda data: b"id,email\n" + data, "backup-not-ours"),
        (lambda _: b"", "backup-not-ours"),
    ],
    ids=["half", "one bit", "longer", "another header", "newer", "a source", "empty"],
)
def test_what_is_no_whole_backup_is_refused(
    change: Callable[[bytes], bytes], code: str, tmp_path: Path, clock: FakeClock
) -> None:
    url, path = str(tmp_path / "state.db"), tmp_path / "state.backup"
    plant(NEWEST, url)
    back_up(url, path, clock=clock, tool_version="1")
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(StateError) as refused:
        put(path, str(tmp_path / "restored.db"))
    assert refused.value.code == code
    assert not (tmp_path / "restored.db").exists()


def test_a_backup_of_a_newer_schema_is_refused(tmp_path: Path, clock: FakeClock) -> None:
    url, path = str(tmp_path / "state.db"), tmp_path / "state.backup"
    plant(NEWEST, url)
    engine = sa.create_engine(f"sqlite:///{url}")
    with engine.begin() as connection:
        connection.execute(schema.migrations.insert().values(number=LATEST + 1, name="later", applied_at=1.0))
    engine.dispose()
    with pytest.raises(StateError) as refused:
        back_up(url, path, clock=clock, tool_version="1")
    assert refused.value.code == "state-too-new"
    assert not path.exists()


@pytest.mark.parametrize("number", [SCHEMAS[0], NEWEST])
def test_a_state_of_an_earlier_version_is_backed_up_as_it_is(
    number: int, state_url: str, other_url: str, clock: FakeClock, tmp_path: Path
) -> None:
    plant(number, state_url)
    path = tmp_path / "state.backup"
    header = back_up(state_url, path, clock=clock, tool_version="1")
    assert header.schema == (number if "://" not in state_url else LATEST)
    put(path, other_url)
    assert check_state(other_url, clock=clock).findings == ()
    with Store.open(other_url, clock=clock) as there, Store.open(state_url, clock=clock) as here:
        names = {"migrations"}
        assert {k: v for k, v in sums(there).items() if k not in names} == {
            k: v for k, v in sums(here).items() if k not in names
        }


def test_a_folder_that_takes_nothing_is_said(tmp_path: Path, clock: FakeClock) -> None:
    url = str(tmp_path / "state.db")
    plant(NEWEST, url)
    with pytest.raises(StateError) as refused:
        back_up(url, tmp_path / "nowhere" / "state.backup", clock=clock, tool_version="1")
    assert refused.value.code == "state-no-room"


def test_the_verbs_work_on_the_state_of_their_context(tmp_path: Path) -> None:
    url, path = str(tmp_path / "state.db"), tmp_path / "state.backup"
    plant(NEWEST, url)
    context = pipeline.Context.create(state=url)
    assert pipeline.back_up_state(path, context=context) == read_header(path)
    copy = pipeline.Context.create(state=tmp_path / "copy.db")
    assert pipeline.restore_state(path, context=copy).runs == 2
    assert pipeline.check_state(context=copy).findings == ()
    assert pipeline.move_state(str(tmp_path / "moved.db"), context=copy).target == str(tmp_path / "moved.db")
