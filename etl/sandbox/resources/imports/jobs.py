"""Bulk import jobs: queued, processing, complete; errors without row numbers; duplicates dropped in any order."""

from __future__ import annotations

import sqlite3
from functools import partial
from typing import Any, Final

import orjson

from etl.sandbox.account import aside, sent_messages
from etl.sandbox.account.store import Profile, Store
from etl.sandbox.protocol import jsonapi
from etl.sandbox.protocol.settings import SandboxSettings
from etl.sandbox.resources.imports.job_rows import Import
from etl.sandbox.resources.profiles.validation import IDENTIFIERS

_EXPIRES_AFTER: Final = 7 * 86_400.0
_FAULTY_JOBS: Final = frozenset(
    {"job_stuck", "job_cancelled", "job_expired", "counters_null", "counters_off", "error_unmatched", "error_ambiguous"}
)


def submit(
    store: Store,
    settings: SandboxSettings,
    rows: list[dict[str, Any]],
    lists: list[str],
    *,
    now: float,
    fault: str | None,
) -> sqlite3.Row:
    """Record a job; nothing of it is done yet."""
    cursor = store.connection.execute(
        "INSERT INTO jobs (status, payload, lists, created, expires, due, total, fault) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            "queued",
            orjson.dumps(rows),
            orjson.dumps(lists).decode(),
            now,
            now + _EXPIRES_AFTER,
            now + settings.job_seconds,
            len(rows),
            fault if fault in _FAULTY_JOBS else None,
        ),
    )
    seq = int(cursor.lastrowid or 0)
    store.connection.execute("UPDATE jobs SET id = ? WHERE seq = ?", (jsonapi.job_id(seq), seq))
    return _row(store, seq)


def run_due_work(store: Store, settings: SandboxSettings, now: float) -> None:
    """Bring every job to where it stands at this time."""
    waiting = store.connection.execute(
        "SELECT seq, status, created, due, fault FROM jobs WHERE status IN ('queued', 'processing') ORDER BY seq"
    ).fetchall()
    for job in waiting:
        begins = job["created"] + settings.job_seconds / 4
        if job["status"] == "queued" and now >= begins:
            store.connection.execute(
                "UPDATE jobs SET status = 'processing', started = ? WHERE seq = ?", (now, job["seq"])
            )
        if job["fault"] == "job_stuck" or now < job["due"]:
            continue
        if job["fault"] == "job_cancelled":
            _cancel(store, job["seq"], now)
        else:
            store.lag.now = job["due"]
            row = _row(store, job["seq"])
            if not aside.attempt(store, "import", row["payload"], partial(_process, store, settings, row, now)):
                _cancel(store, job["seq"], now)


def _cancel(store: Store, seq: int, now: float) -> None:
    store.connection.execute(
        "UPDATE jobs SET status = 'cancelled', payload = NULL, completed = ? WHERE seq = ?", (now, seq)
    )


def document(job: sqlite3.Row, base_url: str) -> dict[str, Any]:
    """Return a job as JSON:API."""
    counters: tuple[int | None, int | None] = (job["completed_count"] or 0, job["failed_count"] or 0)
    if job["fault"] == "counters_null":
        counters = (None, None)
    elif job["fault"] == "counters_off" and job["status"] == "complete":
        counters = (max(0, (counters[0] or 0) - 1), counters[1])
    url = f"{base_url}/api/profile-bulk-import-jobs/{job['id']}"

    def related(name: str) -> dict[str, Any]:
        return {"links": {"self": f"{url}/relationships/{name}", "related": f"{url}/{name}"}}

    lists = [{"type": "list", "id": list_id} for list_id in orjson.loads(job["lists"])]
    return {
        "type": "profile-bulk-import-job",
        "id": job["id"],
        "attributes": {
            "status": job["status"],
            "created_at": jsonapi.moment(job["created"]),
            "total_count": job["total"],
            "completed_count": counters[0],
            "failed_count": counters[1],
            "completed_at": jsonapi.moment(job["completed"]),
            "expires_at": jsonapi.moment(job["expires"]),
            "started_at": jsonapi.moment(job["started"]),
        },
        "relationships": {
            "lists": {"data": lists, **related("lists")},
            "profiles": related("profiles"),
            "import-errors": related("import-errors"),
        },
        "links": {"self": url},
    }


def visible(job: sqlite3.Row, now: float) -> bool:
    """Whether the job can still be read; results expire."""
    return bool(now < job["expires"] and not (job["fault"] == "job_expired" and job["status"] == "complete"))


def _row(store: Store, seq: int) -> sqlite3.Row:
    row: sqlite3.Row = store.connection.execute("SELECT * FROM jobs WHERE seq = ?", (seq,)).fetchone()
    return row


def _process(store: Store, settings: SandboxSettings, job: sqlite3.Row, now: float) -> None:
    work = Import(store, settings, job, now)
    work.run()
    for list_id in store.known_lists(orjson.loads(job["lists"])):
        # Whether a bulk job fires these flows is not documented; the worse case is rehearsed.
        sent_messages.to_profiles(store, store.join(list_id, work.changed, now), "added_to_list")
    shown = _shown(work.errors, work.rows, job["fault"])
    _finish(store, job, work.changed, shown, failed=len(work.errors), now=now)


def _shown(
    errors: list[tuple[str, str, Any]], rows: list[dict[str, Any]], fault: str | None
) -> list[tuple[str, str, Any]]:
    if fault == "error_unmatched" and errors:
        return [(code, detail, None) for code, detail, _ in errors]
    if fault == "error_ambiguous" and len(rows) > 1:
        first, second = rows[0]["attributes"], rows[1]["attributes"]
        mixed = {"attributes": {**first, **{name: second[name] for name in IDENTIFIERS if name in second}}}
        mixed["attributes"]["email"] = first.get("email")
        return [*errors, ("invalid", "The payload provided in the request is invalid.", mixed)]
    return errors


def _finish(
    store: Store,
    job: sqlite3.Row,
    changed: dict[int, Profile],
    errors: list[tuple[str, str, Any]],
    *,
    failed: int,
    now: float,
) -> None:
    store.connection.executemany(
        "INSERT INTO job_profiles VALUES (?, ?)", [(job["seq"], seq) for seq in sorted(changed)]
    )
    store.connection.executemany(
        "INSERT INTO job_errors VALUES (?, ?, ?, 'Invalid input', ?, '/data', ?)",
        [
            (job["seq"], number, code, detail, None if row is None else orjson.dumps(row))
            for number, (code, detail, row) in enumerate(errors)
        ],
    )
    store.connection.execute(
        "UPDATE jobs SET status = 'complete', payload = NULL, started = coalesce(started, ?), completed = ?, "
        "completed_count = ?, failed_count = ? WHERE seq = ?",
        (now, now, job["total"] - failed, failed, job["seq"]),
    )
