"""The sample exports: what they say of themselves is what the importer makes of them, line by line.

The truth files come from the maker of the rows (sample_data/generate.py), which never asks the importer.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import every_error
from etl import pipeline
from etl.codes import CODES
from etl.config import load_mapping
from etl.sandbox import Sandbox, SandboxSettings
from tests.support.effort import FULL
from tests.support.expected import EXPORTS, SAMPLES, actual_rows, expected, truth
from tests.support.in_process import context
from tests.support.state_backends import FakeClock


@pytest.fixture
def sandbox(clock: FakeClock) -> Iterator[Sandbox]:
    made = Sandbox(SandboxSettings(lists=("Everyone", "VIP"), limits="off"), clock)
    yield made
    made.close()


def test_the_generator_makes_the_files_that_are_here(tmp_path: Path) -> None:
    """Seeded: another run gives the same bytes."""
    code = "import generate, sys; generate.main(generate.Path(sys.argv[1]))"
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], check=True, env={**os.environ, "PYTHONPATH": str(SAMPLES)}
    )
    made = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.*"))
    assert len(made) == 2 * (len(EXPORTS) + 1)
    for path in made:
        assert (SAMPLES / path).read_bytes() == (tmp_path / path).read_bytes(), path


@pytest.mark.parametrize("name", [*(EXPORTS if FULL else ()), "every_error"])
def test_every_line_becomes_what_its_maker_meant(name: str, sandbox: Sandbox, clock: FakeClock, tmp_path: Path) -> None:
    """Outcome and codes of each line; test_demo.py looks at the exports, and reads profiles back."""
    at = context(tmp_path, sandbox, clock)
    report = pipeline.run(None, SAMPLES / f"{name}.toml", context=at)
    with at.open_store() as store:
        came = actual_rows(store, report.run)
        merged = dict(store.rows.primaries(report.run))
    told = truth(name)
    assert came == expected(told)
    assert merged == {line: one.merged_into for line, one in told.items() if one.merged_into is not None}
    assert report.tally.ties


def test_every_code_has_its_line() -> None:
    """What a source file can get wrong is shown once; what it cannot is listed with its reason."""
    shown = {code for one in truth("every_error").values() for code in one.codes}
    assert shown | set(every_error.UNSENT) == set(CODES)
    assert not shown & set(every_error.UNSENT)


@pytest.mark.parametrize("name", EXPORTS)
def test_the_samples_have_realistic_flaws_in_realistic_shares(name: str) -> None:
    told = truth(name).values()
    assert 1_000 <= len(told) <= 5_100
    assert 0.02 < sum(bool(one.codes) for one in told) / len(told) < 0.15
    assert load_mapping(SAMPLES / f"{name}.toml").source.path == f"{name}.csv"
