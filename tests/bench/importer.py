"""How fast: ``make bench`` or ``python -m tests.bench --rows 200000``. Ratios within one run; the machine is noisy.

Every line is a process of its own, so that its peak memory is its own. The floor reads the file and encodes bodies and
does nothing else. The rows by reference library and the official SDK are measured on a share of the rows. Rates are by
the clock on the wall; where other programs use the machine, the CPU seconds beside them say what the work itself takes.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import os
import random
import resource
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.support.paths import ROOT

CEILING = 150 * 10_000 / 60
"""Klaviyo: 150 jobs a minute of 10,000 profiles, in rows a second, where 5 MB hold as many (reference 3.4)."""
SLOW_SHARE = 50
"""The slow ways are measured on one row in so many."""
SAMPLED_EVERY = 0.2
"""Seconds between two looks at the memory of all processes."""
LOADED_SHARE = 10
"""Loading is measured on one row in so many: the sandbox is slower than Klaviyo."""
WINDOWS = 400
"""Jobs that the measurement of Klaviyo's window sends: two clock minutes and more."""
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


@dataclass(frozen=True)
class Measured:
    """One step.

    ``peak``: of the process, in MB; ``workers``: of the largest other one; ``together``: of all, shared pages once, as
    far as samples saw it. ``note``: what else there is to say.
    """

    rows: int
    seconds: float
    cpu: float
    peak: float = 0.0
    workers: float = 0.0
    together: float = 0.0
    note: str = ""


def main() -> int:
    """Measure; print a table; return 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--step", choices=STEPS, action="append", help="only these steps")
    parser.add_argument("--only", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only:
        print(json.dumps(asdict(perform(given.only, given.folder, given.rows))))
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_source(folder, given.rows)
        head(given.rows)
        floor = 0.0
        for step in given.step or STEPS:
            found = measure(step, folder, given.rows)
            floor = floor or found.rows / found.seconds
            show(step, found, floor)
    print(f"{'ceiling of Klaviyo':34} {CEILING:>9,.0f}")
    return 0


def perform(step: str, folder: Path, rows: int) -> Measured:
    """Run one step here."""
    began, before = time.monotonic(), time.process_time()
    done = STEPS[step](folder, rows)
    if isinstance(done, Measured):
        return done
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = time.process_time() - before + children.ru_utime + children.ru_stime
    return Measured(done, time.monotonic() - began, cpu, workers=children.ru_maxrss / 1024)


def measure(step: str, folder: Path, rows: int) -> Measured:
    """Run one step in a process of its own; its peak memory in MB comes from the system."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench", "--only", step, "--folder", str(folder), "--rows", str(rows)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    together = 0.0
    while not select.select([process.stdout], [], [], SAMPLED_EVERY)[0]:
        together = max(together, shared(process.pid))
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"{step} failed")
    found = {**json.loads(said.splitlines()[-1]), "peak": usage.ru_maxrss / 1024}
    return Measured(**{**found, "together": together if found["workers"] else 0.0})


def shared(pid: int) -> float:
    """Return the MB that a process and its children hold now; what they share is counted once. 0 where unknown."""
    family = [pid]
    total = 0
    with suppress(OSError):  # one has just ended, or this is not Linux
        for one in family:
            for task in Path(f"/proc/{one}/task").iterdir():
                family += map(int, (task / "children").read_text().split())
            held = Path(f"/proc/{one}/smaps_rollup").read_text()
            total += int(held.partition("\nPss:")[2].split()[0])
    return total / 1024


def head(rows: int) -> None:
    """Print what the columns are."""
    print(f"\n{rows:,} rows, 15 columns, ten countries; {os.cpu_count()} cores\n")
    print(f"{'step':34} {'rows/s':>9} {'CPU s':>7} {'of floor':>9} {'of ceiling':>11} {'peak MB':>13}", flush=True)


def show(step: str, found: Measured, floor: float) -> None:
    """Print a line."""
    rate = found.rows / found.seconds
    peak = f"{found.peak:,.0f}" + (f"+{found.workers:,.0f} ({found.together:,.0f})" if found.workers else "")
    line = f"{step:34} {rate:>9,.0f} {found.cpu:>7.1f} {rate / floor:>8.0%} {rate / CEILING:>10.1f}x {peak:>13}"
    print(f"{line}  {found.note}".rstrip(), flush=True)


def write_source(folder: Path, rows: int) -> None:
    """Write the rows: 3 % bad e-mails, 5 % bad phones, 2 % duplicates."""
    chance = random.Random(1)
    (folder / "people.toml").write_text(MAPPING, encoding="utf-8")
    countries = list(COUNTRIES)
    with (folder / "people.csv").open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(HEADER.split())
        for number in range(rows):
            who = number - 25 if number % 50 == 49 else number
            country = countries[number % len(countries)]
            start, digits = COUNTRIES[country]
            # Nobody shares a phone, whatever the number of rows: each country counts for itself.
            tail = f"{2 * 10 ** (digits - 1) + who // len(countries)}"
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


def reading(folder: Path, rows: int) -> int:
    """Read chunks with their lines, and forget them."""
    from etl.extract import open_source  # noqa: PLC0415
    from etl.pipeline.memory import tuned_memory  # noqa: PLC0415

    with tuned_memory(), open_source(folder / "people.csv") as source:
        assert sum(chunk.records for chunk in source.chunks()) == rows
    return rows


def validating(folder: Path, rows: int) -> int:
    """Read and validate."""
    from etl.config import load_mapping  # noqa: PLC0415
    from etl.extract import open_source  # noqa: PLC0415
    from etl.pipeline.memory import tuned_memory  # noqa: PLC0415
    from etl.validate import Validator  # noqa: PLC0415

    mapping = load_mapping(folder / "people.toml")
    with tuned_memory(), open_source(folder / "people.csv") as source:
        validator = Validator(mapping, source.info.columns)
        for chunk in source.chunks():
            validator.validate(chunk.frame)
    return rows


def converting(folder: Path, rows: int) -> int:
    """Read, validate, transform and pack: all that a worker does, and the reading."""
    from etl.config import load_mapping  # noqa: PLC0415
    from etl.extract import open_source  # noqa: PLC0415
    from etl.pipeline.memory import tuned_memory  # noqa: PLC0415
    from etl.pipeline.staging.process import ChunkProcessor  # noqa: PLC0415

    mapping = load_mapping(folder / "people.toml")
    with tuned_memory(), open_source(folder / "people.csv") as source:
        judge = ChunkProcessor(mapping, source.info.columns, time.time())
        for chunk in source.chunks():
            judge(chunk)
    return rows


def staging(folder: Path, rows: int, workers: int | None = None) -> int:
    """Read, validate, transform, de-duplicate, write to state."""
    from etl.pipeline import Context, check  # noqa: PLC0415

    state = folder / f"stage-{workers}.db"
    context = Context.create(state=state, output=folder / "runs", workers=workers)
    report = check(folder / "people.csv", folder / "people.toml", context=context)
    assert report.tally.read == rows
    for file in folder.glob(f"{state.name}*"):
        file.unlink()
    return rows


def staging_on_one_core(folder: Path, rows: int) -> int:
    """Stage in one process that has one core."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    return staging(folder, rows, workers=0)


class CountingClock:
    """The machine's time, and how much of it was slept away waiting for Klaviyo."""

    def __init__(self) -> None:
        self.slept = 0.0

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
        time.sleep(seconds)


@contextmanager
def sandbox(folder: Path, limits: str) -> Iterator[str]:
    """Serve a sandbox in a process of its own; yield its address."""
    arguments = ["sandbox", "--port", "0", "--limits", limits, "--data", str(folder / f"sandbox-{time.time_ns()}.db")]
    process = subprocess.Popen(
        [sys.executable, "-m", "etl", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip().partition("=")[2]
    finally:
        process.terminate()
        process.communicate()


def loading(folder: Path, rows: int) -> Measured:
    """Stage a tenth and load it into the sandbox, which has no limits and a process of its own."""
    from etl.pipeline import Context, run  # noqa: PLC0415
    from etl.sandbox import SANDBOX_KEY  # noqa: PLC0415

    part = max(rows // LOADED_SHARE, 1)
    jobs: list[float] = []
    with sandbox(folder, "off") as url:
        context = Context.create(
            private_key=SANDBOX_KEY,
            base_url=url,
            state=folder / "load.db",
            output=folder / "runs",
            on_exchange=lambda seen: jobs.append(seen.seconds) if is_job(seen) else None,
        )
        began, before = time.monotonic(), time.process_time()
        run(folder / "people.csv", folder / "people.toml", context=context, limit=part, verify="none")
        seconds, cpu = time.monotonic() - began, time.process_time() - before
        with context.open_store() as store:
            load = store.runs.newest(1)[0].details.seconds["load"]
    note = f"{len(jobs)} jobs in {load:.1f} s; making them took {sum(jobs):.1f} s of it"
    return Measured(part, seconds, cpu, note=note)


def is_job(seen: Any) -> bool:
    """Whether an exchange made a bulk import job."""
    return bool(seen.status == 202 and seen.method == "POST" and "profile-bulk-import-jobs" in seen.endpoint)


def filling_the_window(folder: Path, rows: int) -> Measured:
    """Load small jobs under Klaviyo's real limits; how much of each full minute is used."""
    from etl.config import load_mapping  # noqa: PLC0415
    from etl.pipeline import Context, run  # noqa: PLC0415
    from etl.sandbox import SANDBOX_KEY  # noqa: PLC0415

    sent: list[float] = []
    part = min(rows, WINDOWS * 50)
    mapping = load_mapping(folder / "people.toml").model_copy(deep=True)
    rules = mapping.model_dump(mode="json", by_alias=True, exclude_unset=True)
    rules["load"] = {"small_run": 0, "batch_rows": max(part // WINDOWS, 1)}
    with sandbox(folder, "real") as url:
        context = Context.create(
            private_key=SANDBOX_KEY,
            base_url=url,
            state=folder / "window.db",
            output=folder / "runs",
            on_exchange=lambda seen: sent.append(time.time()) if is_job(seen) else None,
        )
        began, before = time.monotonic(), time.process_time()
        run(folder / "people.csv", rules, context=context, limit=part, verify="none")
        seconds, cpu = time.monotonic() - began, time.process_time() - before
    by_minute = Counter(int(at // 60) for at in sent)
    full = sorted(by_minute)[1:-1]
    used = sum(by_minute[minute] for minute in full) / (150 * len(full)) if full else float("nan")
    return Measured(part, seconds, cpu, note=f"{used:.1%} of the {150 * len(full)} requests that whole minutes allow")


def nightly(folder: Path, rows: int) -> Measured:
    """Import again with 1 % of the rows changed, all of them known; without what is slept waiting for Klaviyo."""
    from etl.model import BatchKind, Outcome, PlannedBatch, RowResult, RunStatus  # noqa: PLC0415
    from etl.pipeline import Context, run  # noqa: PLC0415
    from etl.sandbox import SANDBOX_KEY  # noqa: PLC0415

    toml = folder / "nightly.toml"
    toml.write_text(MAPPING + "[load]\nonly_changed = true\n", encoding="utf-8")
    changed = folder / "changed.csv"
    with (folder / "people.csv").open(encoding="utf-8", newline="") as before, changed.open("w", newline="") as after:
        for number, line in enumerate(before):
            # In the first half of each fifty: duplicates stand in the second.
            after.write(line.replace("Ann", "Anna") if number and number % 100 == 10 else line)
    with sandbox(folder, "real") as url:
        clock = CountingClock()
        requests: list[float] = []
        context = Context.create(
            private_key=SANDBOX_KEY,
            base_url=url,
            state=folder / "nightly.db",
            output=folder / "runs",
            clock=clock,
            on_exchange=lambda seen: requests.append(seen.seconds),
        )
        # The import of the night before, settled by hand: loading all rows into the sandbox would take minutes.
        plan(context, folder / "people.csv", toml)
        with context.open_store() as store:
            first = store.runs.newest(1)[0].id
            for step in itertools.count():
                lines = [row.line for row in itertools.islice(store.rows.pending(first, "import"), 10_000)]
                if not lines:
                    break
                (batch,) = store.batches.add(first, [PlannedBatch(BatchKind.IMPORT, tuple(lines))])
                store.batches.mark_sending(batch)
                store.batches.settle(
                    batch, [RowResult(line, Outcome.LOADED, klaviyo_id=f"{step}-{line}") for line in lines]
                )
            store.runs.update(first, status=RunStatus.LOADING)
            store.runs.update(first, status=RunStatus.FINISHED)
            store.known.fold()
        clock.slept = 0.0
        requests.clear()
        began, cpu = time.monotonic(), time.process_time()
        report = run(changed, toml, context=context, verify="none")
        seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    waited = clock.slept + sum(requests)
    assert report.tally.loaded == rows // 100, report.tally
    note = f"{seconds:.1f} s, {waited:.1f} of them Klaviyo's (waiting and requests): {seconds - waited:.1f} s are ours"
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Measured(rows, seconds - waited, cpu, workers=children.ru_maxrss / 1024, note=note)


def plan(context: Any, source: Path, mapping: Path) -> None:
    """Stage a run that is to be loaded, as ``run`` does before it loads."""
    from etl.config import load_mapping  # noqa: PLC0415
    from etl.extract import open_source  # noqa: PLC0415
    from etl.pipeline.engine.stage import stage_source  # noqa: PLC0415
    from etl.pipeline.kinds.profiles.kind import KIND  # noqa: PLC0415
    from etl.pipeline.lifecycle.create import begin  # noqa: PLC0415
    from etl.state import RunOptions  # noqa: PLC0415

    rules = load_mapping(mapping)
    with open_source(source) as opened, context.open_store() as store:
        run_id = begin(store, source.name, rules, command="run", account="SBX001", options=RunOptions())
        stage_source(context, KIND, rules, store, run_id, opened)


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


STEPS: dict[str, Callable[[Path, int], int | Measured]] = {
    "floor": floor,
    "reading": reading,
    "reading, validating": validating,
    "reading, validating, converting": converting,
    "staging, one core": staging_on_one_core,
    "staging, all cores": staging,
    "nightly, 1 % changed": nightly,
    "staging and loading a tenth": loading,
    "loading under real limits": filling_the_window,
    "reference libraries, a fiftieth": by_reference,
    "official SDK's bulk call": by_sdk,
}


if __name__ == "__main__":
    sys.exit(main())
