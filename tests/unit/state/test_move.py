"""A state goes to the other database and back; at every moment at most one of the two may be used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from etl.errors import LockedError, StateError
from etl.state import StateView, Store, check_state
from etl.state.db import schema
from etl.state.upkeep.keeping import MoveResult, move
from etl.state.upkeep.table_rows import sum_tables
from tests.support.crash_scenario import CrashScenario
from tests.support.earlier_schemas import DIED_AT, SCHEMAS, plant
from tests.support.effort import FULL
from tests.support.in_process import CrashError
from tests.support.state_backends import FakeClock, OpenStore, begin

NEWEST = SCHEMAS[-1]
ENDED = {"rejected": 1, "duplicate": 1, "unchanged": 1, "loaded": 5, "failed": 4, "unknown": 1}
"""How the second import of the scenario ends where nothing interrupts it."""


def go(url: str, to: str, *, replace: bool = False, on_commit: Callable[[str], None] | None = None) -> MoveResult:
    return move(url, to, clock=FakeClock(DIED_AT), replace=replace, on_commit=on_commit)


def usable(url: str) -> bool:
    """Whether a command would work on a state that holds runs."""
    try:
        with Store.open(url, clock=FakeClock(), create=False) as store:
            return bool(store.runs.newest())
    except StateError as error:
        if error.code in {"state-moved", "state-arriving", "state-missing"}:
            return False
        raise


def test_an_interrupted_run_is_resumed_where_its_state_went(state_url: str, other_url: str, tmp_path: Path) -> None:
    (tmp_path / "world").mkdir()
    world = CrashScenario(tmp_path / "world")
    world.prepare()
    plant(NEWEST, state_url)
    go(state_url, other_url)
    world.state, world.clock.time = other_url, DIED_AT
    report = world.finish()
    assert report.complete
    assert {name: number for name, number in report.tally.parts if number} == ENDED
    assert check_state(other_url, clock=world.clock).findings == ()
    world.close()


def test_the_state_that_was_left_is_closed_to_everybody(state_url: str, other_url: str, open_store: OpenStore) -> None:
    plant(NEWEST, state_url)
    open_before = open_store()
    with open_before.database.read() as connection:
        before = sum_tables(connection)
    go(state_url, other_url)
    for refused in (lambda: begin(open_before), lambda: open_before.lock.hold("SBX001", "run").__enter__()):
        with pytest.raises(StateError) as error:
            refused()
        assert error.value.code == "state-moved"
    with pytest.raises(StateError, match="has moved to") as moved:
        open_store()
    assert moved.value.code == "state-moved"
    with pytest.raises(StateError, match="has moved to"):
        StateView.open(state_url)
    for again in (lambda: go(state_url, other_url), lambda: check_state(state_url, clock=FakeClock())):
        with pytest.raises(StateError) as error:
            again()
        assert error.value.code == "state-moved"
    with open_before.database.read() as connection:
        after = sum_tables(connection)
    assert {name for name in after if after[name] != before[name]} == {"moves"}, "nothing else was touched"


def test_it_moves_back_over_the_one_that_was_left(state_url: str, other_url: str, clock: FakeClock) -> None:
    plant(NEWEST, state_url)
    go(state_url, other_url)
    with Store.open(other_url, clock=clock) as there:
        new = begin(there)
    with pytest.raises(StateError) as refused:
        go(other_url, state_url)
    assert refused.value.code == "state-not-empty"
    go(other_url, state_url, replace=True)
    with Store.open(state_url, clock=clock) as store:
        assert [run.id for run in store.runs.newest(1)] == [new]
        begin(store)
    assert not usable(other_url)
    assert check_state(state_url, clock=clock).findings == ()


@pytest.mark.parametrize("deadly", range(1, 7) if FULL else (2, 4))
def test_killed_at_any_commit_it_leaves_at_most_one_and_comes_to_its_end(
    deadly: int, state_url: str, other_url: str
) -> None:
    plant(NEWEST, state_url)
    passed: list[str] = []

    def die(moment: str) -> None:
        passed.append(moment)
        if len(passed) == deadly:
            raise CrashError

    with pytest.raises(CrashError):
        go(state_url, other_url, on_commit=die)
    assert usable(state_url) + usable(other_url) <= 1
    if deadly <= 3:
        assert usable(state_url), "until all is there, work goes on where it was"
    if deadly < 6:
        go(state_url, other_url)
    assert (usable(state_url), usable(other_url)) == (False, True)
    assert check_state(other_url, clock=FakeClock()).findings == ()


def test_a_copy_whose_move_did_not_end_is_made_anew(state_url: str, other_url: str, clock: FakeClock) -> None:
    """Work went on where the state still was: what lies at the other place is of yesterday."""
    plant(NEWEST, state_url)

    def die(moment: str) -> None:
        if moment == "after":
            raise CrashError

    with pytest.raises(CrashError):
        go(state_url, other_url, on_commit=die)
    with Store.open(state_url, clock=clock) as store:
        new = begin(store)
    go(state_url, other_url)
    with Store.open(other_url, clock=clock) as store:
        assert store.runs.newest(1)[0].id == new


def test_a_run_at_work_or_a_request_on_its_way_is_not_moved_from_under(
    state_url: str, other_url: str, open_store: OpenStore
) -> None:
    plant(NEWEST, state_url)
    store = open_store()
    with store.lock.hold("SBX001", "run"), pytest.raises(LockedError):
        go(state_url, other_url)
    with store.database.write() as connection:
        values = {"kind": "form", "body": b"{}", "accepted_at": 1.0, "owner": "serve", "owned_until": DIED_AT + 60}
        connection.execute(schema.outbox.insert().values(values))
    with pytest.raises(StateError) as refused:
        go(state_url, other_url)
    assert refused.value.code == "state-serving"
    assert usable(state_url)


def test_a_state_is_not_moved_onto_itself(state_url: str) -> None:
    plant(NEWEST, state_url)
    with pytest.raises(StateError) as refused:
        go(state_url, state_url, replace=True)
    assert refused.value.code == "state-same"
    assert usable(state_url)


@pytest.mark.parametrize("state_url", ["sqlite"], indirect=True)
def test_what_postgresql_cannot_hold_is_said_before_anything_is_changed(
    other_url: str, state_url: str, clock: FakeClock
) -> None:
    plant(NEWEST, state_url)
    with Store.open(state_url, clock=clock) as store, store.database.write() as connection:
        values = {"account": "A", "source": "s", "kind": "text", "value": "a\0b", "run": 1, "moved_at": 1.0}
        connection.execute(schema.watermarks.insert().values(values))
    with pytest.raises(StateError, match="watermarks") as refused:
        go(state_url, other_url)
    assert refused.value.code == "state-not-portable"
    assert usable(state_url)
