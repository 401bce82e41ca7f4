"""The two promises about consent that matter most, under every order of events and every moment of dying.

Nobody who opted out is subscribed; and a process that dies anywhere leaves nothing that its resume does not finish.
"""

from __future__ import annotations

import json
import random
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from etl import pipeline
from etl.errors import EtlError
from etl.model import Channel, ConsentResult
from etl.report import Report
from etl.state import OptOutEvent, OptOutKind
from tests.consent.test_consent_run import COLUMNS, HEADER, person
from tests.support.effort import examples, walk
from tests.support.importer import ImporterFixture
from tests.support.in_process import CrashError, CrashPoints, NetworkFaults

PEOPLE = 2
WORDS = ("subscribed", "subscribed", "unsubscribed", "cleaned", "no", "")


def make_desk(folder: Path, **settings: Any) -> ImporterFixture:
    desk = ImporterFixture(folder, processing_seconds=0.5, **settings)
    desk.mapping = {"columns": COLUMNS, "load": {"list": "News", "small_run": 0, "batch_rows": 3}}
    return desk


# --- who opted out stays out ------------------------------------------------------------------------------------------


def opted_out(desk: ImporterFixture) -> set[str]:
    """Ids of people that Klaviyo itself says have opted out or are suppressed."""
    found = set()
    for line in filter(None, desk.sandbox.dump_consents().splitlines()):
        said = json.loads(line)
        if said["channel"] == "email.marketing" and said["consent"] == "UNSUBSCRIBED":
            found.add(said["external_id"])
    for line in filter(None, desk.sandbox.dump_suppressions().splitlines()):
        found.add(json.loads(line)["external_id"])
    return found


def subscribed(desk: ImporterFixture) -> set[str]:
    lines = filter(None, desk.sandbox.dump_consents().splitlines())
    return {
        said["external_id"]
        for said in map(json.loads, lines)
        if said["channel"] == "email.marketing" and said["consent"] == "SUBSCRIBED"
    }


STEPS = st.one_of(
    st.tuples(st.just("import"), st.lists(st.sampled_from(WORDS), min_size=PEOPLE, max_size=PEOPLE)),
    st.tuples(st.just("leave"), st.integers(0, PEOPLE - 1)),
    st.tuples(st.just("webhook"), st.integers(0, PEOPLE - 1)),
    st.tuples(st.just("suppress"), st.integers(0, PEOPLE - 1)),
)


@settings(max_examples=examples(5), deadline=None)
@given(st.lists(STEPS, min_size=3, max_size=6))
@example([("import", ["no", ""]), ("webhook", 0), ("import", ["subscribed", "subscribed"])])
@example([("import", ["no", ""]), ("leave", 1), ("import", ["subscribed", "subscribed"])])
@example([("import", ["no", ""]), ("suppress", 1), ("webhook", 0), ("import", ["subscribed", "subscribed"])])
def test_nobody_who_opted_out_is_ever_subscribed(steps: list[tuple[str, Any]]) -> None:
    """In Klaviyo, by webhook or in the source: whatever came first, whatever comes after."""
    with tempfile.TemporaryDirectory() as folder:
        desk = make_desk(Path(folder))
        out: set[str] = set()
        there = False
        for number, (what, about) in enumerate(steps):
            if what == "import":
                desk.write([person(each, word) for each, word in enumerate(about)], HEADER)
                before = subscribed(desk) if there else set()
                desk.run()
                there = True
                newly = subscribed(desk) - before
                assert not newly & out, "somebody who had opted out was subscribed"
                out |= {f"c{each}" for each, word in enumerate(about) if word in {"unsubscribed", "cleaned"}}
            elif there and what == "leave":
                desk.sandbox.simulate("unsubscribe", email=f"person{about}@mapleshop.com")
                out.add(f"c{about}")
            elif there and what == "suppress":
                desk.sandbox.simulate("bounce", email=f"person{about}@mapleshop.com")
                out.add(f"c{about}")
            elif there and what == "webhook":
                with desk.context.open_store() as store:
                    told = OptOutEvent(
                        f"e{number}", "t", OptOutKind.UNSUBSCRIBED, Channel.EMAIL,
                        f"person{about}@mapleshop.com", None, None, desk.clock.now(), desk.clock.now(),
                    )  # fmt: skip
                    store.opt_outs.append(store.runs.newest(1)[0].account or "", [told])
                out.add(f"c{about}")


# --- dying anywhere ---------------------------------------------------------------------------------------------------

ROWS = [
    person(0, "subscribed", "yes"),
    person(1, "unsubscribed"),
    person(2, "cleaned", "unsubscribed"),
    person(3, "no"),
    person(4, "yes"),
    person(5, "subscribed"),  # opted out in Klaviyo since
    person(6, "unsubscribed", "yes"),
]


@dataclass(frozen=True)
class Result:
    tally: Any
    issues: tuple[Any, ...]
    consents: Any
    account: bytes
    given: bytes
    suppressed: bytes
    messages: bytes


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """A folder in which everything is ready for the import that dies, and what its clock says."""
    folder = tmp_path_factory.mktemp("template")
    desk = make_desk(folder, path=folder / "sandbox.db")
    desk.write([person(5, "subscribed")], HEADER)
    desk.run()
    desk.sandbox.simulate("unsubscribe", email="person5@mapleshop.com")
    desk.write(ROWS, HEADER)
    desk.sandbox.close()
    return folder, desk.clock.time


def prepared(folder: Path, template: tuple[Path, float]) -> ImporterFixture:
    """Return a copy of the template in a folder that is not there yet."""
    shutil.copytree(template[0], folder)
    desk = make_desk(folder, path=folder / "sandbox.db")
    desk.clock.time = template[1]
    return desk


def result(desk: ImporterFixture, report: Report) -> Result:
    with desk.context.open_store() as store:
        counts = store.consents.counts(report.run)
    # What is "already" so after a crash may be the work of the process that died.
    so = {ConsentResult.ALREADY, ConsentResult.CONFIRMED}
    consents = Counter[Any]()
    for count in counts:
        consents[count.channel, count.wish, "so" if count.result in so else count.result] += count.count
    issues = tuple((group.code, group.column, group.count, group.lines) for group in report.issues)
    # When something was suppressed or unsubscribed is the moment of the request: it moves with the disturbance.
    return Result(
        report.tally,
        issues,
        consents,
        desk.sandbox.dump(),
        _timeless(desk.sandbox.dump_consents()),
        _timeless(desk.sandbox.dump_suppressions()),
        desk.sandbox.dump_messages(),
    )


def _timeless(dump: bytes) -> bytes:
    lines = []
    for line in filter(None, dump.splitlines()):
        said = json.loads(line)
        said.pop("timestamp", None)
        if said.get("consent") != "SUBSCRIBED":
            said.pop("at", None)
        lines.append(json.dumps(said, sort_keys=True))
    return "\n".join(sorted(lines)).encode()


def finish(desk: ImporterFixture, report: Report | None) -> Report:
    for _ in range(6):
        if report is not None and report.complete:
            return report
        desk.clock.time += 1.0
        try:
            report = pipeline.resume(context=desk.process())
        except EtlError as error:
            if error.code != "nothing-to-resume":
                raise
            with desk.context.open_store() as store:
                newest = store.runs.newest(1)[0]
            if newest.finished_at is None or newest.details.records_read != len(ROWS):
                desk.context = desk.process()
                report = desk.run()
            else:
                report = pipeline.get_report(newest.id, context=desk.context)
    raise AssertionError("the run does not come to its end")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, template: tuple[Path, float]) -> tuple[Result, int]:
    desk = prepared(tmp_path_factory.mktemp("undisturbed") / "desk", template)
    points = CrashPoints()
    desk.context = desk.process(points)
    report = desk.run()
    assert {name: count for name, count in report.tally.parts if count} == {"loaded": len(ROWS)}
    assert [group.code for group in report.issues] == ["consent-withheld"]
    return result(desk, report), points.passed


SHARES = 4


@pytest.mark.slow
@pytest.mark.parametrize("share", range(SHARES))
def test_dying_anywhere_and_resuming_gives_the_same(
    tmp_path: Path, template: tuple[Path, float], undisturbed: tuple[Result, int], share: int
) -> None:
    expected, passed = undisturbed
    assert passed > 60, "commits and requests"
    for moment in walk(passed, part=share, parts=SHARES):
        desk = prepared(tmp_path / str(moment), template)
        desk.context = desk.process(CrashPoints(frozenset({moment})))
        report = None
        with pytest.raises(CrashError):
            report = desk.run()
        desk.context = desk.process()
        assert result(desk, finish(desk, report)) == expected, f"died at {moment}"
        desk.sandbox.close()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(examples(4)))
def test_bad_weather_changes_nothing_but_the_time(
    tmp_path: Path, template: tuple[Path, float], undisturbed: tuple[Result, int], seed: int
) -> None:
    expected, _ = undisturbed
    desk = prepared(tmp_path / "desk", template)
    chance = random.Random(seed)
    report: Report | None = None
    desk.context = desk.process(network_faults=NetworkFaults(seed, 0.05 + chance.random() / 10))
    try:
        report = desk.run()
    except EtlError:
        report = None
    desk.context = desk.process()
    assert result(desk, finish(desk, report)) == expected
