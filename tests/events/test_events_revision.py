"""What a set revision does not know of events is refused by name, before anything is sent."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from etl import pipeline
from etl.errors import ConfigError
from etl.pipeline.single.profiles import InvalidProfileError
from tests.support.event_cases import codes, imported, order, outcomes, stored
from tests.support.importer import ImporterFixture

HEADER = ("Order", "Email", "Date", "Total", "Currency", "Shop")


@pytest.fixture
def desk(tmp_path: Path) -> ImporterFixture:
    return ImporterFixture(tmp_path)


def with_revision(desk: ImporterFixture, revision: str) -> None:
    desk.context = replace(desk.context, settings=replace(desk.context.settings, revision=revision))


@pytest.mark.parametrize("revision", ["2026-04-15", "2025-10-15", "2026-07-14"])
def test_backfill_is_refused_where_the_revision_does_not_know_it(desk: ImporterFixture, revision: str) -> None:
    desk.write([order(1)], HEADER)
    with_revision(desk, revision)
    with pytest.raises(ConfigError) as refused:
        imported(desk)
    assert refused.value.code == "revision-lacks"
    assert "backfill" in refused.value.message
    assert "2026-07-15" in refused.value.hint
    assert "--fire-flows" in refused.value.hint
    assert desk.writes == 0
    assert imported(desk, check=True).tally.pending == 1, "a look at the file needs no revision"


@pytest.mark.parametrize("revision", ["2026-07-15", "2026-07-15.pre", "2026-10-15"])
def test_backfill_is_sent_where_the_revision_knows_it(desk: ImporterFixture, revision: str) -> None:
    desk.write([order(1)], HEADER)
    with_revision(desk, revision)
    assert outcomes(imported(desk)) == {"loaded": 1}
    assert b"metric_flow" not in desk.sandbox.dump_messages()


def test_with_flows_an_older_revision_will_do_and_backfill_is_not_named(desk: ImporterFixture) -> None:
    desk.write([order(1)], HEADER)
    with_revision(desk, "2026-04-15")
    assert outcomes(imported(desk, fire_flows=True)) == {"loaded": 1}
    assert b"metric_flow" in desk.sandbox.dump_messages()


def test_a_run_is_not_resumed_with_a_revision_that_does_not_know_backfill(desk: ImporterFixture) -> None:
    desk.write([order(1)], HEADER)
    desk.faults({"fault": "error_json", "endpoint": "POST /api/event*", "status": 503})
    with pytest.raises(Exception, match="in a row"):
        imported(desk)
    desk.faults()
    with_revision(desk, "2026-04-15")
    with pytest.raises(ConfigError):
        pipeline.resume(context=desk.context)
    with_revision(desk, "2026-10-15")
    assert outcomes(pipeline.resume(context=desk.context)) == {"loaded": 1}


@pytest.mark.parametrize(
    ("revision", "year", "taken"),
    [
        ("2026-04-15", 1999, False),
        ("2026-04-15", 2000, True),
        ("2026-10-15", 1999, True),
        ("2026-10-15", 1990, True),
        ("2026-10-15", 1989, False),
    ],
)
def test_the_first_year_is_the_revisions(desk: ImporterFixture, revision: str, year: int, taken: bool) -> None:  # noqa: FBT001
    desk.write([order(1, day=f"{year}-06-01 10:00")], HEADER)
    with_revision(desk, revision)
    report = imported(desk, fire_flows=True)
    assert outcomes(report) == ({"loaded": 1} if taken else {"rejected": 1})
    assert ("event-time-out-of-range" in codes(report)) != taken
    fields = {"metric": "Visited", "profile": {"email": "ann@mapleshop.com"}, "time": f"{year}-06-01T10:00:00Z"}
    if taken:
        pipeline.track(fields, context=desk.context)
    else:
        with pytest.raises(InvalidProfileError):
            pipeline.track(fields, context=desk.context)
    desk.clock.time += 5.0
    assert len(stored(desk)) == (2 if taken else 0)
