"""``python -m tests.bench.undo [KILLS [ROWS]]``: an import of 5,000 customers with a shifted column is taken back.

In one process and in fast motion, under Klaviyo's real limits. 200 people are edited between the run and its undo. The
undo is killed KILLS times (0), at points spread over it, and resumed. Compared line by line, as bytes: who was not
edited is as before, what was edited is kept, and who was created is listed, all of them and nobody else. Who has
neither e-mail nor phone stays on the list, and is said: Klaviyo does not tell whether such a profile was on it before.
"""

from __future__ import annotations

import contextlib
import csv
import json
import random
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Any, Final

from etl import pipeline
from etl.model import RunStatus
from etl.report import Report, render_text
from etl.sandbox import Sandbox, SandboxSettings
from tests.support.in_process import CrashError, CrashPoints, context
from tests.support.state_backends import FakeClock

SAMPLES: Final = Path(__file__).parents[2] / "sample_data"
NEW: Final = 80
EDITED: Final = 200
_SHIFTED: Final = {
    "First Name": "last_name",
    "Last Name": "organization",
    "Default Address Company": "location.city",
    "Default Address City": "first_name",
}


def main(kills: int = 0, rows: int = 10_000) -> int:
    """Return 0 if everything is as promised."""
    with tempfile.TemporaryDirectory() as folder:
        return rehearse(Path(folder), kills, rows)


def rehearse(folder: Path, kills: int, most: int) -> int:
    """Import, import wrongly, edit, undo, compare."""
    clock = FakeClock()
    sandbox = Sandbox(SandboxSettings(lists=("Newsletter",), job_seconds=5.0), clock)
    with (SAMPLES / "shopify_customers.csv").open(encoding="utf-8-sig", newline="") as source:
        rows = [row for row in csv.DictReader(source) if None not in row][:most]
    mapping = tomllib.loads((SAMPLES / "shopify_customers.toml").read_text())
    mapping.pop("source")
    mapping["load"] = {"keep_before": True, "small_run": 0}

    def process(points: CrashPoints | None = None) -> pipeline.Context:
        return context(folder, sandbox, clock, points=points)

    def imported(name: str, some: list[dict[str, str]], rules: dict[str, Any]) -> Report:
        path = folder / name
        with path.open("w", encoding="utf-8", newline="") as out:
            writer = csv.DictWriter(out, list(rows[0]))
            writer.writeheader()
            writer.writerows(some)
        clock.time += 86_400
        return pipeline.run(path, rules, context=process(), verify="none")

    imported("customers.csv", rows[:-NEW], mapping)
    before = account(sandbox)
    columns = {**mapping["columns"], **_SHIFTED, "Tags": {**mapping["columns"]["Tags"], "write": "append"}}
    wrong = {**mapping, "columns": columns, "load": {**mapping["load"], "list": "Newsletter"}}
    run = imported("shifted.csv", rows, wrong)
    left = account(sandbox)
    edited = edit(process(), sorted(before), random.Random(1))
    now = account(sandbox)
    clock.time += 86_400
    started, simulated = time.perf_counter(), clock.time
    report = undone(run.run, process, kills)
    took = clock.time - simulated
    print(render_text(report))
    after = account(sandbox)
    created = set(left) - set(before)
    listed = list(csv.DictReader((folder / "runs" / report.run / "created.csv").open(encoding="utf-8-sig")))
    changed = [who for who in before if left[who] != before[who]]
    silent = {who for who in before if who.startswith("||")}
    said = sum(group.count for group in report.issues if group.code == "undo-unread")
    as_before = [who for who in changed if who not in edited and after[who] == before[who]]
    but_lists = [who for who in silent if without_lists(after[who]) == without_lists(before[who])]
    kept = [who for who in edited if kept_and_back(before[who], now[who], after[who])]
    print(
        f"{len(before):,} customers, {len(changed):,} changed by the run, {len(edited)} edited since, {kills} kills: "
        f"{len(as_before):,} are byte-equal, {len(but_lists)} but for a list ({said} said), "
        f"{len(kept)} keep what was edited, {len(created)} created and "
        f"{len(listed)} listed; {took / 60:.1f} min in Klaviyo's time, {time.perf_counter() - started:.0f} s here"
    )
    right = (
        {*as_before, *kept, *but_lists} >= set(changed)
        and all(after[who] == before[who] for who in before if who not in edited | silent)
        and len(but_lists) == len(silent) == said
        and len(kept) == len(edited)
        and {f"{one['email']}|{one['phone_number'].lstrip(chr(39))}|{one['external_id']}" for one in listed} == created
    )
    return 0 if right else 1


def undone(run: str, process: Any, kills: int) -> Report:
    """Undo a run, killed so many times on the way; each process resumes what the last one left."""
    for kill in range(kills):
        with contextlib.suppress(CrashError):
            return attempt(run, process(CrashPoints(frozenset([137 + 301 * kill]))))
    return attempt(run, process())


def attempt(run: str, at: pipeline.Context) -> Report:
    """Begin the undo, or resume it."""
    with at.open_store() as store:
        newest = store.runs.newest(1)[0]
    if newest.command == "undo" and newest.status in {RunStatus.STAGED, RunStatus.LOADING}:
        return pipeline.resume(context=at)
    return pipeline.undo(run, context=at, verify="full")


def account(sandbox: Sandbox) -> dict[str, bytes]:
    """Return who → their line of the account."""
    found = {}
    for line in sandbox.dump().splitlines():
        if line:
            one = json.loads(line)
            found["|".join(one[name] or "" for name in ("email", "phone_number", "external_id"))] = line
    return found


def edit(at: pipeline.Context, people: list[str], rng: random.Random) -> set[str]:
    """Let somebody change the first name and the tags of people in Klaviyo; return whose."""
    chosen = {who for who in rng.sample(people, EDITED) if who.partition("|")[0]}
    by_email = {who.partition("|")[0]: who for who in chosen}
    with at.open_client() as client:
        for profile in client.profiles_by("email", by_email):
            attributes = {"first_name": "Edited", "properties": {"total_orders": 4_711}}
            body = {"data": {"type": "profile", "id": profile.id, "attributes": attributes}}
            client.patch_profile(profile.id, json.dumps(body).encode())
    return chosen


def without_lists(line: bytes) -> dict[str, Any]:
    """Return a profile without its lists."""
    return {name: value for name, value in json.loads(line).items() if name != "lists"}


def kept_and_back(before: bytes, now: bytes, after: bytes) -> bool:
    """Whether a profile keeps what was edited and is as before in everything else."""
    was, there, ended = (json.loads(line) for line in (before, now, after))
    wanted = {**was, "first_name": there["first_name"]}
    wanted["properties"] = {**was.get("properties", {}), "total_orders": 4_711}
    return bool(wanted == ended)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
