"""Thirty nights of one import in fast motion: ``python -m tests.bench.nights`` prints what was seen of each.

The disk is full for real where a small one can be mounted (as root), else SQLite is given no further page.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from tests.support.importer import ImporterFixture
from tests.support.nights import Nights, small_disk
from tests.support.receivers import web_receiver


def main() -> int:
    """Let them pass; print the log and the alerts; return 0."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        os.environ["XDG_CONFIG_HOME"] = str(Path(name) / "config")
        folder = Path(name) / "disk"
        with small_disk(folder) as small, web_receiver() as web:
            desk = ImporterFixture(folder, limits="off", job_seconds=0.1)
            nights = Nights(desk, web, small).pass_all()
            desk.sandbox.close()
    print(f"{'night':>5}  {'what':<34}  {'at two':<40}  {'at seven':<10}  exit  alerts: before -> now")
    for one in nights:
        print(one.line)
    print(f"\n{len(web.documents)} alerts arrived, {web.refused} were refused while the receiver was down. ", end="")
    print(
        f"A full disk: {'a small one, filled' if small else 'no further page'}. {time.perf_counter() - started:.1f} s"
    )
    print("\nAs they read:")
    for alert in web.documents:
        print(f"  {alert['raised_at']}  {alert['subject'].replace(str(folder), '...')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
