"""Whole imports from databases: the same records from each, only what is new, nothing lost on the way."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from etl import pipeline
from etl.errors import ConfigError, ExitCode, GuardError, UsageError
from etl.model import RunStatus, Watermark
from etl.report import Report
from etl.state import Store
from tests.support.databases import ALL, SERVERS, Database, opened
from tests.support.effort import walk
from tests.support.importer import ImporterFixture
from tests.support.in_process import CrashError, CrashPoints
from tests.support.state_backends import OpenStore, begin

MOMENT = {"sqlite": "TEXT", "postgresql": "TIMESTAMPTZ", "mariadb": "TIMESTAMP(6) NULL", "duckdb": "TIMESTAMPTZ"}
ZONE = {"postgresql": "+00", "duckdb": "+00"}
START = {"since": "1970-01-02 00:00:00"}
QUERY = "SELECT id, email, name, moved FROM {t} WHERE moved > :since ORDER BY moved, id"


class Source:
    """A table of people, and imports of it into a sandbox."""

    def __init__(self, database: Database, desk: ImporterFixture) -> None:
        self.database = database
        self.desk = desk
        database.execute(f"CREATE TABLE {{t}} (id INTEGER, email TEXT, name TEXT, moved {MOMENT[database.kind]})")
        self.rule: dict[str, Any] = {
            "url": database.url,
            "query": QUERY.replace("{t}", database.table),
            "watermark": "moved",
            "parameters": START,
        }

    def put(self, number: int, minute: int, *, domain: str = "mapleshop.com", name: str = "Ann") -> None:
        at = f"'2026-03-01 10:{minute:02d}:00{ZONE.get(self.database.kind, '')}'"
        session = ["SET time_zone = '+00:00'"] if self.database.kind == "mariadb" else []
        self.database.execute(
            *session,
            f"DELETE FROM {{t}} WHERE id = {number}",
            f"INSERT INTO {{t}} VALUES ({number}, 'person{number}@{domain}', '{name}', {at})",
        )

    @property
    def mapping(self) -> dict[str, Any]:
        return {"source": self.rule, **self.desk.mapping, "columns": COLUMNS}

    def run(self, context: pipeline.Context | None = None, **options: Any) -> Report:
        return pipeline.run(None, self.mapping, context=context or self.desk.context, verify="none", **options)

    @property
    def mark(self) -> str | None:
        with self.desk.context.open_store() as store, store.database.read() as connection:
            return connection.execute(sa.text("SELECT value FROM watermarks")).scalar()


COLUMNS = {"id": "external_id", "email": "email", "name": "first_name"}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[ImporterFixture]:
    at = ImporterFixture(tmp_path)
    yield at
    at.sandbox.close()


@pytest.fixture(params=ALL)
def source(request: pytest.FixtureRequest, desk: ImporterFixture) -> Iterator[Source]:
    for database in opened(request.param, desk.folder):
        yield Source(database, desk)


@pytest.fixture
def small(desk: ImporterFixture) -> Source:
    (database,) = opened("sqlite", desk.folder)
    return Source(database, desk)


def test_each_run_reads_what_the_last_one_has_not_confirmed(source: Source) -> None:
    for number in range(5):
        source.put(number, number)
    assert source.run().tally.loaded == 5
    nothing = source.run()
    assert (nothing.tally.read, nothing.exit_code) == (0, ExitCode.OK)
    source.put(2, 30, name="Bea")
    source.put(9, 40)
    again = source.run()
    assert again.tally.loaded == again.tally.read == 2
    assert any(note.startswith("rows since moved 2026-03-01") for note in again.source_notes)
    assert source.desk.profiles == 6


def test_a_pilot_and_a_check_move_nothing(small: Source) -> None:
    for number in range(5):
        small.put(number, number)
    pipeline.check(None, small.mapping, context=small.desk.context)
    assert small.run(limit=2).tally.loaded == 2
    assert small.mark is None
    assert small.run().tally.read == 5
    assert small.mark == "2026-03-01 10:04:00"


def test_a_failed_row_holds_the_mark_until_it_is_put_right(small: Source) -> None:
    """With it the rows merged into it, which else would be lost."""
    small.put(1, 1)
    small.put(2, 2, domain="sandbox-failed.com")
    small.put(3, 3)
    first = small.run()
    assert (first.tally.loaded, first.tally.failed) == (2, 1)
    assert small.mark == "2026-03-01 10:01:59.999999"
    small.put(4, 4)
    assert small.run().tally.read == 3
    small.put(2, 5)
    assert small.run().tally.failed == 0
    assert small.mark == "2026-03-01 10:05:00"


def test_a_duplicate_of_a_failed_row_holds_the_mark_too(small: Source) -> None:
    small.put(1, 1)
    small.put(2, 2, domain="sandbox-failed.com")
    small.put(3, 9)
    small.database.execute(
        "INSERT INTO {t} VALUES (2, 'person2@sandbox-failed.com', 'Bea', '2026-03-01 10:08:00')",
    )
    small.run()
    assert small.mark == "2026-03-01 10:01:59.999999"


def test_rejected_rows_do_not_hold_it(small: Source) -> None:
    small.put(1, 1, domain="not a domain")
    small.database.execute("UPDATE {t} SET id = NULL")
    small.put(2, 2)
    assert small.run().tally.rejected == 1
    assert small.mark == "2026-03-01 10:02:00"


def test_late_rows_are_found_within_the_look_back_and_the_mark_stays(small: Source) -> None:
    small.put(1, 30)
    small.run()
    small.put(2, 20)
    assert small.run().tally.read == 0
    small.rule = {**small.rule, "lookback": "15m"}
    assert small.run().tally.read == 2
    assert small.mark == "2026-03-01 10:30:00"


def test_the_mark_belongs_to_the_query(small: Source) -> None:
    small.put(1, 1)
    small.run()
    small.rule = {**small.rule, "query": small.rule["query"] + " -- another"}
    assert small.run().tally.read == 1


def test_a_changed_mapping_is_announced(small: Source) -> None:
    small.put(1, 1)
    small.run()
    heard: list[str] = []
    context = small.desk.process(announce=heard.append)
    small.run(context)
    assert not [said for said in heard if "mapping has changed" in said]
    small.desk.mapping["defaults"] = {"country": "US"}
    small.run(context)
    assert [said for said in heard if "mapping has changed" in said]


def test_an_empty_source_is_still_refused_at_first_and_by_min_rows(small: Source) -> None:
    assert small.run().exit_code == ExitCode.GUARD
    small.put(1, 1)
    assert small.run().tally.loaded == 1
    assert small.run().exit_code == ExitCode.OK
    small.desk.guards(min_rows=1)
    assert small.run().exit_code == ExitCode.GUARD


def test_die_anywhere_and_the_mark_is_that_of_a_finished_run(
    desk: ImporterFixture, small: Source, tmp_path: Path
) -> None:
    """It stands only once every row is settled, and resume brings it there."""
    small.put(1, 1)
    small.put(2, 2)
    calm = CrashPoints()
    small.run(desk.process(points=calm))
    assert small.mark == "2026-03-01 10:02:00"
    for deadly in walk(calm.passed):
        folder = tmp_path / str(deadly)
        folder.mkdir()
        small.desk = ImporterFixture(folder)
        with pytest.raises(CrashError):
            small.run(small.desk.process(points=CrashPoints(frozenset({deadly}))))
        context = small.desk.process()
        with context.open_store() as store:
            left = store.runs.latest()
        status = left.status if left is not None else None
        finished = status is RunStatus.FINISHED
        assert small.mark == ("2026-03-01 10:02:00" if finished else None), calm.names[deadly - 1]
        if status in {RunStatus.STAGED, RunStatus.LOADING}:
            try:
                pipeline.resume(context=context)
            except UsageError:  # it died while it asked whether to send
                small.run(context)
        elif not finished:
            small.run(context)
        assert small.mark == "2026-03-01 10:02:00", calm.names[deadly - 1]
        small.desk.sandbox.close()


def test_an_abandoned_run_moves_nothing(small: Source) -> None:
    small.put(1, 1)
    with pytest.raises(CrashError):
        small.run(small.desk.process(points=CrashPoints(frozenset({12}))))
    small.put(2, 2)
    small.run(abandon=True)
    assert small.mark == "2026-03-01 10:02:00"
    with small.desk.context.open_store() as store:
        assert store.runs.latest([RunStatus.ABANDONED]) is not None


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"query": "SELECT id, email, name, moved FROM {t} ORDER BY id"}, "since-unused"),
        ({"parameters": {}}, "since-start"),
        ({"parameters": {**START, "other": 1}}, "parameter-unused"),
        ({"query": QUERY + " LIMIT :most"}, "parameter-missing"),
        ({"watermark": "touched"}, "watermark-missing"),
    ],
)
def test_a_rule_that_does_not_fit_the_query_is_said(small: Source, change: dict[str, Any], code: str) -> None:
    filled = {name: value.replace("{t}", small.database.table) for name, value in change.items() if name == "query"}
    small.rule = {**small.rule, **change, **filled}
    with pytest.raises(ConfigError) as caught:
        small.run()
    assert caught.value.code == code
    assert caught.value.exit_code == ExitCode.USAGE


def test_marks_are_kept_by_account(store: Store) -> None:
    for account, value in (("AbC123", "5"), ("XyZ789", "9")):
        store.watermarks.finish_run(begin(store, account=account), "q", Watermark("integer", value))
    found = store.watermarks.get("AbC123", "q")
    assert found is not None
    assert found.watermark == Watermark("integer", "5")
    assert store.watermarks.get("AbC123", "another") is None
    assert store.watermarks.get("Nobody", "q") is None
    store.watermarks.finish_run(begin(store), "q", Watermark("integer", "11"))
    last = store.watermarks.get(None, "q")
    assert last is not None
    assert last.watermark.value == "11"


def test_a_state_from_before_watermarks_gains_their_table(open_store: OpenStore) -> None:
    with open_store() as store, store.database.write() as connection:
        connection.execute(sa.text("DROP TABLE watermarks"))
        connection.execute(sa.text("DELETE FROM migrations WHERE number > 1"))
    with open_store() as again:
        assert again.watermarks.get(None, "q") is None


def test_no_password_reaches_state_report_or_manifest(desk: ImporterFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server trusts everybody here; what counts is that the secret was given, and where it went."""
    for database in opened("postgresql", desk.folder):
        source = Source(database, desk)
        source.put(1, 1)
        url = sa.make_url(SERVERS["postgresql"])
        (desk.folder / ".env").write_text("CRM_PASSWORD='s3same open'\n", encoding="utf-8")
        monkeypatch.chdir(desk.folder)
        source.rule["url"] = f"{url.drivername}://{url.username}:${{CRM_PASSWORD}}@{url.host}/{url.database}"
        source.rule["variables"] = ["CRM_PASSWORD"]
        assert source.run().tally.loaded == 1
        files = [path for path in desk.folder.rglob("*") if path.is_file() and path.name != ".env"]
        assert len(files) > 4
        assert not [path for path in files if b"s3same" in path.read_bytes()]
        assert [path for path in files if b"CRM_PASSWORD" in path.read_bytes()]


def test_paths_in_a_mapping_start_from_its_folder(small: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    small.put(1, 1)
    folder = small.desk.folder
    (folder / "q.sql").write_text(f"SELECT id, email FROM {small.database.table} ORDER BY id", encoding="utf-8")
    text = f'[source]\nurl = "sqlite:///{small.database.table}.db"\nquery_file = "q.sql"\n[columns]\nemail = "email"\n'
    (folder / "crm.toml").write_text(text, encoding="utf-8")
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    report = pipeline.check(None, folder / "crm.toml", context=small.desk.context)
    assert report.tally.read == 1
    assert "#q-" in report.source


def test_a_file_on_the_command_line_wins_over_the_query(small: Source) -> None:
    """So that a rejects file can be run with the mapping that made it."""
    small.desk.write(3, header=("id", "email", "name"))
    report = pipeline.run(small.desk.source, small.mapping, context=small.desk.context, verify="none")
    assert report.tally.loaded == 3
    assert small.mark is None


def test_another_account_expected_sends_nothing(small: Source) -> None:
    small.put(1, 1)
    small.desk.guards(expect_account="Zz9999")
    with pytest.raises(GuardError):
        small.run()
    assert small.mark is None


TYPED = {
    "sqlite": "id INTEGER, email TEXT, name TEXT, spent TEXT, vip INTEGER, joined TEXT",
    "postgresql": "id INTEGER, email TEXT, name TEXT, spent NUMERIC(10,2), vip BOOLEAN, joined TIMESTAMP",
    "mariadb": "id INTEGER, email TEXT, name TEXT, spent DECIMAL(10,2), vip BOOLEAN, joined DATETIME",
    "duckdb": "id INTEGER, email TEXT, name TEXT, spent DECIMAL(10,2), vip BOOLEAN, joined TIMESTAMP",
}
TYPED_COLUMNS = {
    "id": "external_id",
    "email": "email",
    "name": "first_name",
    "spent": {"to": "$value", "type": "money"},
    "vip": {"to": "properties.vip", "type": "boolean"},
    "joined": {"to": "properties.joined", "type": "datetime", "timezone": "America/New_York"},
}


def bodies(desk: ImporterFixture) -> list[bytes]:
    with desk.context.open_store() as store:
        newest = store.runs.newest(1)[0].id
        return store.records.bodies(newest, [line for line, _, _ in store.rows.outcomes(newest)])


@pytest.mark.parametrize("kind", ALL)
def test_a_table_gives_the_records_that_its_export_gives(kind: str, desk: ImporterFixture) -> None:
    rows = [
        {
            "id": number,
            "email": f"person{number}@mapleshop.com",
            "name": None if number % 5 == 0 else f"Zoë {number}",
            "spent": f"{number}.50",
            "vip": number % 2 == 0,
            "joined": f"2026-03-{number % 28 + 1:02d} 10:{number % 60:02d}:00",
        }
        for number in range(500)
    ]
    with desk.source.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "vip": str(row["vip"]).lower()} for row in rows)
    pipeline.check(desk.source, {"columns": TYPED_COLUMNS}, context=desk.context)
    expected = bodies(desk)
    for database in opened(kind, desk.folder):
        database.execute(f"CREATE TABLE {{t}} ({TYPED[kind]})")
        database.execute("INSERT INTO {t} VALUES (:id, :email, :name, :spent, :vip, :joined)", rows=rows)
        query = f"SELECT * FROM {database.table} ORDER BY id"
        mapping = {"source": {"url": database.url, "query": query}, "columns": TYPED_COLUMNS}
        assert pipeline.check(None, mapping, context=desk.context).tally.read == 500
        assert bodies(desk) == expected
    assert len(expected) == 500
