"""A month of a nightly import in fast motion: whoever is told hears of each change once, and of nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.importer import ImporterFixture
from tests.support.nights import Nights, small_disk
from tests.support.receivers import web_receiver

Told = dict[int, list[tuple[str, str | None]]]

TOLD: Told = {
    3: [("partly", "well")],
    4: [("well", "partly")],
    6: [("unfinished", "well")],
    7: [("well", "unfinished")],
    9: [("failed", "well"), ("well", "failed")],
    12: [("failed", "well")],
    14: [("well", "failed")],
    16: [("guard", "well")],
    18: [("well", "guard")],
    25: [("partly", "well"), ("well", "partly")],
    27: [("overdue", "well")],
    28: [("well", "overdue")],
}
LEVELS = {3: 1, 6: 2, 12: 2, 13: 2, 16: 2, 17: 2, 23: 1, 27: 1}
# On a disk without room for a byte nothing can be written down: the error is told each night, and in the morning, when
# there is room, what is left of the night is that no import came.
FULL: Told = {20: [("failed", None), ("overdue", "well")], 21: [("failed", None)], 22: [("well", "overdue")]}
# Where only the next page is refused, the error has room.
NO_PAGE: Told = {20: [("failed", "well")], 22: [("well", "failed")]}


def test_thirty_nights_are_told_as_a_person_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    with small_disk(tmp_path / "disk") as small, web_receiver() as web:
        desk = ImporterFixture(tmp_path / "disk", limits="off", job_seconds=0.1)
        nights = Nights(desk, web, small).pass_all()
        desk.sandbox.close()
    log = "\n".join(one.line for one in nights)
    assert len(nights) == 30
    expected = {**TOLD, **(FULL if small else NO_PAGE)}
    assert {one.number: one.told for one in nights if one.told} == expected, log
    full = 1 if small else 2
    assert {one.number: one.level for one in nights if one.level} == {**LEVELS, 20: full, 21: full}, log
    assert [one.number for one in nights if one.waiting] == [23, 24]
    assert [one.at_two for one in nights[19:21]] == ["run: [state-disk-full]"] * 2
    # Each alert once: no id came twice, and nobody's data with any.
    assert (
        len({one["id"] for one in web.documents})
        == len(web.documents)
        == sum(len(alerts) for alerts in expected.values())
    )
    assert "mapleshop" not in str(web.documents)
