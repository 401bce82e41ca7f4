"""Clocks that are wrong, or are put right meanwhile, and answers that ask for absurd waits: bounded, and said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from etl import pipeline
from etl.klaviyo import LONGEST_WAIT, Exchange
from etl.load import task
from etl.pipeline import SteadyClock
from etl.sandbox import Sandbox, SandboxSettings
from tests.support.http_stub import HttpStub, ok, problem
from tests.support.importer import ImporterFixture
from tests.support.in_process import CrashError, CrashPoints
from tests.support.state_backends import FakeClock

JOBS = "POST /api/profile-bulk-import-jobs"
HOUR = 3_600.0
DAY = 24 * HOUR


class RightClock(FakeClock):
    """Klaviyo's clock: as much has passed there, and it is never wrong."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock

    def now(self) -> float:
        return self._clock.time

    def monotonic(self) -> float:
        return self._clock.time


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[ImporterFixture]:
    at = ImporterFixture(tmp_path)
    at.sandbox.close()
    at.sandbox = Sandbox(SandboxSettings(lists=("News",), job_seconds=20.0), RightClock(at.clock))
    at.context = at.process()
    at.write(5)
    yield at
    at.sandbox.close()


def put_back_by_a_clock_ahead(desk: ImporterFixture, seconds: float) -> None:
    """Let a process whose clock is wrong put its batch back, and die."""
    desk.clock.wrong = seconds
    desk.faults({"fault": "throttle", "endpoint": JOBS, "times": 1})
    stop = {"now": False}

    def throttled(exchange: Exchange) -> None:
        stop["now"] = stop["now"] or exchange.status == 429

    pipeline.run(
        desk.source, desk.mapping, context=desk.process(on_exchange=throttled, should_stop=lambda: stop["now"])
    )
    desk.clock.wrong = 0.0
    desk.faults()


def test_a_batch_put_back_by_a_clock_two_days_ahead_waits_no_longer_than_any_answer_may_ask(
    desk: ImporterFixture,
) -> None:
    put_back_by_a_clock_ahead(desk, 2 * DAY)
    said: list[str] = []
    before = desk.clock.time
    report = pipeline.resume(context=desk.process(announce=said.append))
    assert report.tally.loaded == 5
    assert desk.clock.time - before < LONGEST_WAIT + 120
    assert [each for each in said if "Waiting 60 min" in each and "earlier process" in each], said


def test_negative_control_unbounded_it_waits_for_all_of_it(
    desk: ImporterFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task, "LONGEST_WAIT", 10 * DAY)
    put_back_by_a_clock_ahead(desk, 6 * HOUR)
    before = desk.clock.time
    assert pipeline.resume(context=desk.process()).tally.loaded == 5
    assert desk.clock.time - before > 5 * HOUR


@pytest.mark.parametrize("jump", [-HOUR, -3 * DAY, HOUR, 3 * DAY], ids=["back 1 h", "back 3 d", "on 1 h", "on 3 d"])
def test_a_clock_that_is_put_right_while_a_job_runs_changes_nothing(desk: ImporterFixture, jump: float) -> None:
    """Neither does the run stand still for an hour that comes twice, nor is its patience spent at once."""
    steady = SteadyClock(desk.clock)

    def put_right(_progress: object) -> None:
        if desk.sandbox.requests.get(JOBS, 0):
            desk.clock.wrong = jump

    before = desk.clock.time
    context = desk.process(progress=put_right)
    object.__setattr__(context, "clock", steady)
    report = pipeline.run(desk.source, desk.mapping, context=context, verify="none")
    assert desk.clock.wrong == jump
    assert report.tally.loaded == 5
    assert desk.sandbox.requests[JOBS] == 1
    assert desk.clock.time - before < 60


RETRY_AFTER = {
    "hours": ("7200", LONGEST_WAIT),
    "a century": ("3155760000", LONGEST_WAIT),
    "more digits than any number has": ("9" * 400, LONGEST_WAIT),
    "infinite": ("inf", LONGEST_WAIT),
    "beyond a float": ("1e999", LONGEST_WAIT),
    "not a number": ("nan", 60.0),
    "negative": ("-30", 60.0),
    "minus infinity": ("-inf", 60.0),
    "garbage": ("soon", 60.0),
    "empty": ("", 60.0),
    "with a unit": ("120s", 60.0),
    "a date by the server's clock": ("Fri, 15 Jan 2027 08:10:00 GMT", 301.0),
    "a date long ago": ("Mon, 01 Jan 1990 00:00:00 GMT", 60.0),
    "a date in a hundred years": ("Fri, 15 Jan 2127 08:00:00 GMT", LONGEST_WAIT),
    "a date that does not exist": ("Fri, 45 Jan 2027 08:10:00 GMT", 60.0),
}


@pytest.mark.parametrize(("text", "most"), RETRY_AFTER.values(), ids=RETRY_AFTER)
def test_whatever_an_answer_asks_for_is_bounded_and_said(text: str, most: float) -> None:
    """The answer's own date is 08:05:00; our clock is two days behind it, which must not lengthen the wait."""
    headers = {"Retry-After": text, "Date": "Fri, 15 Jan 2027 08:05:00 GMT"}
    wire = HttpStub(problem(429, **headers), ok([]))
    wire.clock.wrong = -2 * DAY
    said: list[str] = []
    with wire.client(on_wait=said.append) as client:
        list(client.profiles_by("id", ["A"]))
    waited = wire.times[1] - wire.times[0]
    assert waited <= most + 1
    assert bool(said) is (waited > 60)


def test_a_long_wait_while_loading_is_said_once_with_its_reason(desk: ImporterFixture) -> None:
    desk.faults({"fault": "throttle", "endpoint": JOBS, "times": 1, "retry_after": 600})
    said: list[str] = []
    report = pipeline.run(desk.source, desk.mapping, context=desk.process(announce=said.append), verify="none")
    assert report.tally.loaded == 5
    waits = [each for each in said if each.startswith("Waiting")]
    assert len(waits) == 1
    assert "10 min" in waits[0]


def test_what_was_sent_in_the_future_was_sent_now(desk: ImporterFixture) -> None:
    """A job whose request left by a clock two days ahead is found, and its patience is not two days longer."""
    desk.clock.wrong = 2 * DAY

    class Dies(CrashPoints):
        def reach(self, name: str) -> None:
            if name == f"after {JOBS}":
                raise CrashError(name)

    with pytest.raises(CrashError):
        pipeline.run(desk.source, desk.mapping, context=desk.process(points=Dies()))
    desk.clock.wrong = 0.0
    before = desk.clock.time
    assert pipeline.resume(context=desk.process()).tally.loaded == 5
    assert desk.sandbox.requests[JOBS] == 1
    assert desk.clock.time - before < HOUR


def test_the_steady_clock_follows_what_has_passed() -> None:
    clock = FakeClock()
    steady = SteadyClock(clock)
    start = steady.now()
    clock.wrong = -HOUR
    steady.sleep(5)
    assert steady.now() == start + 5
