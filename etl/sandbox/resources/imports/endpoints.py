"""The bulk import endpoints (reference 3.4, 3.5): all-or-nothing at once, row by row later."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

import orjson

from etl.sandbox.account.store import profile_of
from etl.sandbox.protocol import bodies, jsonapi
from etl.sandbox.protocol.filters import parse_filter
from etl.sandbox.protocol.jsonapi import Problem, ProblemError, Response, answer, invalid
from etl.sandbox.protocol.list_documents import list_document
from etl.sandbox.request import Context
from etl.sandbox.resources.imports import jobs
from etl.sandbox.resources.profiles import endpoints as profiles
from etl.sandbox.resources.profiles import secondary
from etl.sandbox.resources.profiles.validation import malformed

_MAX_PROFILES: Final = 10_000
_MAX_BYTES: Final = 5_000_000  # "5MB": the smaller reading
_STATUSES: Final = frozenset({"queued", "processing", "complete", "cancelled"})
_ROWS: Final = "/data/attributes/profiles/data"
_FILTERS: Final = {"status": frozenset({"equals", "any"})}


def submit(context: Context) -> Response:
    """POST /api/profile-bulk-import-jobs."""
    if len(context.request.body) > _MAX_BYTES:
        raise ProblemError(Problem(413, "payload_too_large", "Payload too large.", "At most 5MB are allowed."))
    data = context.document(bodies.IMPORT_JOB)
    rows = _rows(data)
    found: list[Problem] = []
    for index, row in enumerate(rows):
        pointer = f"{_ROWS}/{index}"
        wrong = list(bodies.PROFILE(row, pointer))
        wrong = wrong or malformed(row["attributes"], f"{pointer}/attributes")
        found += wrong or secondary.check(row.get("meta"), f"{pointer}/meta")
    if found:
        raise ProblemError(*found)
    wanted = _lists(data)
    unknown = sorted(set(wanted) - set(context.store.known_lists(wanted)))
    if unknown:
        raise ProblemError(invalid(f"Invalid list IDs: {', '.join(unknown)}", "/data/relationships/lists"))
    job = jobs.submit(context.store, context.settings, rows, wanted, now=context.now, fault=context.fault)
    document = jobs.document(job, context.url)
    return answer(202, {"data": document, "links": document["links"], "meta": {"agent_hints": {"next_steps": []}}})


def search(context: Context) -> Response:
    """GET /api/profile-bulk-import-jobs."""
    size = context.page_size(20, 100)
    parts = ["expires > ?", "created <= ?"]
    values: list[Any] = [context.now, context.now - context.settings.switches.jobs_visible_after]
    for condition in parse_filter(context.request.parameter("filter"), _FILTERS):
        if not set(condition.values) <= _STATUSES:
            raise ProblemError(invalid("Not a status.", parameter="filter"))
        parts.append(f"status IN ({', '.join('?' * len(condition.values))})")
        values += list(condition.values)
    sort = context.request.parameter("sort") or "created_at"
    if sort.removeprefix("-") != "created_at":
        raise ProblemError(invalid("Only created_at can be sorted by.", parameter="sort"))
    direction = "DESC" if sort.startswith("-") else "ASC"
    rows = context.store.connection.execute(
        f"SELECT * FROM jobs WHERE {' AND '.join(parts)} ORDER BY seq {direction} LIMIT ? OFFSET ?",  # noqa: S608 - names of ours
        (*values, size + 1, context.offset()),
    ).fetchall()
    items = [jobs.document(row, context.url) for row in rows[:size] if jobs.visible(row, context.now)]
    return context.collection(items, more=len(rows) > size, size=size)


def get(context: Context) -> Response:
    """GET /api/profile-bulk-import-jobs/{id}."""
    job = _job(context)
    document: dict[str, Any] = {"data": jobs.document(job, context.url)}
    if context.request.parameter("include") == "lists":
        document["included"] = _lists_of(context, job)
    return answer(200, document)


def errors(context: Context) -> Response:
    """GET .../{id}/import-errors: no row number, only the payload (reference 3.5)."""
    size = context.page_size(20, 100)
    job = _job(context)
    rows = context.store.connection.execute(
        "SELECT * FROM job_errors WHERE job = ? AND ? ORDER BY number LIMIT ? OFFSET ?",
        (
            job["seq"],
            _told(context, job, context.settings.switches.job_errors_visible_after),
            size + 1,
            context.offset(),
        ),
    ).fetchall()
    items = [
        {
            "type": "import-error",
            "id": jsonapi.uuid_like(f"{job['id']}:{row['number']}"),
            "attributes": {
                "code": row["code"],
                "title": row["title"],
                "detail": row["detail"],
                "source": {"pointer": row["pointer"]},
                "original_payload": None if row["payload"] is None else orjson.loads(row["payload"]),
            },
            "links": {"self": f"{context.url}{context.request.path}"},
        }
        for row in rows[:size]
    ]
    return context.collection(items, more=len(rows) > size, size=size)


def imported(context: Context) -> Response:
    """GET .../{id}/profiles and .../relationships/profiles: what the job created or updated."""
    size = context.page_size(20, 100)
    job = _job(context)
    rows = context.store.connection.execute(
        "SELECT p.* FROM job_profiles j JOIN profiles p ON p.seq = j.profile WHERE j.job = ? AND ? "
        "ORDER BY p.seq LIMIT ? OFFSET ?",
        (
            job["seq"],
            _told(context, job, context.settings.switches.job_profiles_visible_after),
            size + 1,
            context.offset(),
        ),
    ).fetchall()
    if "/relationships/" in context.request.path:
        items: list[dict[str, Any]] = [{"type": "profile", "id": row["id"]} for row in rows[:size]]
    else:
        items = profiles.documents(context, [profile_of(row) for row in rows[:size]])
    return context.collection(items, more=len(rows) > size, size=size)


def job_lists(context: Context) -> Response:
    """GET .../{id}/lists and .../relationships/lists."""
    found = _lists_of(context, _job(context))
    if "/relationships/" in context.request.path:
        found = [{"type": "list", "id": item["id"]} for item in found]
    return context.collection(found, more=False, size=len(found) or 1)


def _told(context: Context, job: sqlite3.Row, seconds: float) -> bool:
    """Whether what became of a job's rows is told so long after it completed."""
    return job["completed"] is not None and bool(context.now >= job["completed"] + seconds)


def _rows(data: dict[str, Any]) -> list[Any]:
    rows: list[Any] = data["attributes"]["profiles"]["data"]
    if not rows:
        raise ProblemError(invalid("The profiles are required.", _ROWS))
    if len(rows) > _MAX_PROFILES:
        raise ProblemError(invalid(f"At most {_MAX_PROFILES} profiles are allowed.", _ROWS))
    return rows


def _lists(data: dict[str, Any]) -> list[str]:
    related = (data.get("relationships") or {}).get("lists") or {}
    return [item["id"] for item in related.get("data") or []]


def _lists_of(context: Context, job: sqlite3.Row) -> list[dict[str, Any]]:
    rows = context.store.connection.execute(
        "SELECT * FROM lists WHERE id IN (SELECT value FROM json_each(?))", (job["lists"],)
    ).fetchall()
    return [list_document(row, context.url) for row in rows]


def _job(context: Context) -> sqlite3.Row:
    job_id = context.parameters["id"]
    row: sqlite3.Row | None = context.store.connection.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone()
    early = row is not None and context.now < row["created"] + context.settings.switches.jobs_visible_after
    if row is None or early or not jobs.visible(row, context.now):
        raise ProblemError(
            Problem(404, "not_found", "Not found.", f"A job with id {job_id} does not exist.", "/data/id")
        )
    return row
