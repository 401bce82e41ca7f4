"""Promise 3: kill it anywhere, resume, get the same result.

A small but complete import dies at every commit and every request, then at pairs of them, then under seeded mixes of
crashes and bad weather; each time it must end as if nothing had happened. ``ETL_MATRIX=full`` walks every pair and some
thousands of mixes (docs/reliability.md has the figures of the last full walk); otherwise a spread sample of them.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import pytest

from etl.klaviyo import Reply
from etl.load.steps.imports import ImportStep
from etl.load.steps.step import Followup
from etl.model import Batch
from etl.report import Report
from etl.state.loading.batches import Batches
from tests.support.crash_scenario import NOW, CrashScenario, Result, restored
from tests.support.effort import FULL, walk
from tests.support.in_process import CrashPoints, NetworkFaults

SLICES = 4
MIXES_PER_SLICE = 800 if FULL else 2


@dataclass(frozen=True)
class Matrix:
    template: Path
    time: float
    expected: Result
    report: Report
    points: int
    names: tuple[str, ...]
    scratch: Path

    def world(self) -> CrashScenario:
        return restored(self.template, self.scratch, time=self.time, kind=CrashScenario)


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Matrix:
    folder = tmp_path_factory.mktemp("matrix")
    (folder / "first").mkdir()
    world = CrashScenario(folder / "first")
    world.prepare()
    world.snapshot(folder / "template")
    time = world.clock.time
    world = restored(folder / "template", folder / "calm", time=time, kind=CrashScenario)
    points = CrashPoints()
    report = world.process(points=points)
    assert report is not None
    assert report.complete
    expected = world.result(report)
    world.close()
    return Matrix(folder / "template", time, expected, report, points.passed, tuple(points.names), folder / "scratch")


def check(matrix: Matrix, world: CrashScenario, where: str) -> None:
    report = world.finish()
    assert world.result(report) == matrix.expected, f"another result after a crash at {where}"
    assert world.requests <= world.attempts, f"a request left without a mark after a crash at {where}"
    world.close()


def test_the_import_under_test_has_every_kind_of_row(matrix: Matrix) -> None:
    """A matrix over an import in which nothing happens would prove nothing."""
    tally = matrix.report.tally
    assert tally.ties
    assert min(tally.loaded, tally.failed, tally.rejected, tally.duplicate, tally.unchanged, tally.unknown) >= 1
    assert tally.pending == 0
    codes = {group.code for group in matrix.report.issues}
    assert {"klaviyo-invalid", "klaviyo-duplicate", "profile-not-found", "duplicate-merged"} <= codes
    kinds = {batch.kind: batch for batch in matrix.report.batches}
    assert set(kinds) == {"bulk import jobs", "profile-import", "list additions"}
    assert kinds["bulk import jobs"].superseded
    poison = len(NOW) + 1
    assert any(group.code == "klaviyo-invalid" and poison in group.lines for group in matrix.report.issues)
    assert {"before commit", "after commit"} <= set(matrix.names)


@pytest.mark.parametrize("part", range(SLICES))
def test_dying_at_any_commit_or_request_changes_nothing(matrix: Matrix, part: int) -> None:
    for point in walk(matrix.points, part=part, parts=SLICES):
        world = matrix.world()
        points = CrashPoints(deadly=frozenset({point}))
        assert world.process(points=points) is None
        check(matrix, world, f"{point}: {points.names[-1]}")


@pytest.mark.parametrize("part", range(SLICES))
def test_dying_twice_changes_nothing(matrix: Matrix, part: int, tmp_path: Path) -> None:
    """First anywhere, then anywhere in the process that picks it up."""
    chosen = random.Random(part)
    done = 0
    firsts = list(range(1 + part, matrix.points + 1, SLICES))
    if not FULL:
        firsts = chosen.sample(firsts, min(len(firsts), 2))
    for first in firsts:
        world = matrix.world()
        assert world.process(points=CrashPoints(deadly=frozenset({first}))) is None
        world.snapshot(tmp_path / "wounded")
        time, requests = world.clock.time, world.requests
        calm = CrashPoints()
        world = restored(tmp_path / "wounded", matrix.scratch, time=time, kind=CrashScenario)
        world.process(points=calm)
        world.close()
        seconds = list(range(1, calm.passed + 1))
        if not FULL:
            seconds = chosen.sample(seconds, min(len(seconds), 2))
        for second in seconds:
            world = restored(tmp_path / "wounded", matrix.scratch, time=time, requests=requests, kind=CrashScenario)
            points = CrashPoints(deadly=frozenset({second}))
            assert world.process(points=points) is None
            check(matrix, world, f"{first}, then {second}: {points.names[-1]}")
            done += 1
    assert done >= len(firsts)


@pytest.mark.parametrize("part", range(SLICES))
def test_crashes_and_bad_weather_in_any_mix_change_nothing(matrix: Matrix, part: int) -> None:
    for number in range(MIXES_PER_SLICE):
        seed = part * 10_000 + number
        chosen = random.Random(seed)
        world = matrix.world()
        network_faults = NetworkFaults(seed, share=chosen.choice((0.05, 0.15, 0.3)))
        for _ in range(chosen.randrange(1, 5)):
            points = CrashPoints(deadly=frozenset({chosen.randrange(1, matrix.points * 2)}))
            report = world.process(points=points, network_faults=network_faults)
            if report is not None and report.complete:
                break
        else:
            report = world.finish()
        assert world.result(report) == matrix.expected, f"another result with seed {seed}"
        assert world.requests <= world.attempts, f"a request left without a mark with seed {seed}"
        world.close()


def test_the_matrix_notices_a_mark_written_after_the_request(matrix: Matrix, monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: with the durable mark after the request instead of before it, some crash must show."""

    def late(_batches: Batches, _batch_id: int, _before: object = None) -> None:
        pass

    mark = Batches.mark_sending
    answered = ImportStep.on_reply

    def after(self: ImportStep, batch: Batch, reply: Reply) -> Followup:
        mark(self._store.batches, batch.id)
        return answered(self, self._store.batches.get(batch.id), reply)

    monkeypatch.setattr(Batches, "mark_sending", late)
    monkeypatch.setattr(ImportStep, "on_reply", after)
    world = matrix.world()
    calm = CrashPoints()
    world.process(points=calm)
    world.close()
    seen = []
    for point, name in enumerate(calm.names, start=1):
        if not name.startswith("after POST"):
            continue
        world = matrix.world()
        assert world.process(points=CrashPoints(deadly=frozenset({point}))) is None
        try:
            check(matrix, world, name)
        except AssertionError:
            seen.append(point)
            world.close()
            if not FULL:
                break
    assert seen, "the matrix does not see the fault it exists for"
