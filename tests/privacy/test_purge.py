"""Purged runs hold nothing of people, anywhere on the disk; what they counted and what is known stays."""

from __future__ import annotations

import random
import zlib
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from etl import pipeline
from etl.errors import EtlError
from etl.model import RunStatus
from etl.report import Report, render_text
from etl.state import Store
from etl.state.db import schema
from etl.state.retention.personal import PURGE_RULES
from tests.support.effort import walk
from tests.support.event_cases import GROUPED
from tests.support.importer import ImporterFixture
from tests.support.in_process import CrashError, CrashPoints
from tests.support.leftovers import files_of_state, left_in_files, left_in_tables, stored_bytes

DAY = 86_400
HEADER = ("Id", "Email", "Phone", "Name", "Born", "Said", "Plan")
WORDS = ("ann", "bob", "cat", "dora", "eve", "fay", "gus", "hal")
PHONE = "+12127365{:03d}"


@pytest.fixture
def desk(tmp_path: Path) -> ImporterFixture:
    return prepared(tmp_path, str(tmp_path / "state.db"))


@pytest.fixture
def either(tmp_path: Path, state_url: str) -> ImporterFixture:
    """On SQLite, and on PostgreSQL: where it writes its tables anew, which takes its time."""
    return prepared(tmp_path, state_url)


def prepared(folder: Path, state: str) -> ImporterFixture:
    found = ImporterFixture(folder, state=state, limits="off", processing_seconds=0.5)
    found.mapping = {
        "columns": {
            "Id": "external_id",
            "Email": "email",
            "Phone": "phone_number",
            "Name": "first_name",
            "Born": "consent.date_of_birth",
            "Said": "consent.email_at",
            "Plan": "consent.email",
        },
        "load": {"list": "News", "small_run": 0, "only_changed": True},
    }
    return found


def row(name: str, number: int, email: str | None = None) -> tuple[str, ...]:
    address = f"{name}.secretive@mapleshop.com" if email is None else email
    return (
        *(f"key-{name}-77", address, PHONE.format(number), f"{name.title()}a Hiddenname"),
        *(f"19{60 + number}-03-0{number + 1}", f"2024-01-1{number} 10:11:1{number}Z", "yes"),
    )


ROWS = [
    *(row(name, number) for number, name in enumerate(WORDS[:5])),
    row("fay", 5, "fay.secretive@mapleshop"),  # rejected or left out
    row("gus", 6, "gus.secretive@sandbox-refused.com"),  # Klaviyo names it in its answer
    row("hal", 7, "hal.secretive@gmial.com"),  # a suggestion
]
NEEDLES = [
    text.encode()
    for number, name in enumerate(WORDS)
    for text in (
        f"{name}.secretive",
        PHONE.format(number),
        f"{name.title()}a Hidden",
        f"key-{name}-77",
        f"2024-01-1{number} ",
    )
]


def old_run(desk: ImporterFixture) -> Report:
    """Import, and let a hundred days pass."""
    desk.write(ROWS, HEADER)
    report = desk.run(verify="sample")
    (desk.folder / "runs" / report.run / "rejects-fixed.csv").write_text("fay.secretive@mapleshop.com", "utf-8")
    desk.source.unlink()
    desk.clock.time += 100 * DAY
    return report


def purge(context: pipeline.Context, days: int = 90) -> pipeline.PurgePlan:
    return pipeline.purge(pipeline.plan_purge(days * DAY, context=context), context=context)


def leftovers(desk: ImporterFixture, needles: list[bytes]) -> dict[str, list[bytes]]:
    with desk.context.open_store() as store:
        paths = files_of_state(store, desk.folder)
        return {**left_in_tables(store, needles), **left_in_files(paths, needles)}


def pieces(desk: ImporterFixture) -> list[bytes]:
    with desk.context.open_store() as store:
        return [*NEEDLES, *stored_bytes(store)]


def test_every_table_and_column_says_what_a_purge_makes_of_it() -> None:
    """Who adds one decides whether it holds personal data."""
    for table in schema.metadata.sorted_tables:
        rule = PURGE_RULES[table.name]
        named = [*rule.kept, *rule.blanked]
        assert rule.rows_go or sorted(named) == sorted(table.c.keys()), table.name
        assert not (rule.rows_go and named), table.name
        for column, value in rule.blanked.items():
            assert value is not None or table.c[column].nullable, (table.name, column)
        if rule.changes:
            assert ("batch" if rule.by_batch else "run") in table.c, table.name
    assert set(PURGE_RULES) == set(schema.metadata.tables)


def test_no_byte_of_anybody_is_left(either: ImporterFixture) -> None:
    before = old_run(either)
    with either.context.open_store() as store, store.database.write() as connection:
        said = {"reply": "refused", "status": 400, "detail": "gus.secretive@sandbox-refused.com is not an address"}
        (batch,) = connection.execute(sa.select(schema.batches.c.id).limit(1)).scalars()
        connection.execute(
            schema.attempts.insert().values(batch=batch, number=99, started_at=1.0, ended_at=2.0, **said)
        )
    with either.context.open_store() as store, store.database.write() as connection:
        was = zlib.compress(b'[{"line": 2, "fields": {"first_name": "Anna Hiddenname"}}]')
        where = {"run": 1, "batch": batch, "origin": batch, "first_line": 2, "last_line": 2, "row_count": 1}
        connection.execute(schema.before_values.insert().values(block=was, **where))
    needles = pieces(either)
    there = leftovers(either, needles)
    tables = {"blocks.cells", "record_blocks.bodies", "issues.suggestion", "attempts.detail", "before_values.block"}
    assert tables <= set(there), "else nothing is shown by what follows"
    assert {"rejects.csv", "warnings.csv", "rejects-fixed.csv"} <= set(there)
    assert len({found for here in there.values() for found in here}) > len(WORDS)

    plan = pipeline.plan_purge(90 * DAY, context=either.context)
    assert [(one.run.id, one.run.rows, len(one.files) >= 3) for one in plan.due] == [(before.run, len(ROWS), True)]
    assert leftovers(either, needles).keys() == there.keys(), "looking changes nothing"
    purge(either.context)
    assert leftovers(either, needles) == {}
    assert purge(either.context).due == []


def test_the_report_still_ties_and_says_it_was_purged(desk: ImporterFixture) -> None:
    before = old_run(desk)
    purge(desk.context)
    after = pipeline.get_report(before.run, context=desk.context)
    assert after.tally == before.tally
    assert after.tally.ties
    assert [(group.code, group.column, group.count) for group in after.issues] == [
        (group.code, group.column, group.count) for group in before.issues
    ]
    assert after.consents == before.consents
    assert after.purged_at == desk.clock.now()
    assert "purged on 20" in render_text(after)
    assert "klaviyo-etl re" not in render_text(after), "nothing is proposed that needs the rows"
    folder = desk.folder / "runs" / before.run
    assert sorted(path.name for path in folder.iterdir()) == [
        "manifest.json",
        "report.html",
        "report.json",
        "report.txt",
    ]
    assert render_text(after) == (folder / "report.txt").read_text("utf-8")


def test_what_needs_the_rows_says_that_they_are_gone(desk: ImporterFixture) -> None:
    run = old_run(desk).run
    purge(desk.context)
    for verb in (
        lambda: pipeline.retry(run, context=desk.context),
        lambda: pipeline.retry(context=desk.context),
        lambda: pipeline.verify(run, context=desk.context),
        lambda: pipeline.resume(run, context=desk.context),
        lambda: pipeline.rejects(desk.folder / "again.csv", run, context=desk.context),
        lambda: pipeline.rejects(desk.folder / "again.csv", run, context=desk.context, warnings=True),
    ):
        with pytest.raises(EtlError) as refused:
            verb()
        assert refused.value.code == "run-purged"
        assert run in refused.value.message
    assert not (desk.folder / "again.csv").exists()


def test_what_is_known_stays(desk: ImporterFixture) -> None:
    """The same source again sends nobody anew, and says that nobody can be told to have vanished."""
    old_run(desk)
    purge(desk.context)
    desk.write(ROWS[:4], HEADER)
    report = desk.run()
    assert report.tally.unchanged == 4
    assert [note for note in report.notes if "vanished" in note and "was purged" in note]


def test_an_unfinished_run_stays_whole(desk: ImporterFixture) -> None:
    points = CrashPoints(deadly=frozenset({60}))
    desk.write(ROWS, HEADER)
    with pytest.raises(CrashError):
        pipeline.run(desk.source, desk.mapping, context=desk.process(points), verify="none")
    desk.clock.time += 100 * DAY
    plan = pipeline.plan_purge(90 * DAY, context=desk.context)
    (kept,) = plan.unfinished
    assert (plan.due, kept.rows) == ([], len(ROWS))
    assert purge(desk.context).due == []
    with desk.context.open_store() as store:
        assert left_in_tables(store, [b"ann.secretive"])
    report = pipeline.resume(context=desk.context)
    assert (report.run, report.status, report.tally.loaded) == (kept.id, RunStatus.FINISHED, 7)


def test_a_half_staged_run_goes(desk: ImporterFixture) -> None:
    """Nothing of it was sent, and no command goes on with it."""
    desk.write(ROWS, HEADER)
    with pytest.raises(CrashError):
        pipeline.run(desk.source, desk.mapping, context=desk.process(CrashPoints(deadly=frozenset({8}))))
    with desk.context.open_store() as store:
        (run,) = store.runs.newest(5)
        assert run.status is RunStatus.STAGING
    needles = pieces(desk)
    desk.source.unlink()
    desk.clock.time += 100 * DAY
    assert [one.run.half_staged for one in purge(desk.context).due] == [True]
    assert leftovers(desk, needles) == {}


def test_only_old_runs_go_and_each_once(desk: ImporterFixture) -> None:
    first = old_run(desk)
    desk.write(ROWS[:2], HEADER)
    second = desk.run()
    assert [one.run.id for one in purge(desk.context).due] == [first.run]
    assert pipeline.get_report(second.run, context=desk.context).purged_at is None
    desk.clock.time += 100 * DAY
    assert [one.run.id for one in purge(desk.context).due] == [second.run]


def test_a_check_is_purged_too(desk: ImporterFixture) -> None:
    desk.write(ROWS, HEADER)
    report = pipeline.check(desk.source, desk.mapping, context=desk.context)
    needles = pieces(desk)
    desk.source.unlink()
    desk.clock.time += 100 * DAY
    assert [one.run.id for one in purge(desk.context).due] == [report.run]
    assert leftovers(desk, needles) == {}


def test_a_folder_elsewhere_is_known(desk: ImporterFixture) -> None:
    run = old_run(desk).run
    elsewhere = desk.folder / "elsewhere"
    pipeline.get_report(run, context=desk.context, folder=elsewhere)
    assert left_in_files(elsewhere.rglob("*.csv"), NEEDLES)
    purge(desk.context)
    assert left_in_files([path for path in elsewhere.rglob("*") if path.is_file()], NEEDLES) == {}


def test_sums_of_orders_still_tie(desk: ImporterFixture) -> None:
    header = ("Order", "Email", "Date", "Total", "Currency", "Shop", "SKU", "Quantity")
    lines = [
        *(
            ("o1", "ann.secretive@mapleshop.com", "2024-05-01 10:00", total, "USD", "Lyon", "A", "1")
            for total in ("10.00", "0.50")
        ),
        ("o2", "bob.secretive@mapleshop.com", "2024-05-01 10:00", "7.25", "USD", "Lyon", "A", "1"),
        ("o3", "nobody", "2024-05-01 10:00", "3.00", "USD", "Lyon", "A", "1"),
    ]
    desk.write(lines, header)
    before = pipeline.events(desk.source, GROUPED, context=desk.context)
    desk.source.unlink()
    desk.clock.time += 100 * DAY
    purge(desk.context)
    assert leftovers(desk, [b"secretive"]) == {}
    after = pipeline.get_report(before.run, context=desk.context)
    assert (after.revenue, after.tally) == (before.revenue, before.tally)
    assert [(one.read, one.loaded) for one in after.revenue] == [("20.75", "17.75")]


def test_cut_short_anywhere_it_is_whole_once_repeated(either: ImporterFixture) -> None:
    """Nothing is half-purged for good: the report ties at each point, and the next purge ends what the last began."""
    points = CrashPoints()
    report = old_run(either)
    needles = pieces(either)
    purge(either.process(points))
    passed = points.passed
    assert passed >= 6
    for number in walk(passed, every=3)[: 1 if "postgres" in (either.state or "") else None]:
        either.clock.time += DAY
        either.write([row(f"{name}{number}", at) for at, name in enumerate(WORDS)], HEADER)
        run = either.run().run
        either.source.unlink()
        needles = [*pieces(either), *(f"{name}{number}.secretive".encode() for name in WORDS)]
        either.clock.time += 100 * DAY
        with pytest.raises(CrashError):
            purge(either.process(CrashPoints(deadly=frozenset({number}))))
        assert pipeline.get_report(run, context=either.context).tally.ties
        purge(either.context)
        assert leftovers(either, needles) == {}
        assert pipeline.get_report(run, context=either.context).tally.ties
    assert pipeline.get_report(report.run, context=either.context).tally == report.tally


def test_a_process_that_reads_is_waited_for_and_the_next_purge_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite cannot cut its log while another reads what was there before."""
    monkeypatch.setattr("etl.state.db.engine._BUSY_SECONDS", 0)
    desk = ImporterFixture(tmp_path, limits="off")
    desk.write(3)
    run = desk.run().run
    desk.clock.time += 100 * DAY
    with (
        Store.open(tmp_path / "state.db", clock=desk.clock, rng=random.Random(0)) as reader,
        reader.database.engine.connect() as connection,
    ):
        connection.exec_driver_sql("BEGIN")
        connection.execute(sa.select(schema.runs)).all()
        with pytest.raises(EtlError) as busy:
            purge(desk.context)
        assert busy.value.code == "state-busy"
        connection.exec_driver_sql("ROLLBACK")
    assert pipeline.get_report(run, context=desk.context).purged_at is not None
    assert [one.run.again for one in purge(desk.context).due] == [True]
    assert purge(desk.context).due == []


def kept(desk: ImporterFixture, keep: str) -> dict[str, Any]:
    return {**desk.mapping, "state": {"keep": keep}}


def test_keep_purges_after_each_run(desk: ImporterFixture) -> None:
    old = old_run(desk)
    heard: list[str] = []
    desk.context = desk.process(announce=heard.append)
    desk.write([("k9", "new@mapleshop.com", "", "", "", "", "")], HEADER)
    desk.mapping = kept(desk, "200d")
    desk.run()
    assert leftovers(desk, NEEDLES)
    desk.mapping = kept(desk, "90d")
    assert desk.run().purged_at is None
    assert leftovers(desk, NEEDLES) == {}
    assert [line for line in heard if "keep" in line] == [
        "[state] keep: the personal data of 1 run older than 90d is removed"
    ]
    assert pipeline.get_report(old.run, context=desk.context).purged_at is not None


def test_keep_of_the_user_s_settings_counts_where_the_mapping_has_none(
    desk: ImporterFixture, user_settings: Path
) -> None:
    old_run(desk)
    user_settings.mkdir(exist_ok=True)
    settings = user_settings / "settings.toml"
    settings.write_text('[state]\nkeep = "90d"\n', "utf-8")
    try:
        desk.write([("k9", "new@mapleshop.com", "", "", "", "", "")], HEADER)
        desk.run()
    finally:
        settings.unlink()
    with desk.context.open_store() as store:
        assert left_in_tables(store, NEEDLES) == {}


def test_a_length_that_is_none_is_refused(desk: ImporterFixture) -> None:
    desk.write(1)
    desk.mapping = kept(desk, "forever")
    with pytest.raises(EtlError, match=r"state\.keep: 'forever' is not a duration"):
        desk.run()
