"""A long import under bad conditions: ``python -m tests.bench.endurance --rows 1000000``; see docs/reliability.md.

A sandbox in a process of its own, without rate limits and with small batches, so that there are many requests; mixed
faults in 2 % of them, three SIGKILLs. Afterwards the sum must tie and the sandbox must hold exactly the profiles that
the generator of the rows meant. Not part of ``make test``: it takes minutes.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from etl.sandbox import SANDBOX_KEY
from tests.support.paths import ROOT

KILLS = 3
SHARE = 0.02
MIX = (
    {"fault": "throttle"},
    {"fault": "throttle_without_retry_after"},
    {"fault": "error_json", "status": 503},
    {"fault": "error_html", "status": 502},
    {"fault": "truncated"},
    {"fault": "reset_before"},
    {"fault": "reset_during"},
    {"fault": "answer_lost"},
    {"fault": "counters_null", "endpoint": "POST /api/profile-bulk-import-jobs"},
    {"fault": "job_cancelled", "endpoint": "POST /api/profile-bulk-import-jobs"},
)
MAPPING = """
[defaults]
country = "US"
[columns]
"Id" = "external_id"
"Email" = "email"
"Phone" = "phone_number"
"First" = "first_name"
"Zip" = "location.zip"
"Plan" = "properties.plan"
"Spent" = { to = "$value", type = "money" }
[load]
list = "Everyone"
batch_rows = 1000
"""


def main() -> int:
    """Run it; print the figures; return 0 if everything is as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as name:
        return endure(Path(name), rows)


def endure(folder: Path, rows: int) -> int:
    """Do it all in one folder."""
    expected = write_source(folder, rows)
    (folder / "people.toml").write_text(MAPPING, encoding="utf-8")
    faults = {"seed": 1, "rules": [{**rule, "probability": SHARE / len(MIX)} for rule in MIX]}
    (folder / "faults.json").write_text(json.dumps(faults), encoding="utf-8")
    sandbox = start(
        folder, "sandbox", "--port", "0", "--list", "Everyone", "--limits", "off", "--faults", "faults.json"
    )
    assert sandbox.stdout is not None
    url = sandbox.stdout.readline().split("=")[1].strip()
    began, chance, peaks, kills = time.monotonic(), random.Random(2), [], 0
    try:
        while True:
            arguments = ("resume",) if kills else ("run", "people.csv", "--verify", "none")
            process = start(folder, *arguments, "--quiet", KLAVIYO_PRIVATE_KEY=SANDBOX_KEY, KLAVIYO_BASE_URL=url)
            if kills < KILLS:
                wait_for_requests(url, chance.randrange(15, 60), process)
                os.kill(process.pid, signal.SIGKILL)
                kills += 1
            _, status, usage = os.wait4(process.pid, 0)
            peaks.append(usage.ru_maxrss / 1024)
            code = os.waitstatus_to_exitcode(status)
            print(f"process {len(peaks)}: exit {code}, peak {peaks[-1]:,.0f} MB, {time.monotonic() - began:,.0f} s")
            if code in {0, 1}:
                break
        seconds = time.monotonic() - began
        urllib.request.urlopen(urllib.request.Request(f"{url}/__sandbox__/faults", method="DELETE")).close()
        with urllib.request.urlopen(f"{url}/__sandbox__/dump") as answer:
            held = {json.loads(line)["external_id"]: canonical(json.loads(line)) for line in answer}
    finally:
        sandbox.terminate()
        sandbox.wait()
    report = json.loads(next((folder / "runs").glob("*/report.json")).read_text(encoding="utf-8"))
    tally = report["tally"]
    print(json.dumps({"tally": tally, "batches": report["batches"]}, indent=1))
    print(f"{rows:,} rows, {kills} kills, {seconds:,.0f} s, peak {max(peaks):,.0f} MB")
    same = held == expected
    print("the sandbox holds", "exactly the expected profiles" if same else "OTHER profiles than expected")
    return 0 if same and report["ties"] and not tally["unknown"] and not tally["failed"] else 1


def write_source(folder: Path, rows: int) -> dict[str, str]:
    """Write the rows; return what each should become."""
    expected = {}
    with (folder / "people.csv").open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["Id", "Email", "Phone", "First", "Zip", "Plan", "Spent"])
        for number in range(rows):
            bad = number % 40 == 0
            phone = f"212{2_000_000 + number}" if number < 7_000_000 and number % 3 == 0 else ""
            row = [
                f"c{number}",
                "no address" if bad else f"p{number}@mapleshop.com",
                phone,
                "Ann",
                f"{number % 99_999:05d}",
            ]
            writer.writerow([*row, "pro" if number % 5 == 0 else "free", f"${number % 1_000}.25"])
            profile: dict[str, Any] = {
                "external_id": row[0],
                "email": None if bad else row[1],
                "phone_number": f"+1{phone}" if phone else None,
                "first_name": "Ann",
                "location": {"zip": row[4]},
                "properties": {"plan": "pro" if number % 5 == 0 else "free", "$value": number % 1_000 + 0.25},
                "lists": ["Everyone"],
            }
            expected[row[0]] = canonical(profile)
    return expected


def canonical(profile: dict[str, Any]) -> str:
    """Return a profile as one text: a million dicts would not fit."""
    return json.dumps(profile, sort_keys=True, separators=(",", ":"))


def start(folder: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Start the command line."""
    return subprocess.Popen(
        [sys.executable, "-m", "etl", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE if arguments[0] == "sandbox" else None,
        text=True,
    )


def wait_for_requests(url: str, more: int, process: subprocess.Popen[str]) -> None:
    """Wait until so many more requests were let in."""

    def count() -> int:
        with urllib.request.urlopen(f"{url}/__sandbox__/requests") as answer:
            return sum(json.load(answer)["requests"].values())

    wanted = count() + more
    # Not poll(): that would reap the process, and its peak memory with it.
    running = os.WEXITED | os.WNOHANG | os.WNOWAIT
    while count() < wanted and os.waitid(os.P_PID, process.pid, running) is None:
        time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main())
