"""Write rules that look first, under promise 3: dying anywhere, and lost answers, leave Klaviyo as a calm run does.

The account has profiles from before, edited by hand since; rows go in bulk and one by one, some patch lists. An item
that was added twice, or a value that was written over, would show in the account's content.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etl import pipeline
from etl.load.profiles.preflight import PreflightReader
from etl.model import Batch
from tests.support.crash_scenario import CrashScenario, Result, restored
from tests.support.effort import examples, walk
from tests.support.in_process import CrashPoints, NetworkFaults, context

COLUMNS: dict[str, Any] = {
    "Email": "email",
    "Phone": "phone_number",
    "Plan": {"to": "properties.plan", "write": "only_if_existing_blank"},
    "City": {"to": "location.city", "write": "only_if_existing_blank"},
    "Tags": {"to": "properties.tags", "type": "list", "separator": ";", "write": "append"},
    "Gone": {"to": "properties.groups", "type": "list", "separator": ";", "write": "remove"},
    "Name": "first_name",
}
HEADER = ("Email", "Phone", "Plan", "City", "Tags", "Gone", "Name")
BEFORE_COLUMNS: dict[str, Any] = {
    **COLUMNS,
    "Plan": "properties.plan",
    "City": "location.city",
    "Tags": {"to": "properties.tags", "type": "list", "separator": ";"},
    "Gone": {"to": "properties.groups", "type": "list", "separator": ";"},
}
BEFORE = (
    ("ann@mapleshop.com", "", "pro", "", "a;b", "x;y;x", "Old"),
    ("bob@mapleshop.com", "+12127365002", "", "Rome", "", "", "Old"),
    ("cat@mapleshop.com", "+12127365003", "", "", "a", "x", "Old"),
)
NOW = (
    ("ann@mapleshop.com", "", "free", "Oslo", "b;c", "x", "Ann"),  # adds, takes away, keeps, fills
    ("bob@mapleshop.com", "", "free", "Oslo", "", "", "Bob"),  # in bulk: fills one, keeps one
    ("new@mapleshop.com", "", "free", "Oslo", "", "", "New"),  # in bulk: a new profile gets all
    ("eve@mapleshop.com", "", "free", "", "c;d", "z", "Eve"),  # a new profile with a list
    ("cat@mapleshop.com", "", "free", "", "c", "", "Cat"),
    ("", "+12127365003", "", "", "c;d", "x", ""),  # the same profile, by its phone
    ("a@sandbox-refused.com", "", "free", "", "", "", "x"),  # strip and send the rest again
    ("gus@mapleshop.com", "", "", "", "", "", "Gus"),  # nothing to look for
)


class WritesScenario(CrashScenario):
    """The import under test writes only where nothing is, and patches lists."""

    @property
    def mapping(self) -> dict[str, Any]:
        return {"columns": COLUMNS, "load": {"list": "News", "only_changed": True, "small_run": 0, "batch_rows": 2}}

    def prepare(self) -> None:
        mapping = {"columns": BEFORE_COLUMNS, "load": {"small_run": 0}}
        at = context(self.folder, self.sandbox, self.clock, state=self.state)
        source = self.write(BEFORE, HEADER)
        assert pipeline.run(source, mapping, context=at).complete
        self.write(NOW, HEADER)


class Calm:
    """The undisturbed run, and copies of the world before it."""

    def __init__(self, folder: Path) -> None:
        (folder / "first").mkdir()
        world = WritesScenario(folder / "first")
        world.prepare()
        self.template, self.scratch, self.time = folder / "template", folder / "scratch", world.clock.time
        world.snapshot(self.template)
        world = self.world()
        points = CrashPoints()
        report = world.process(points=points)
        assert report is not None
        assert report.complete
        self.points, self.names, self.report = points.passed, points.names, report
        self.expected: Result = world.result(report)
        world.close()

    def world(self) -> WritesScenario:
        return restored(self.template, self.scratch, time=self.time, kind=WritesScenario)


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Calm:
    return Calm(tmp_path_factory.mktemp("writes"))


def check(calm: Calm, world: CrashScenario, where: str) -> None:
    report = world.finish()
    assert world.result(report) == calm.expected, f"another result after {where}"
    world.close()


def test_the_import_under_test_does_what_its_rules_say(calm: Calm) -> None:
    content = {profile["email"]: profile for profile in map(orjson.loads, calm.expected.account.splitlines())}
    ann, cat, bob = (content[f"{name}@mapleshop.com"] for name in ("ann", "cat", "bob"))
    assert ann["properties"] == {"plan": "pro", "tags": ["a", "b", "c"], "groups": ["y"]}
    assert ann["location"] == {"city": "Oslo"}
    assert (bob["properties"], bob["location"]) == ({"plan": "free"}, {"city": "Rome"})
    assert cat["properties"] == {"plan": "free", "tags": ["a", "c", "d"], "groups": []}
    assert content["eve@mapleshop.com"]["properties"] == {"plan": "free", "tags": ["c", "d"]}
    kinds = {batch.kind for batch in calm.report.batches}
    assert {"bulk import jobs", "profile-import"} <= kinds
    assert calm.report.tally.failed == 1


@pytest.mark.parametrize("part", range(4))
def test_dying_at_any_point_writes_nothing_twice_and_nothing_over(calm: Calm, part: int) -> None:
    for point in walk(calm.points, part=part, parts=4):
        world = calm.world()
        points = CrashPoints(deadly=frozenset({point}))
        assert world.process(points=points) is None
        check(calm, world, f"dying at {point}: {points.names[-1]}")


@settings(max_examples=examples(3), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10**9))
def test_no_mix_of_crashes_and_weather_does(calm: Calm, seed: int) -> None:
    chosen = random.Random(seed)
    world = calm.world()
    network_faults = NetworkFaults(seed, share=chosen.choice((0.05, 0.15, 0.3)))
    for _ in range(chosen.randrange(1, 5)):
        points = CrashPoints(deadly=frozenset({chosen.randrange(1, calm.points * 2)}))
        report = world.process(points=points, network_faults=network_faults)
        if report is not None and report.complete:
            break
    check(calm, world, f"seed {seed}")


def test_the_matrix_notices_a_decision_that_is_not_taken_again(calm: Calm, monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: sent again as decided first, some item is there twice after some crash."""
    decide = PreflightReader.look
    first: dict[int, Any] = {}

    def once(self: PreflightReader, batch: Batch) -> Any:
        return first.setdefault(batch.id, decide(self, batch))

    monkeypatch.setattr(PreflightReader, "look", once)
    seen = []
    for point, name in enumerate(calm.names, start=1):
        if name != "after POST /api/profile-import":
            continue
        first.clear()
        world = calm.world()
        assert world.process(points=CrashPoints(deadly=frozenset({point}))) is None
        try:
            check(calm, world, name)
        except AssertionError:
            seen.append(point)
            world.close()
    assert seen
