"""Before-values, under promise 3: dying anywhere, and lost answers, keep what was there before, never what we wrote.

Nobody else writes to the account meanwhile, so that whatever the weather, what is kept has to be the same: what the
account held when the import began.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etl import pipeline
from etl.model import Batch
from etl.state import BeforeCoverage, BeforeValue, Store
from etl.state.loading import batches, before_values
from tests.support.crash_scenario import BEFORE, COLUMNS, HEADER, NOW, CrashScenario, Result, restored
from tests.support.effort import examples, walk
from tests.support.in_process import CrashPoints, NetworkFaults, context

SLICES = 4
MAIL = {"1": "unsubscribed", "2": "subscribed", "8": "suppressed", "10": "subscribed"}
"""What rows say of consent, by their id."""

Kept = Mapping[int, BeforeValue]


class BeforeScenario(CrashScenario):
    """The import under test keeps what was there; it joins lists, and changes consents, besides."""

    @property
    def mapping(self) -> dict[str, Any]:
        load = {"list": "News", "only_changed": True, "small_run": 0, "batch_rows": 4, "keep_before": True}
        columns = {**COLUMNS, "Mail": "consent.email"}
        return {"columns": columns, "load": load, "consent": {"date": "2024-05-01"}}

    def prepare(self) -> None:
        header = (*HEADER, "Mail")
        mapping = {**self.mapping, "load": {"only_changed": True, "small_run": 0}}
        source = self.write(((*row, "subscribed" if row[0] == "1" else "") for row in BEFORE), header)
        at = context(self.folder, self.sandbox, self.clock, state=self.state)
        assert pipeline.run(source, mapping, context=at).complete
        self.write(((*row, MAIL.get(row[0], "")) for row in NOW), header)

    def kept(self, run: str) -> tuple[Kept, BeforeCoverage]:
        with Store.open(self.state, clock=self.clock) as store:
            values = [one for some in store.before_values.of_run(run) for one in some]
            return {one.line: replace(one, order=0) for one in values}, store.before_values.covered(run)


class Calm:
    """The undisturbed run, what it kept, and copies of the world before it."""

    def __init__(self, folder: Path) -> None:
        (folder / "first").mkdir()
        world = BeforeScenario(folder / "first")
        world.prepare()
        self.template, self.scratch, self.time = folder / "template", folder / "scratch", world.clock.time
        world.snapshot(self.template)
        world = self.world()
        points = CrashPoints()
        report = world.process(points=points)
        assert report is not None
        assert report.complete
        self.points, self.names = points.passed, points.names
        self.expected: Result = world.result(report)
        self.kept, self.covered = world.kept(report.run)
        world.close()

    def world(self) -> BeforeScenario:
        return restored(self.template, self.scratch, time=self.time, kind=BeforeScenario)


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Calm:
    return Calm(tmp_path_factory.mktemp("before"))


def check(calm: Calm, world: BeforeScenario, where: str) -> None:
    report = world.finish()
    assert world.result(report) == calm.expected, f"another result after {where}"
    kept, covered = world.kept(report.run)
    assert kept == calm.kept, f"other before-values after {where}"
    assert covered.missing == 0
    world.close()


def test_the_calm_run_keeps_what_the_account_held(calm: Calm) -> None:
    """Lines of the source from 2 on; see ``crash_scenario.NOW``."""
    ann, bob, left, clearing = (calm.kept[line] for line in (2, 3, 9, 12))
    assert (ann.imported, len(ann.not_on)) == (True, 1)
    assert bob.fields == {
        "external_id": "2",
        "email": "bob@mapleshop.com",
        "title": "Mr",
        "phone_number": "+12127365002",
    }
    assert bob.consents["email"]["consent"] == "NEVER_SUBSCRIBED"
    assert ann.consents["email"]["consent"] == "SUBSCRIBED"
    assert left.unknown == ("profile",)
    assert (clearing.profile, clearing.imported) == (None, True)
    assert len(calm.kept[10].not_on) == 2
    assert calm.covered.missing == 0
    assert calm.covered.kept == len(calm.kept)


@pytest.mark.parametrize("part", range(SLICES))
def test_dying_at_any_point_keeps_the_same(calm: Calm, part: int) -> None:
    for point in walk(calm.points, part=part, parts=SLICES, every=40):
        world = calm.world()
        points = CrashPoints(deadly=frozenset({point}))
        assert world.process(points=points) is None
        check(calm, world, f"dying at {point}: {points.names[-1]}")


@settings(max_examples=examples(2), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10**9))
def test_no_mix_of_crashes_and_weather_keeps_anything_else(calm: Calm, seed: int) -> None:
    chosen = random.Random(seed)
    world = calm.world()
    network_faults = NetworkFaults(seed, share=chosen.choice((0.05, 0.15, 0.3)))
    for _ in range(chosen.randrange(1, 5)):
        points = CrashPoints(deadly=frozenset({chosen.randrange(1, calm.points * 2)}))
        report = world.process(points=points, network_faults=network_faults)
        if report is not None and report.complete:
            break
    check(calm, world, f"seed {seed}")


def test_the_matrix_notices_what_is_read_again_after_a_request_in_doubt(
    calm: Calm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: kept anew whatever became of the request before, some crash must show."""
    keep = before_values.keep_before

    def anew(connection: Any, seq: int, batch: Batch, values: Any) -> None:
        keep(connection, seq, replace(batch, resent=False), values)

    monkeypatch.setattr(batches, "keep_before", anew)
    monkeypatch.setattr(before_values, "may_have_arrived", sa.false)
    monkeypatch.setattr("etl.load.profiles.preflight.PreflightReader._keeps", lambda _self, _batch: True)
    points = [place for place, name in enumerate(calm.names, start=1) if name.startswith("after POST")]
    for point in points:
        world = calm.world()
        assert world.process(points=CrashPoints(deadly=frozenset({point}))) is None
        report = world.finish()
        kept, _ = world.kept(report.run)
        world.close()
        if kept != calm.kept:
            return
    raise AssertionError("the matrix does not see the fault it exists for")
