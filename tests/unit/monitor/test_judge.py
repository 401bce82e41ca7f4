"""The condition of a source: from what is known of it, by arithmetic alone."""

from __future__ import annotations

import pytest

from docs.error_codes import error_codes
from etl.config.durations import seconds_of
from etl.errors import GUARD_CODES, ExitCode
from etl.monitor.judge import Facts, family, judge, root_of
from etl.monitor.model import Condition, LastRun, Problem
from etl.monitor.text import ago

HOUR = 3_600.0


def run(status: str = "finished", at: float = 0.0, objection: str = "", **rows: int) -> LastRun:
    return LastRun("r", "run", status, at, at + 60 if status in {"finished", "refused"} else None, rows, objection)


def problem(at: float, code: str = "key-refused") -> Problem:
    return Problem(code, "Klaviyo refuses the key", "", at)


@pytest.mark.parametrize(
    ("facts", "condition", "since"),
    [
        (Facts(run(loaded=5)), Condition.WELL, 60),
        (Facts(run(loaded=5, unchanged=3, duplicate=2)), Condition.WELL, 60),
        (Facts(run(loaded=5, rejected=1)), Condition.PARTLY, 60),
        (Facts(run(loaded=5), differing=1), Condition.PARTLY, 60),
        (Facts(run("refused")), Condition.GUARD, 60),
        (Facts(run(loaded=5, objection="no")), Condition.GUARD, 60),
        (Facts(run("loading"), at_work=True), Condition.RUNNING, 0),
        (Facts(run("loading")), Condition.UNFINISHED, 0),
        (Facts(run("staging")), Condition.UNFINISHED, 0),
        (Facts(run(loaded=5), at_work=True), Condition.WELL, 60),
        (Facts(run(loaded=5), problem=problem(HOUR)), Condition.FAILED, HOUR),
        (Facts(run("loading"), problem=problem(HOUR)), Condition.UNFINISHED, HOUR),
        (Facts(run(at=2 * HOUR, loaded=5), problem=problem(HOUR)), Condition.WELL, 2 * HOUR + 60),
        (Facts(None, problem=problem(HOUR)), Condition.FAILED, HOUR),
        (Facts(None, problem=problem(HOUR, "account-unexpected")), Condition.GUARD, HOUR),
        (Facts(run(loaded=5), problem=problem(HOUR, "header-doubtful")), Condition.GUARD, HOUR),
        (Facts(run("loading"), problem=problem(HOUR, "account-unexpected")), Condition.UNFINISHED, HOUR),
        (Facts(run(loaded=5), success_at=60, max_age=9 * HOUR), Condition.OVERDUE, 9 * HOUR + 60),
        (Facts(run(loaded=5), success_at=60, max_age=10 * HOUR), Condition.WELL, 60),
        (Facts(run(loaded=1, failed=1), success_at=60, max_age=HOUR), Condition.OVERDUE, HOUR + 60),
        (Facts(run("refused"), success_at=None, first_at=0, max_age=HOUR), Condition.GUARD, 60),
    ],
)
def test_a_condition_and_since_when(facts: Facts, condition: Condition, since: float) -> None:
    assert judge(facts, 10 * HOUR) == (condition, since)


def test_the_codes_of_guards_are_those_that_guards_have() -> None:
    """State keeps an error by its code: the table of guards must not fall behind what is raised."""
    assert {one.code for one in error_codes() if one.exit == ExitCode.GUARD} == GUARD_CODES


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("people.csv", "people.csv"),
        ("orders-2.csv", "orders-2.csv"),
        ("orders-2026-11-28.csv", "orders-*.csv"),
        ("orders_20261128.csv.gz", "orders_*.csv.gz"),
        ("orders-2026-11.csv", "orders-*.csv"),
        ("export 2026-11-28T02-00-05Z.csv", "export *.csv"),
        ("export-20261128-0200.csv", "export-*.csv"),
        ("s3://bucket/2026/11/28/people.csv", "s3://bucket/2026/11/28/people.csv"),
        ("branch-12345678.csv", "branch-12345678.csv"),
        ("top1000-2026.csv", "top1000-2026.csv"),
        ("exports/*.csv", "exports/*.csv"),
    ],
)
def test_files_of_one_nightly_export_have_one_name(name: str, expected: str) -> None:
    assert family(name) == expected
    assert family(expected) == expected


def test_a_repair_of_a_repair_is_of_the_first_run() -> None:
    parents: dict[str, str | None] = {"a": None, "b": "a", "c": "b", "lost": "gone", "x": "y", "y": "x"}
    assert [root_of(run, parents) for run in ("a", "b", "c", "lost")] == ["a", "a", "a", "lost"]
    assert root_of("x", parents) in {"x", "y"}


@pytest.mark.parametrize(("text", "seconds"), [("26h", 93_600), ("90m", 5_400), (" 7 d ", 604_800), ("1.5h", 5_400)])
def test_lengths_of_time_as_people_write_them(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "26", "0h", "-1h", "h", "26 hours", "1e9d", "٣h"])
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        seconds_of(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.9, "59 s"), (61, "1 min"), (3_700, "1 h 1 min"), (40_000, "11 h"), (200_000, "2 days")],
)
def test_an_age_in_the_units_that_say_something(seconds: float, text: str) -> None:
    assert ago(seconds) == text
