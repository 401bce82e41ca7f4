"""Judging on several cores gives what one gives: the same bytes in the same order; and it ends when it has to."""

from __future__ import annotations

import os
import pickle
import random
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from etl.config import Mapping, load_settings, parse_mapping
from etl.errors import ConfigError, EtlError, InternalError, InterruptedRunError, SourceError, StoppedError
from etl.extract import open_source
from etl.model import Chunk, RaggedRow, RunStatus
from etl.pipeline.kinds.profiles.stage import ProfileStager
from etl.pipeline.staging import pool as pool_module
from etl.pipeline.staging.pool import WorkerPool, default_workers
from etl.pipeline.staging.process import ChunkProcessor
from etl.pipeline.staging.stage import Staging, stage
from etl.pipeline.staging.wire import pack, portable, unpack
from tests.support.cli_process import ABSENT, PATIENCE
from tests.support.effort import sample
from tests.support.importer import ImporterFixture
from tests.support.state_backends import begin

MAPPING: dict[str, Any] = {
    "defaults": {"country": "US"},
    "columns": {
        "Id": "external_id",
        "Mail": "email",
        "Phone": "phone_number",
        "Name": "first_name",
        "Spent": {"to": "$value", "type": "money"},
        "Lists": {"to": "list", "type": "list", "separator": ";"},
        "Wants": {"to": "consent.email"},
    },
    "consent": {"date": "2025-01-01", "source": "test"},
}
HEADERS = tuple(MAPPING["columns"])
NOW = 1_800_000_000.0


def content(rows: int) -> str:
    chance = random.Random(rows)
    lines = [",".join(HEADERS)]
    for number in range(rows):
        mail = chance.choice(
            (f"p{number}@shop.de", f"p{number} at shop.de", f"Ä{number}@größe.de", f"p{number // 2}@shop.de")
        )
        phone = chance.choice(("+14155550100", "12", "", "+442071838750"))
        name = chance.choice(("Zoë", '"two\nlines"', '"say ""x"""', ""))
        wants = chance.choice(("subscribed", "unsubscribed", "", "perhaps"))
        lines.append(f"{number},{mail},{phone},{name},{chance.randrange(99)}.5,{chance.choice(('', 'A;B'))},{wants}")
        if chance.random() < 0.05:
            lines.append("ragged")
    return "\n".join(lines)


def chunks(path: Path, rows: int = 400, chunk_rows: int = 50) -> list[Chunk]:
    path.write_text(content(rows), encoding="utf-8")
    with open_source(path, chunk_rows=chunk_rows) as source:
        return list(source.chunks())


def mapping() -> Mapping:
    return parse_mapping(MAPPING)


@pytest.fixture(autouse=True)
def as_a_user_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep out of the workers what only tests have: pandera imports hypothesis wherever it is."""
    monkeypatch.syspath_prepend(ABSENT)


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Workers for any source, and none that is still starting when there is something to judge."""
    started: list[Any] = []
    make = pool_module._Worker.__init__

    def waiting(worker: Any, judge: ChunkProcessor) -> None:
        make(worker, judge)
        worker._started.result(PATIENCE)
        started.append(worker)

    monkeypatch.setattr(pool_module, "_WORTHWHILE", 0)
    monkeypatch.setattr(pool_module._Worker, "__init__", waiting)
    yield started
    assert all(worker._process.poll() is not None for worker in started)


@pytest.mark.parametrize("workers", sample([2, 1], 2))
def test_many_processes_say_what_one_says(workers: int, tmp_path: Path, eager: list[Any]) -> None:
    """Every byte of every chunk, in the order they were read."""
    found = chunks(tmp_path / "people.csv")
    judge = ChunkProcessor(mapping(), HEADERS, NOW)
    alone = [((chunk.records, chunk.position, chunk.part), judge(chunk)) for chunk in found]
    with WorkerPool(judge, workers) as pool:
        together = list(pool.process(iter(found), 0))
    assert [(tuple(step), judged) for step, judged in together] == alone
    assert len(eager) == workers


def test_a_chunk_arrives_as_it_left(tmp_path: Path) -> None:
    """Cells, missing ones, lines, ragged rows, issues, position."""
    for chunk in chunks(tmp_path / "people.csv", 60, 7):
        there = unpack(pickle.loads(pickle.dumps(pack(chunk), protocol=5)))
        assert there.frame.equals(chunk.frame)
        assert there.frame.dtypes.equals(chunk.frame.dtypes)
        assert there.frame.index.equals(chunk.frame.index)
        assert there.frame.index.name == "line"
        assert there == replace(chunk, frame=there.frame)


def staged(desk: ImporterFixture, path: Path, workers: int, state: str, **options: Any) -> dict[str, list[Any]]:
    """Stage a file and return every table that staging writes."""
    with desk.context.open_store() as store:
        run = begin(store, mapping_hash=state)
        with open_source(path, chunk_rows=50) as source:
            given = {"progress": lambda _: None, "should_stop": lambda: False, **options}
            at = Staging(store, run, source, desk.context.clock, **given)
            stage(at, ProfileStager(at, mapping(), workers=workers), mapping())
        tables = ("rows", "blocks", "record_blocks", "records", "issues", "consents")
        with store.database.read() as connection:
            return {
                name: [
                    tuple(value for key, value in row._mapping.items() if key not in {"run", "id"})
                    for row in connection.execute(
                        sa.text(f"SELECT t.* FROM {name} t JOIN runs r ON r.seq = t.run WHERE r.id = :run"),
                        {"run": run},
                    )
                ]
                for name in tables
            }


def test_state_is_the_same_to_the_byte(desk: ImporterFixture, tmp_path: Path, eager: list[Any]) -> None:
    path = tmp_path / "people.csv"
    path.write_text(content(600), encoding="utf-8")
    one = staged(desk, path, 0, "a")
    assert not eager
    two = staged(desk, path, 2, "b")
    assert len(eager) == 2
    assert one == two
    assert all(one[name] for name in ("rows", "blocks", "record_blocks", "records", "issues", "consents"))


def test_it_stops_between_two_chunks(desk: ImporterFixture, tmp_path: Path, eager: list[Any]) -> None:
    """And no process is left behind; the half-staged run is still there to be forgotten."""
    path = tmp_path / "people.csv"
    path.write_text(content(600), encoding="utf-8")
    asked = iter([False, False, True])
    with pytest.raises(InterruptedRunError):
        staged(desk, path, 1, "a", should_stop=lambda: next(asked))
    with desk.context.open_store() as store:
        assert [run.status for run in store.runs.newest()] == [RunStatus.STAGING]
    assert eager


def test_a_worker_that_dies_ends_the_run(tmp_path: Path, eager: list[Any]) -> None:
    """Killed for want of memory, say: nothing was sent, and the message says what to do."""
    found = chunks(tmp_path / "people.csv")

    def killing() -> Iterator[Chunk]:
        for number, chunk in enumerate(found):
            if number == 2:
                os.kill(eager[0]._process.pid, signal.SIGKILL)
            yield chunk

    with (
        WorkerPool(ChunkProcessor(mapping(), HEADERS, NOW), 1) as pool,
        pytest.raises(SourceError, match="worker-died") as error,
    ):
        list(pool.process(killing(), 0))
    assert "KLAVIYO_ETL_WORKERS=0" in error.value.hint


@pytest.mark.usefixtures("eager")
def test_what_judging_raises_is_raised_here(tmp_path: Path) -> None:
    found = chunks(tmp_path / "people.csv")
    line = found[1].frame.index[0]
    twice = Chunk(found[1].frame, (RaggedRow(line, ("a row and none",)),))
    with (
        WorkerPool(ChunkProcessor(mapping(), HEADERS, NOW), 1) as pool,
        pytest.raises(InternalError, match="rows-not-covered"),
    ):
        list(pool.process([found[0], twice], 0))


def test_a_schema_of_ones_own_may_print(
    tmp_path: Path, eager: list[Any], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is found beside the mapping, as in one process, and its words do not stand between the answers."""
    (tmp_path / "mine.py").write_text(
        "import pandera.pandas as pa\nfrom schemas.profile import Profile\nprint('hello from mine')\n"
        "class Mine(Profile):\n    @pa.check('first_name', name='no_zoe')\n    @classmethod\n"
        "    def no_zoe(cls, cells):\n        print('checking')\n        return cells != 'Zoë'\n",
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    rules = parse_mapping({**MAPPING, "profile": {"schema": "mine:Mine"}})
    found = chunks(tmp_path / "people.csv", 100)
    judge = ChunkProcessor(rules, HEADERS, NOW)
    alone = [judge(chunk) for chunk in found]
    capfd.readouterr()
    with WorkerPool(judge, 1) as pool:
        assert [judged for _, judged in pool.process(found, 0)] == alone
    assert eager
    assert "checking" in capfd.readouterr().err


def test_small_sources_start_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "_Worker", None)
    found = chunks(tmp_path / "people.csv", 100)
    judge = ChunkProcessor(mapping(), HEADERS, NOW)
    with WorkerPool(judge, 3) as pool:
        assert [judged for _, judged in pool.process(found, found[-1].position)] == [judge(chunk) for chunk in found]


def test_where_no_process_can_be_started_there_is_only_less_speed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "_WORTHWHILE", 0)
    monkeypatch.setattr("sys.executable", str(tmp_path / "nothing"))
    found = chunks(tmp_path / "people.csv", 100)
    with WorkerPool(ChunkProcessor(mapping(), HEADERS, NOW), 1) as pool:
        assert len(list(pool.process(found, 0))) == len(found)


def test_a_worker_still_starting_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "_WORTHWHILE", 0)
    monkeypatch.setattr(pool_module, "_WORKER", "timeit")  # never says that it is ready
    found = chunks(tmp_path / "people.csv", 100)
    with WorkerPool(ChunkProcessor(mapping(), HEADERS, NOW), 1) as pool:
        assert len(list(pool.process(found, 0))) == len(found)
    # Whoever waited for it would wait for ever.


@pytest.mark.parametrize("kind", [ConfigError, StoppedError, InternalError])
def test_errors_of_ours_travel_whole(kind: type[EtlError]) -> None:
    error = kind("some-code", "What happened", "What to do")
    there = portable(error)
    again = pickle.loads(pickle.dumps(there))
    assert (type(again), again.code, again.message, again.hint, again.exit_code, str(again)) == (
        kind, "some-code", "What happened", "What to do", error.exit_code, str(error),
    )  # fmt: skip


def test_an_error_that_cannot_travel_is_named_without_its_text() -> None:
    class LocalError(Exception):
        pass

    there = portable(LocalError("ann@example.org"))
    assert "LocalError" in str(there)
    assert "ann" not in str(there)


def test_how_many_workers() -> None:
    assert 0 <= default_workers() <= 3
    assert load_settings({}, environ={"KLAVIYO_ETL_WORKERS": "2"}, dotenv=None).workers == 2
    assert load_settings({}, environ={}, dotenv=None).workers is None
    with pytest.raises(ConfigError, match="KLAVIYO_ETL_WORKERS"):
        load_settings({}, environ={"KLAVIYO_ETL_WORKERS": "many"}, dotenv=None)
