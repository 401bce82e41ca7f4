"""How fast: ``make bench`` or ``python -m tests.bench --rows 200000``. Ratios within one run; the machine may be noisy.

Every line is a process of its own, so that its peak memory is its own. The floor reads the file and encodes bodies and
does nothing else. The rows by reference library and the official SDK are measured on a share of the rows.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CEILING = 150 * 10_000 / 60
"""Klaviyo: 150 jobs a minute of 10,000 profiles, in rows a second, where 5 MB hold as many (reference 3.4)."""
SLOW_SHARE = 50
"""The slow ways are measured on one row in so many."""
MAPPING = """
[defaults]
country_column = "Country"
timezone = "UTC"
[columns]
"Id" = "external_id"
"Email" = "email"
"Phone" = "phone_number"
"First" = "first_name"
"Last" = "last_name"
"City" = "location.city"
"Zip" = "location.zip"
"Country" = "location.country"
"Company" = "organization"
"Plan" = { to = "properties.plan", one_of = ["free", "pro", "team"] }
"VIP" = { to = "properties.vip", type = "boolean" }
"Joined" = { to = "properties.joined", type = "date" }
"Orders" = { to = "properties.orders", type = "integer" }
"Spent" = { to = "$value", type = "money", decimal = "." }
"Tags" = { to = "properties.tags", type = "list", separator = ";" }
"""
HEADER = "Id Email Phone First Last City Zip Country Company Plan VIP Joined Orders Spent Tags"
# country → start of a mobile number, digits that follow
COUNTRIES = {
    "US": ("+1212", 7),
    "GB": ("+447123", 6),
    "DE": ("+49151", 8),
    "FR": ("+3361", 7),
    "ES": ("+3461", 7),
    "IT": ("+39320", 7),
    "NL": ("+316", 8),
    "AU": ("+614", 8),
    "BR": ("+55119", 8),
    "IN": ("+9198", 8),
}


def main() -> int:
    """Measure; print a table; return 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--only", choices=sorted(STEPS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only:
        began = time.monotonic()
        rows = STEPS[given.only](given.folder, given.rows)
        print(json.dumps({"rows": rows, "seconds": time.monotonic() - began}))
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_source(folder, given.rows)
        measured = {step: measure(step, folder, given.rows) for step in STEPS}
    show(given.rows, measured)
    return 0


def measure(step: str, folder: Path, rows: int) -> dict[str, float]:
    """Run one step in a process of its own; return rows, seconds and peak memory in MB."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench", "--only", step, "--folder", str(folder), "--rows", str(rows)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"{step} failed")
    return {**json.loads(said.splitlines()[-1]), "peak": usage.ru_maxrss / 1024}


def show(rows: int, measured: dict[str, dict[str, float]]) -> None:
    """Print the table."""
    floor = measured["floor"]["rows"] / measured["floor"]["seconds"]
    print(f"\n{rows:,} rows, 15 columns, ten countries; {os.cpu_count()} cores\n")
    print(f"{'step':28} {'rows/s':>10} {'of the floor':>13} {'of the ceiling':>15} {'peak MB':>8}")
    for step, figures in measured.items():
        rate = figures["rows"] / figures["seconds"]
        print(f"{step:28} {rate:>10,.0f} {rate / floor:>12.0%} {rate / CEILING:>14.1f}x {figures['peak']:>8,.0f}")
    print(f"{'ceiling of Klaviyo':28} {CEILING:>10,.0f}")


def write_source(folder: Path, rows: int) -> None:
    """Write the rows: 3 % bad e-mails, 5 % bad phones, 2 % duplicates."""
    chance = random.Random(1)
    (folder / "people.toml").write_text(MAPPING, encoding="utf-8")
    countries = list(COUNTRIES)
    with (folder / "people.csv").open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(HEADER.split())
        for number in range(rows):
            who = number - 50 if number % 50 == 49 and number > 50 else number
            country = countries[number % len(countries)]
            start, digits = COUNTRIES[country]
            tail = f"{2_000_000 + who % 7_000_000:0{digits}d}"[-digits:]
            email = f"person{who}@{chance.choice(('birchpost.com', 'larkmail.net', 'gmail.com'))}"
            writer.writerow(
                (
                    f"c{who}",
                    email.replace("@", " at ") if chance.random() < 0.03 else email,
                    "12345" if chance.random() < 0.05 else start + tail,
                    "Ann",
                    "Müller",
                    "Köln",
                    f"{number % 99_999:05d}",
                    country,
                    "",
                    chance.choice(("free", "pro", "team")),
                    chance.choice(("yes", "no")),
                    f"20{chance.randrange(10, 25)}-0{chance.randrange(1, 10)}-1{chance.randrange(0, 10)}",
                    chance.randrange(0, 60),
                    f"{chance.randrange(0, 90_000) / 100:.2f}",
                    "vip;wholesale" if number % 9 == 0 else "",
                )
            )


def floor(folder: Path, rows: int) -> int:
    """Read the file with Arrow and encode bodies with orjson; judge nothing, keep nothing."""
    import orjson  # noqa: PLC0415 - each step pays for its own imports
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import csv as arrow_csv  # noqa: PLC0415

    header = (folder / "people.csv").open(encoding="utf-8").readline().strip().split(",")
    options = arrow_csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False)
    reader = arrow_csv.open_csv(
        folder / "people.csv",
        convert_options=options,
        read_options=arrow_csv.ReadOptions(block_size=8 << 20, use_threads=False),
    )
    size = 0
    for batch in reader:
        for row in batch.to_pylist():
            size += len(orjson.dumps({"attributes": row}))
    assert size
    return rows


def staging(folder: Path, rows: int) -> int:
    """Read, validate, transform, de-duplicate, write to state."""
    from etl.pipeline import Context, check  # noqa: PLC0415

    context = Context.create(state=folder / "stage.db", output=folder / "runs")
    report = check(folder / "people.csv", folder / "people.toml", context=context)
    assert report.tally.read == rows
    return rows


def importing(folder: Path, rows: int) -> int:
    """Stage a tenth and load it into the sandbox, in one process."""
    from etl.pipeline import Context, run  # noqa: PLC0415
    from etl.sandbox import SANDBOX_KEY, SandboxServer, SandboxSettings  # noqa: PLC0415

    part = max(rows // 10, 1)
    with SandboxServer(SandboxSettings(limits="off")) as server:
        context = Context.create(
            private_key=SANDBOX_KEY, base_url=server.url, state=folder / "load.db", output=folder / "runs"
        )
        run(folder / "people.csv", folder / "people.toml", context=context, limit=part, verify="none")
    return part


def by_reference(folder: Path, rows: int) -> int:
    """The same judgements with csv, email-validator and phonenumbers row by row."""
    import orjson  # noqa: PLC0415
    import phonenumbers  # noqa: PLC0415
    from email_validator import EmailNotValidError, validate_email  # noqa: PLC0415

    part = max(rows // SLOW_SHARE, 1)
    with (folder / "people.csv").open(encoding="utf-8", newline="") as file:
        for _, row in zip(range(part), csv.DictReader(file), strict=False):
            attributes: dict[str, Any] = dict(row)
            try:
                attributes["Email"] = validate_email(row["Email"], check_deliverability=False).normalized
            except EmailNotValidError:
                attributes["Email"] = None
            try:
                number = phonenumbers.parse(row["Phone"], row["Country"])
                if phonenumbers.is_valid_number(number):
                    attributes["Phone"] = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
            except phonenumbers.NumberParseException:
                attributes["Phone"] = None
            orjson.dumps({"attributes": attributes})
    return part


def by_sdk(folder: Path, rows: int) -> int:
    """A plain csv loop that feeds the official SDK's bulk call, against the sandbox: no check, no report."""
    import warnings  # noqa: PLC0415

    from etl.sandbox import SANDBOX_KEY, SandboxServer, SandboxSettings  # noqa: PLC0415

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from klaviyo_api import KlaviyoAPI  # noqa: PLC0415

        part = max(rows // SLOW_SHARE, 1)
        with SandboxServer(SandboxSettings(limits="off")) as server:
            client = KlaviyoAPI(SANDBOX_KEY, max_delay=1, max_retries=1, test_host=server.url)
            profiles = []
            with (folder / "people.csv").open(encoding="utf-8", newline="") as file:
                for _, row in zip(range(part), csv.DictReader(file), strict=False):
                    # What it lacks in judgement it would pay with a 400 for the whole batch.
                    attributes = {
                        "external_id": row["Id"],
                        "first_name": row["First"],
                        "properties": {"plan": row["Plan"]},
                    }
                    profiles.append({"type": "profile", "attributes": attributes})
            for start in range(0, len(profiles), 10_000):
                data = {"profiles": {"data": profiles[start : start + 10_000]}}
                job = client.Profiles.bulk_import_profiles(
                    {"data": {"type": "profile-bulk-import-job", "attributes": data}}
                )
                assert job.data.id
    return part


STEPS: dict[str, Callable[[Path, int], int]] = {
    "floor": floor,
    "staging": staging,
    "staging and loading": importing,
    "reference libraries": by_reference,
    "official SDK, bulk call": by_sdk,
}


if __name__ == "__main__":
    sys.exit(main())
