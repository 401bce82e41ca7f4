"""``make demo``: import the four sample exports into a local Klaviyo over real HTTP, with the commands a user types.

Everything lands in the folder ``demo``, which is made anew: the sandbox's data, the state, and a folder per run.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from etl.cli import main as klaviyo_etl
from etl.pipeline import Context, runs
from etl.sandbox import SANDBOX_KEY, SandboxServer, SandboxSettings

HERE = Path(__file__).resolve().parent
EXPORTS = ("hubspot_contacts", "salesforce_contacts", "shopify_customers", "mailchimp_audience")
EXPECTED_EXITS = (0, 1)
"""1 says that some rows were refused: the samples are messy on purpose."""


def main(folder: Path, *arguments: str) -> int:
    """Import every sample; return 0 if all sums tie. ``arguments``: added to each command."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    with SandboxServer(SandboxSettings(path=folder / "sandbox.db")) as server:
        say(f"A local Klaviyo answers at {server.url}; nothing leaves this machine.")
        os.environ.update(KLAVIYO_BASE_URL=server.url, KLAVIYO_PRIVATE_KEY=SANDBOX_KEY)
        for name in EXPORTS:
            source = HERE / f"{name}.csv"
            say(f"\n$ klaviyo-etl run {source.relative_to(HERE.parent)}")
            code = command("run", str(source), "--yes", *common(folder), *arguments)
            if code not in EXPECTED_EXITS:
                return code
        return closing(folder)


def command(*arguments: str) -> int:
    """Run the command line in this process; return its exit code."""
    try:
        klaviyo_etl(arguments)
    except SystemExit as leaving:
        return int(leaving.code or 0)


def common(folder: Path) -> tuple[str, ...]:
    """Return the options that keep everything in one folder."""
    return ("--state", str(folder / "state.db"), "--output", str(folder / "runs"))


def closing(folder: Path) -> int:
    """Print the four sums; return 0 if they tie."""
    reports = list(reversed(runs(context=Context.create(state=folder / "state.db"))))
    say("\nFour exports, four sums:\n")
    for report in reports:
        parts = " + ".join(f"{count:,} {name}" for name, count in report.tally.parts if count)
        verdict = "ties" if report.tally.ties else "DOES NOT TIE"
        say(f"  {Path(report.source).stem:20} {report.tally.read:>6,} read = {parts}: {verdict}")
    say("\nOpen a report in a browser:\n")
    for report in reports:
        say(f"  {folder / 'runs' / report.run / 'report.html'}")
    return 0 if len(reports) == len(EXPORTS) and all(report.tally.ties for report in reports) else 1


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(Path("demo")))
