"""Promise 4: what Klaviyo has is what was sent, or the report says where it is not."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from etl import pipeline
from etl.errors import ExitCode, UsageError
from etl.report import Report, render_html, render_text
from etl.sandbox import Response, Sandbox, SandboxSettings
from tests.support.in_process import context
from tests.support.state_backends import FakeClock

MAPPING: dict[str, Any] = {
    "columns": {
        "Id": "external_id",
        "Email": "email",
        "Phone": "phone_number",
        "City": "location.city",
        "VIP": {"to": "properties.vip", "type": "boolean"},
        "Spent": {"to": "$value", "type": "money"},
        "Joined": {"to": "properties.joined", "type": "datetime", "timezone": "America/New_York"},
        "Segment": "list",
    },
    "load": {"list": "News", "remove_from_list": "Old", "small_run": 0},
}


class ImporterFixture:
    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.sandbox = Sandbox(SandboxSettings(lists=("News", "VIP", "Old")), self.clock)
        self.context = context(folder, self.sandbox, self.clock)
        self.source = folder / "people.csv"

    def write(self, count: int, **changed: dict[int, str]) -> None:
        with self.source.open("w", encoding="utf-8", newline="") as out:
            writer = csv.DictWriter(out, [*MAPPING["columns"]])
            writer.writeheader()
            for number in range(count):
                row = {
                    "Id": f"c{number}",
                    "Email": f"Person{number}@MapleShop.com",
                    "Phone": f"+1212736{5000 + number}" if number % 2 else "",
                    "City": "Zürich",
                    "VIP": "yes",
                    "Spent": "$1,234.50",
                    "Joined": "2025-03-09 12:00:00",
                    "Segment": "VIP" if number % 3 == 0 else "",
                }
                writer.writerow({**row, **{name: cells[number] for name, cells in changed.items() if number in cells}})

    def run(self, **options: Any) -> Report:
        return pipeline.run(self.source, MAPPING, context=self.context, **options)

    def plant(self, statement: str, *values: object) -> None:
        assert self.sandbox.store.connection.execute(statement, values).rowcount == 1


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[ImporterFixture]:
    at = ImporterFixture(tmp_path)
    yield at
    at.sandbox.close()


def seen(report: Report) -> dict[str, tuple[int, tuple[str, ...], tuple[int, ...]]]:
    return {one.verdict: (one.count, tuple(name for name, _ in one.fields), one.lines) for one in report.observed}


def test_what_was_sent_is_confirmed(desk: ImporterFixture) -> None:
    """Case of e-mails, zones of moments, and numbers with a trailing zero are no differences."""
    desk.write(30)
    report = desk.run(verify="full")
    assert seen(report) == {"confirmed": (30, (), (2, 3, 4, 5, 6))}
    assert report.exit_code == ExitCode.OK


def test_planted_differences_are_found_each_with_its_field(desk: ImporterFixture) -> None:
    desk.write(30)
    assert desk.run(verify="none").observed == ()
    at = {f"Person{number}@mapleshop.com": number for number in range(30)}
    profiles = {
        at[row["email"]]: (row["seq"], orjson.loads(row["attributes"]))
        for row in desk.sandbox.store.connection.execute("SELECT * FROM profiles")
    }
    desk.plant("UPDATE profiles SET phone_number = NULL WHERE seq = ?", profiles[1][0])
    attributes = profiles[2][1]
    attributes["properties"]["vip"] = "true"
    desk.plant("UPDATE profiles SET attributes = ? WHERE seq = ?", orjson.dumps(attributes), profiles[2][0])
    attributes = profiles[4][1]
    attributes["location"]["city"] = "Basel"
    attributes["properties"]["$value"] = 1234.49
    desk.plant("UPDATE profiles SET attributes = ? WHERE seq = ?", orjson.dumps(attributes), profiles[4][0])
    news = desk.sandbox.store.connection.execute("SELECT id FROM lists WHERE name = 'News'").fetchone()[0]
    old = desk.sandbox.store.connection.execute("SELECT id FROM lists WHERE name = 'Old'").fetchone()[0]
    desk.plant("DELETE FROM members WHERE list_id = ? AND profile = ?", news, profiles[5][0])
    desk.plant("DELETE FROM profiles WHERE seq = ?", profiles[7][0])
    desk.plant("INSERT INTO members VALUES (?, ?, 0)", old, profiles[8][0])

    report = pipeline.verify(context=desk.context)
    differing = (f"list {news}", "location.city", f"not list {old}", "properties.$value", "properties.vip")
    assert seen(report) == {
        "confirmed": (24, (), (2, 5, 8, 11, 12)),
        "differs": (4, differing, (4, 6, 7, 10)),
        "phone_dropped": (1, ("phone_number",), (3,)),
        "missing": (1, (), (9,)),
    }
    assert report.differences == 6
    assert report.exit_code == ExitCode.ROWS_NOT_LOADED
    assert "phone dropped" in render_text(report)
    assert "phone dropped" in render_html(report)


def test_a_sample_includes_rows_with_phones_and_is_the_same_each_time(desk: ImporterFixture) -> None:
    desk.write(1_200)
    report = desk.run(verify="sample")
    assert seen(report)["confirmed"][0] == 400
    with desk.context.open_store() as store:
        lines = [one.line for one in store.observations.all(report.run)]
        assert lines == store.rows.loaded_lines(report.run, 400)
    # Odd numbers have a phone; number n stands on line n + 2.
    assert sum(line % 2 for line in lines) == 200
    assert max(lines) > 1_190


def test_a_late_reader_gets_another_look(desk: ImporterFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Klaviyo shows a write a moment after it confirmed it: that is no difference."""
    desk.write(10)
    hidden = 2
    answer = desk.sandbox.handle

    def late(request: Any) -> Any:
        nonlocal hidden
        if request.path == "/api/profiles" and hidden:
            hidden -= 1
            empty = orjson.dumps({"data": [], "links": {"next": None}})
            return Response(200, empty, {"content-type": "application/vnd.api+json"})
        return answer(request)

    monkeypatch.setattr(desk.sandbox, "handle", late)
    mapping = {**MAPPING, "columns": {"Email": "email"}, "load": {"small_run": 0}}
    report = pipeline.run(desk.source, mapping, context=desk.context)
    assert seen(report)["confirmed"][0] == 10


def test_retry_sends_what_failed_and_names_its_parent(desk: ImporterFixture) -> None:
    desk.write(
        20,
        Email={3: "a@sandbox-refused.com", 4: "b@sandbox-failed.com", 5: "not an address"},
        Id={5: ""},
        Phone={5: ""},
    )
    first = desk.run()
    assert (first.tally.loaded, first.tally.failed, first.tally.rejected) == (17, 2, 1)
    again = pipeline.retry(context=desk.context)
    assert again.parent == first.run
    assert (again.tally.read, again.tally.loaded, again.tally.failed) == (2, 0, 2)
    assert {group.lines for group in again.issues} == {(5,), (6,)}
    desk.write(3)
    with pytest.raises(UsageError, match="no failed and no unknown"):
        pipeline.retry(desk.run().run, context=desk.context)


def test_what_a_fault_of_klaviyo_failed_is_loaded_by_retry(desk: ImporterFixture) -> None:
    """A list that is gone fails its rows; once it is there again, retry brings them home."""
    desk.write(6)
    store = desk.sandbox.store.connection
    vip = store.execute("SELECT * FROM lists WHERE name = 'VIP'").fetchone()
    answer = desk.sandbox.handle

    def gone(request: Any) -> Any:
        if request.method == "POST" and request.path.startswith(f"/api/lists/{vip['id']}"):
            store.execute("DELETE FROM lists WHERE id = ?", (vip["id"],))
        return answer(request)

    desk.sandbox.handle = gone  # type: ignore[method-assign]
    first = desk.run(verify="none")
    assert (first.tally.loaded, first.tally.failed) == (4, 2)
    assert {group.code for group in first.issues} == {"list-add-failed"}
    desk.sandbox.handle = answer  # type: ignore[method-assign]
    names = ", ".join(vip.keys())
    marks = ", ".join("?" * len(vip.keys()))
    store.execute(f"INSERT INTO lists ({names}) VALUES ({marks})", tuple(vip))
    again = pipeline.retry(context=desk.context)
    assert (again.tally.read, again.tally.loaded) == (2, 2)
    assert pipeline.verify(again.run, context=desk.context).differences == 0


def test_a_rejects_file_is_linked_to_the_run_it_came_from(desk: ImporterFixture) -> None:
    desk.write(5, Email={2: "bad address"}, Id={2: ""}, Phone={2: ""})
    first = desk.run()
    rejects = desk.context.output / first.run / "rejects.csv"
    fixed = rejects.read_text(encoding="utf-8-sig").replace("bad address", "good@mapleshop.com")
    desk.source.write_text(fixed, encoding="utf-8")
    second = desk.run()
    assert second.parent == first.run
    assert (second.tally.read, second.tally.loaded) == (1, 1)
