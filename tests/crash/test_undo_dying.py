"""An undo dies at any point, or has bad luck with the network, and is resumed: the end is the same."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from etl import pipeline
from etl.errors import EtlError
from etl.model import RunStatus
from etl.report import Report
from tests.support.effort import walk
from tests.support.in_process import CrashError, CrashPoints, NetworkFaults
from tests.support.undo_desk import BEFORE, SHIFTED, UndoDesk, consents, parts, with_consents


@dataclass(frozen=True)
class Ended:
    """What must not depend on how often the process died."""

    account: bytes
    consents: dict[str, str]
    parts: dict[str, int]
    issues: tuple[Any, ...]


class DyingUndo:
    """Fields, lists, created profiles and consents on top of an account; somebody edits; all of it is undone."""

    def __init__(self, desk: UndoDesk, run: str) -> None:
        self.desk = desk
        self.run = run

    @classmethod
    def made(cls, folder: Path) -> DyingUndo:
        """Make a world up to the undo."""
        desk = UndoDesk(folder, path=folder / "sandbox.db")
        desk.import_(BEFORE[:2], list="VIP")
        with_consents(desk, "never", "never", "subscribed")
        said = ("subscribed", "never", "unsubscribed", "never")
        rows = [(*row, word, "2024-01-01T00:00:00Z") for row, word in zip(SHIFTED, said, strict=True)]
        desk.write(rows, tuple(desk.columns))
        load = {**desk.load, "list": "News", "remove_from_list": "VIP", "batch_rows": 2}
        desk.mapping = {"columns": desk.columns, "load": load}
        desk.clock.time += 1_000
        run = desk.run().run
        desk.edit("bob@mapleshop.com", first_name="Robert", properties={"tags": ["new", "theirs"]})
        desk.clock.time += 1_000
        return cls(desk, run)

    def copied(self, folder: Path) -> DyingUndo:
        """Return the same world in another folder."""
        self.desk.sandbox.close()
        shutil.copytree(self.desk.folder, folder, dirs_exist_ok=True)
        desk = UndoDesk(folder, path=folder / "sandbox.db", time=self.desk.clock.time)
        return DyingUndo(desk, self.run)

    def process(self, points: CrashPoints | None = None, faults: NetworkFaults | None = None) -> Report | None:
        """Let one process undo, or resume; ``None``: it died."""
        context = self.desk.process(points, faults, agree_to_deletions=lambda count: count == 1)
        self.desk.clock.time += 1
        try:
            with context.open_store() as store:
                newest = store.runs.newest(1)[0]
            if newest.command == "undo" and newest.status is RunStatus.FINISHED:
                return pipeline.get_report(newest.id, context=context)
            if newest.command == "undo" and newest.status in {RunStatus.STAGED, RunStatus.LOADING}:
                return pipeline.resume(context=context)
            return pipeline.undo(self.run, context=context, delete_created=True, consents=True, verify="none")
        except (CrashError, EtlError):
            return None

    def finish(self) -> Ended:
        for _ in range(5):
            report = self.process()
            if report is not None and report.complete:
                self.desk.clock.time += 1_000
                issues = tuple((group.code, group.column, group.count, group.lines) for group in report.issues)
                return Ended(self.desk.sandbox.dump(), consents(self.desk), parts(report), issues)
        raise AssertionError("the undo does not come to its end")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> DyingUndo:
    return DyingUndo.made(tmp_path_factory.mktemp("template"))


@pytest.fixture(scope="module")
def fair(template: DyingUndo, tmp_path_factory: pytest.TempPathFactory) -> tuple[Ended, int]:
    """The undo without any trouble, and the points that it passes."""
    world = template.copied(tmp_path_factory.mktemp("fair"))
    points = CrashPoints()
    assert world.process(points) is not None
    return world.finish(), points.passed


def test_what_it_comes_to(fair: tuple[Ended, int]) -> None:
    ended, _ = fair
    # ann: consent taken back; bob: renamed since; cat: her consent was taken; the fourth: deleted
    assert ended.parts == {"restored": 1, "kept": 2, "deleted": 1}
    assert b"new@mapleshop.com" not in ended.account
    assert ended.account.count(b'"VIP"') == 2
    assert b'"News"' not in ended.account


@pytest.mark.parametrize("part", range(4))
def test_killed_anywhere_and_resumed_it_ends_the_same(
    part: int, template: DyingUndo, fair: tuple[Ended, int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    ended, passed = fair
    for point in walk(passed, part=part, parts=4, every=12):
        world = template.copied(tmp_path_factory.mktemp("dying"))
        world.process(CrashPoints(frozenset([point])))
        assert world.finish() == ended, point


@pytest.mark.parametrize("seed", range(3))
def test_bad_luck_with_the_network_changes_nothing(
    seed: int, template: DyingUndo, fair: tuple[Ended, int], tmp_path: Path
) -> None:
    world = template.copied(tmp_path)
    for turn in range(3):
        world.process(faults=NetworkFaults(10 * seed + turn, 0.2))
    assert world.finish() == fair[0]
