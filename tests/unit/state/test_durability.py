"""What a state asks of its database so that a committed mark outlives a failing machine.

The tests' own processes ask for less (``cheap_states`` in conftest.py), so a process of its own is looked at.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cli_process import python

SCRIPT = """
import sys, random, sqlalchemy
from etl.pipeline.context import SystemClock
from etl.state import Store
asked = set()
@sqlalchemy.event.listens_for(sqlalchemy.pool.Pool, "checkout")
def look(connection, record, proxy):
    asked.update(connection.execute(one).fetchone() for one in sys.argv[2:])
Store.open(sys.argv[1], clock=SystemClock(), rng=random.Random(0)).close()
print(sorted(asked, key=str))
"""


@pytest.mark.slow
def test_every_commit_waits_for_the_disk(state_url: str, tmp_path: Path) -> None:
    """On every connection. SQLite: FULL (2) with a write-ahead log."""
    if state_url.startswith("postgresql"):
        asks, answers = ["SHOW synchronous_commit"], "[('on',)]"
    else:
        asks, answers = ["PRAGMA synchronous", "PRAGMA journal_mode"], "[('wal',), (2,)]"
    said, complaint = python(tmp_path, "-c", SCRIPT, state_url, *asks).communicate()
    assert said.strip() == answers, complaint
