"""status: how every import does, told from a state that is only looked at."""

from __future__ import annotations

import hashlib
import socket
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from etl import pipeline
from etl.errors import ExitCode, StateError
from etl.model import Channel, Progress
from etl.monitor import Condition, Level, SourceStatus, Status, render_prometheus, render_status, status_document
from etl.state import OptOutEvent, OptOutKind, Store
from tests.support.event_cases import HEADER, ORDERS, imported, order
from tests.support.importer import ImporterFixture
from tests.support.in_process import CrashError, CrashPoints

HOUR = 3_600.0


@pytest.fixture(autouse=True)
def _people(desk: ImporterFixture) -> None:
    desk.write(5)


def status(desk: ImporterFixture, **options: object) -> Status:
    return pipeline.status_of(context=desk.context, **options)  # type: ignore[arg-type]


def only(desk: ImporterFixture, **options: object) -> SourceStatus:
    (found,) = status(desk, **options).sources
    return found


def died(desk: ImporterFixture, moment: int) -> None:
    """Let a process of its own die at a point of its run."""
    with pytest.raises(CrashError):
        pipeline.run(
            desk.source, desk.mapping, context=desk.process(points=CrashPoints(frozenset({moment}))), verify="none"
        )


def partly(desk: ImporterFixture) -> None:
    desk.write([("c1", "ann@mapleshop.com", "Ann"), ("", "no address", "Bob")])
    assert desk.run().exit_code is ExitCode.ROWS_NOT_LOADED


def stopped_by_a_guard(desk: ImporterFixture) -> None:
    desk.guards(min_rows=100)
    assert desk.run().exit_code is ExitCode.GUARD


def objected_to_at_the_end(desk: ImporterFixture) -> None:
    report = desk.run()
    with desk.context.open_store() as store:
        store.runs.update(report.run, objection="5 of 5 rows are not as they were sent")
    assert pipeline.get_report(report.run, context=desk.context).exit_code is ExitCode.GUARD


CASES: dict[str, tuple[Callable[[ImporterFixture], object], Condition, Level]] = {
    "well": (ImporterFixture.run, Condition.WELL, Level.OK),
    "partly": (partly, Condition.PARTLY, Level.WARNING),
    "guard": (stopped_by_a_guard, Condition.GUARD, Level.CRITICAL),
    "guard at the end": (objected_to_at_the_end, Condition.GUARD, Level.CRITICAL),
    "crashed while loading": (lambda desk: died(desk, 40), Condition.UNFINISHED, Level.CRITICAL),
}


@pytest.mark.parametrize("case", CASES)
def test_a_source_has_the_condition_of_its_last_run(desk: ImporterFixture, case: str) -> None:
    prepare, condition, level = CASES[case]
    prepare(desk)
    found = status(desk)
    (one,) = found.sources
    assert (one.condition, found.level, one.source, one.account) == (condition, level, str(desk.source), "SBX001")
    # The report of the run says the same by its exit code.
    report = pipeline.get_report(one.last.id if one.last else None, context=desk.context)
    says = {ExitCode.OK: Condition.WELL, ExitCode.ROWS_NOT_LOADED: Condition.PARTLY, ExitCode.GUARD: Condition.GUARD}
    assert says.get(report.exit_code, Condition.UNFINISHED) is condition
    text = render_status(found)
    assert condition in text.splitlines()[0]
    assert all(len(line) <= 80 or str(desk.source) in line for line in text.splitlines())
    for step in (line.partition("-> ")[2] for line in text.splitlines() if "->" in line):
        assert step.split()[:2] in (["klaviyo-etl", name] for name in ("rejects", "report", "resume"))
    if level is not Level.OK:
        assert one.last is not None
        assert one.last.id in one.next_step


def test_a_process_that_was_killed_holds_nothing(desk: ImporterFixture) -> None:
    """A lock that nobody let go of is asked for its process."""
    died(desk, 40)
    with desk.context.open_store() as store, store.database.write() as connection:
        holder = '{"process": 999999999, "host": "%s", "since": 1}'
        connection.exec_driver_sql("UPDATE owners SET holder = ?", (holder % socket.gethostname(),))
    assert only(desk).condition is Condition.UNFINISHED


def test_overdue_is_a_matter_of_the_last_import_that_finished(desk: ImporterFixture) -> None:
    desk.run()
    desk.clock.time += 25 * HOUR
    assert only(desk).condition is Condition.WELL, "nobody said how often it comes"
    assert only(desk, max_age=26 * HOUR).condition is Condition.WELL
    assert only(desk, max_age=24 * HOUR).condition is Condition.OVERDUE
    assert status(desk, max_age=24 * HOUR).level is Level.WARNING
    # A night that failed is no import: the guard is the worse news, and the age goes on.
    stopped_by_a_guard(desk)
    found = only(desk, max_age=24 * HOUR)
    assert found.condition is Condition.GUARD
    assert found.success_at is not None
    assert desk.clock.now() - found.success_at > 24 * HOUR


def test_files_with_a_date_in_their_name_are_one_source(desk: ImporterFixture) -> None:
    for day in ("20261126", "20261127"):
        desk.source = desk.folder / f"people-{day}.csv"
        desk.write(3)
        desk.run()
        desk.clock.time += 24 * HOUR
    found = only(desk, max_age=26 * HOUR)
    assert Path(found.source).name == "people-*.csv"
    assert found.condition is Condition.WELL


def test_what_repairs_a_run_counts_for_its_source(desk: ImporterFixture) -> None:
    partly(desk)
    (rejects,) = desk.folder.glob("runs/*/rejects.csv")
    rejects.write_text(rejects.read_text("utf-8-sig").replace("no address", "bob@mapleshop.com"), "utf-8-sig")
    repaired = pipeline.run(rejects, desk.mapping, context=desk.context, verify="none")
    assert repaired.parent is not None
    assert only(desk).condition is Condition.WELL


def test_pilots_and_looks_say_nothing_of_the_nightly_import(desk: ImporterFixture) -> None:
    partly(desk)
    desk.write(5)
    pipeline.check(desk.source, desk.mapping, context=desk.context)
    assert desk.run(limit=2).exit_code is ExitCode.OK
    assert only(desk).condition is Condition.PARTLY


def test_events_of_a_file_are_a_source_of_their_own(desk: ImporterFixture) -> None:
    desk.run()
    desk.write([order(number) for number in range(3)], HEADER)
    imported(desk, ORDERS)
    assert [(one.kind, one.condition) for one in status(desk).sources] == [
        ("events", Condition.WELL),
        ("profiles", Condition.WELL),
    ]
    assert len(status(desk, sources=[str(desk.source)], account="SBX001").sources) == 2
    assert status(desk, account="Other1").sources == ()


def test_opt_outs_and_the_outbox_are_counted(desk: ImporterFixture) -> None:
    desk.run()
    with desk.context.open_store() as store:
        notices = [
            OptOutEvent(f"e{number}", "t", kind, Channel.EMAIL, f"p{number}@x.com", None, None, 1e9, desk.clock.now())
            for number, kind in enumerate((OptOutKind.UNSUBSCRIBED, OptOutKind.SPAM, OptOutKind.SUBSCRIBED))
        ]
        add_notices(store, notices)
        accept(store)
    desk.clock.time += 60
    found = status(desk)
    (outs,) = found.opt_outs
    assert (outs.account, outs.count, found.outbox, found.level) == ("SBX001", 2, 1, Level.OK)
    desk.clock.time += 2 * HOUR
    late = status(desk)
    assert (late.outbox_late, late.level) == (True, Level.WARNING)
    assert "Outbox: 1 request waits for 2 h 1 min" in render_status(late)


def add_notices(store: Store, notices: list[OptOutEvent]) -> None:
    store.opt_outs.append("SBX001", notices)


def accept(store: Store) -> None:
    store.outbox.accept("profile", b"{}", "u1")


def test_prometheus_reads_what_is_written(desk: ImporterFixture) -> None:
    desk.source = desk.folder / 'peo"ple\\n.csv'
    partly(desk)
    found = status(desk)
    families = {one.name: one for one in text_string_to_metric_families(render_prometheus(found))}
    (sample,) = families["klaviyo_etl_source_status"].samples
    assert sample.labels == {"account": "SBX001", "source": str(desk.source), "kind": "profiles"}
    assert sample.value == 1
    rows = {one.labels["outcome"]: one.value for one in families["klaviyo_etl_last_run_rows"].samples}
    assert rows == {"loaded": 1, "rejected": 1}
    (document,) = status_document(found)["sources"]
    assert document["run"]["rows"] == rows
    assert "mapleshop" not in str(document), "nobody's address"


def test_looking_changes_no_byte_and_makes_no_file(desk: ImporterFixture) -> None:
    with pytest.raises(StateError, match="no state") as error:
        status(desk)
    assert error.value.code == "state-missing"
    desk.run()

    def there() -> dict[str, str]:
        files = [path for path in desk.folder.iterdir() if path.is_file()]
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    before = there()
    assert "state.db" in before
    status(desk)
    assert there() == before


def test_a_state_of_an_earlier_version_is_read_as_far_as_it_goes(desk: ImporterFixture) -> None:
    desk.run()
    with sqlite3.connect(desk.folder / "state.db") as connection:
        for table in (
            "failed_commands",
            "alerts",
            "told_conditions",
            "alert_deliveries",
            "notices",
            "outbox",
            "owners",
        ):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("DELETE FROM migrations WHERE number > 1")
    connection.close()
    assert only(desk).condition is Condition.WELL
    with sqlite3.connect(desk.folder / "state.db") as connection:
        assert connection.execute("SELECT max(number) FROM migrations").fetchone() == (1,)
        connection.execute("INSERT INTO migrations VALUES (999, 'of tomorrow', 0)")
    connection.close()
    with pytest.raises(StateError, match="newer version"):
        status(desk)


def test_what_is_no_state_is_said(desk: ImporterFixture) -> None:
    path = desk.folder / "state.db"
    path.write_text("not a database, but long enough to be looked at", "utf-8")
    with pytest.raises(StateError):
        status(desk)
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE other (a)")
    connection.close()
    with pytest.raises(StateError, match="not a state database"):
        status(desk)


def test_a_state_is_looked_at_wherever_it_is(tmp_path: Path, bare_url: str) -> None:
    """On SQLite and on PostgreSQL: missing, at work, and afterwards."""
    desk = ImporterFixture(tmp_path, state=bare_url)
    desk.write(3)
    with pytest.raises(StateError) as error:
        status(desk)
    assert error.value.code == "state-missing"
    seen: list[Condition] = []

    def look(_progress: Progress, /) -> None:
        seen.extend(one.condition for one in status(desk).sources)

    pipeline.run(desk.source, desk.mapping, context=replace(desk.context, progress=look), verify="none")
    assert (set(seen), only(desk).condition) == ({Condition.RUNNING}, Condition.WELL)
    desk.sandbox.close()
