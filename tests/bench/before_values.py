"""What ``keep_before`` costs: ``python -m tests.bench.before_values --rows 100000``.

The same rows go three times into one sandbox with Klaviyo's real limits: new people, then all of them changed, with and
without what was there being kept. Each run is a process of its own, so that its peak memory is its own; the sandbox is
another.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.bench.importer import MAPPING, CountingClock, sandbox, write_source
from tests.support.paths import ROOT

READS = ("GET /api/profiles", "GET /api/lists/{id}/profiles")
JOBS = "POST /api/profile-bulk-import-jobs"
RUNS = (
    ("new people", False, "Ann"),
    ("all changed", False, "Anna"),
    ("all changed, kept", True, "Annabel"),
    ("new people, kept", True, "Ann"),
)
"""(what, whether it is kept, first name). The last one goes into an account of its own."""


def main() -> int:
    """Measure; print a table; return 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--limits", choices=["real", "off"], default="real")
    parser.add_argument("--run", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.run:
        url, folder, keep, name = given.run
        print(json.dumps(imported(url, Path(folder), keep=keep == "yes", name=name)))
        return 0
    print(f"\n{given.rows:,} rows, 15 columns, one list; limits {given.limits}; {os.cpu_count()} cores\n")
    print(f"{'run':22} {'s':>7} {'loading s':>10} {'waited s':>9} {'reads':>7} {'jobs':>5} {'MB':>6} {'kept MB':>8}")
    with tempfile.TemporaryDirectory() as name:
        for accounts in (RUNS[:3], RUNS[3:]):
            folder = Path(tempfile.mkdtemp(dir=name))
            write_source(folder, given.rows)
            with sandbox(folder, given.limits) as url:
                for what, keep, first in accounts:
                    show(what, measured(url, folder, "yes" if keep else "no", first))
    return 0


def measured(url: str, folder: Path, keep: str, name: str) -> dict[str, float]:
    """Import in a process of its own."""
    command = [sys.executable, "-m", "tests.bench.before_values", "--run", url, str(folder), keep, name]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def show(what: str, found: dict[str, float]) -> None:
    """Print a line."""
    print(
        f"{what:22} {found['seconds']:>7.1f} {found['load']:>10.1f} {found['slept']:>9.1f} {found['reads']:>7,.0f} "
        f"{found['jobs']:>5,.0f} {found['peak']:>6,.0f} {found['kept'] / 1e6:>8.2f}",
        flush=True,
    )


def imported(url: str, folder: Path, *, keep: bool, name: str) -> dict[str, float]:
    """Import the rows with this first name; return what it took."""
    import sqlalchemy as sa  # noqa: PLC0415 - a run pays for its own imports

    from etl.pipeline import Context, run  # noqa: PLC0415
    from etl.sandbox import SANDBOX_KEY  # noqa: PLC0415
    from etl.state.db import schema  # noqa: PLC0415

    toml = folder / "people.toml"
    toml.write_text(f"{MAPPING}[load]\nlist = 'News'\ncreate_list = true\nkeep_before = {str(keep).lower()}\n")
    source = folder / f"{name}.csv"
    source.write_text((folder / "people.csv").read_text(encoding="utf-8").replace(",Ann,", f",{name},"), "utf-8")
    requests = Counter[str]()
    clock = CountingClock()
    context = Context.create(
        private_key=SANDBOX_KEY,
        base_url=url,
        state=folder / "state.db",
        output=folder / "runs",
        clock=clock,
        on_exchange=lambda seen: requests.update([seen.endpoint]),
    )
    began = time.monotonic()
    report = run(source, toml, context=context, verify="none")
    seconds = time.monotonic() - began
    assert report.tally.ties
    with context.open_store() as store:
        newest = store.runs.newest(1)[0]
        table = schema.before_values
        size = sa.select(sa.func.coalesce(sa.func.sum(sa.func.length(table.c.block)), 0))
        with store.database.read() as connection:
            kept = int(connection.execute(size).scalar_one())
        if keep:
            covered = store.before_values.covered(newest.id)
            assert covered.missing == 0, covered
            assert sum(map(len, store.before_values.of_run(newest.id))) == covered.kept
        load = newest.details.seconds["load"]
    return {
        "seconds": seconds,
        "load": load,
        "slept": clock.slept,
        "reads": sum(requests[one] for one in READS),
        "jobs": requests[JOBS],
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "kept": kept,
    }


if __name__ == "__main__":
    sys.exit(main())
