"""Plan: what run would do, read from Klaviyo; nothing is written anywhere."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from etl import pipeline
from etl.cli import _main
from etl.errors import ConfigError, ExitCode, UsageError
from etl.sandbox import SANDBOX_KEY, SandboxServer, SandboxSettings
from tests.support.importer import ImporterFixture


def half_known(desk: ImporterFixture) -> None:
    """Klaviyo holds half of the customers, some with another name."""
    rows = [[f"c{number}", f"person{number}@mapleshop.com", "Ann"] for number in range(40)]
    desk.mapping["load"] = {"small_run": 0, "only_changed": True}
    desk.write([*(row for row in rows[:10]), *([one, two, "Old name"] for one, two, _ in rows[10:20])])
    assert desk.run().tally.loaded == 20
    desk.mapping["load"] = {"list": "News", "small_run": 0, "batch_rows": 10, "only_changed": True}
    desk.write([*rows, ["", "no address", "x"], rows[39]])


def test_the_plan_says_what_run_then_does(desk: ImporterFixture) -> None:
    half_known(desk)
    members_before = len(members(desk))
    profiles_before, writes_before = desk.profiles, desk.writes
    planned = pipeline.plan(desk.source, desk.mapping, context=desk.context)
    assert (planned.read, planned.rejected, planned.duplicate, planned.unchanged) == (42, 1, 1, 0)
    ahead = planned.foresight
    assert (ahead.create, ahead.update, ahead.same, planned.send) == (20, 10, 0, 40)
    assert ahead.fields == (("first_name", 10),)
    assert [count for _, count in planned.lists] == [40]
    assert dict(ahead.requests) == {"bulk import jobs": 3, "list additions": 1, "profile look-ups": 1}
    assert any("flows" in note for note in planned.notes)

    assert (desk.profiles, desk.writes) == (profiles_before, writes_before)
    with desk.context.open_store() as store:
        assert len(store.runs.newest()) == 1

    report = desk.run()
    assert desk.profiles == profiles_before + ahead.create
    assert report.tally.loaded == ahead.create + ahead.update
    assert report.tally.unchanged == planned.send - ahead.create - ahead.update
    assert (report.tally.rejected, report.tally.duplicate) == (planned.rejected, planned.duplicate)
    assert len(members(desk)) == members_before + planned.lists[0][1]
    assert {batch.kind: batch.settled for batch in report.batches} == {"bulk import jobs": 3, "list additions": 1}

    again = pipeline.plan(desk.source, desk.mapping, context=desk.context)
    assert (again.send, again.unchanged, again.foresight.requests) == (0, 40, ())


def members(desk: ImporterFixture) -> list[str]:
    lines = desk.sandbox.dump().splitlines()
    return [profile["email"] for profile in map(orjson.loads, lines) if "News" in profile["lists"]]


def test_a_list_that_run_would_make_is_said_and_not_made(desk: ImporterFixture) -> None:
    desk.write(3)
    desk.mapping["load"] |= {"list": "Brand new", "create_list": True}
    planned = pipeline.plan(desk.source, desk.mapping, context=desk.context)
    assert planned.missing_lists == ("Brand new",)
    assert desk.writes == 0
    desk.mapping["load"]["create_list"] = False
    with pytest.raises(ConfigError, match="no list 'Brand new'"):
        pipeline.plan(desk.source, desk.mapping, context=desk.context)


def test_run_shows_the_same_before_it_first_writes_to_an_account(desk: ImporterFixture, tmp_path: Path) -> None:
    half_known(desk)
    told: list[pipeline.Plan] = []
    # Another state: as far as this one knows, nothing was ever written to the account.
    fresh = replace(desk.context, settings=replace(desk.context.settings, state=str(tmp_path / "new.db")))
    planned = pipeline.plan(desk.source, desk.mapping, context=fresh)
    writes = desk.writes
    with pytest.raises(UsageError, match="Nothing was sent"):
        pipeline.run(
            desk.source,
            desk.mapping,
            context=replace(fresh, on_plan=told.append, confirm=lambda _question: False),
        )
    assert told == [planned]
    assert desk.writes == writes
    assert pipeline.run(desk.source, desk.mapping, context=fresh, verify="none").tally.loaded == planned.send


def test_the_least_time_follows_from_klaviyo_s_limits(desk: ImporterFixture) -> None:
    """A minute's window of 150 jobs, of which the first ten may go at once."""
    desk.write(1_600)
    desk.mapping["load"]["batch_rows"] = 10
    ahead = pipeline.plan(desk.source, desk.mapping, context=desk.context).foresight
    assert dict(ahead.requests) == {"bulk import jobs": 160}
    assert ahead.seconds == pytest.approx(60.0)


def test_the_command_prints_it_for_people_and_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with Path("people.csv").open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([["Email"], *([f"p{number}@mapleshop.com"] for number in range(3))])
    Path("people.toml").write_text('[columns]\n"Email" = "email"\n[guards]\nmin_rows = 5\n', encoding="utf-8")
    with SandboxServer(SandboxSettings()) as server:
        monkeypatch.setenv("KLAVIYO_BASE_URL", server.url)
        monkeypatch.setenv("KLAVIYO_PRIVATE_KEY", SANDBOX_KEY)
        assert _main(["plan", "people.csv"]) == ExitCode.GUARD
        said = capsys.readouterr().out
        assert "3  would be created" in said
        assert "min_rows is 5" in said
        assert _main(["plan", "people.csv", "--format", "json"]) == ExitCode.GUARD
        assert orjson.loads(capsys.readouterr().out)["foresight"]["create"] == 3
