"""The endpoints that suppress and unsuppress by hand (reference 3.8, OpenAPI document): jobs, of a kind of their own.

They count what they skipped and never what failed, and they do not expire.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Literal

import orjson

from etl.sandbox.account import aside, consent_records, event_log
from etl.sandbox.account.store import Store
from etl.sandbox.protocol import bodies, jsonapi
from etl.sandbox.protocol.filters import parse_filter
from etl.sandbox.protocol.jsonapi import Problem, ProblemError, Response, answer, invalid
from etl.sandbox.protocol.settings import SandboxSettings
from etl.sandbox.protocol.switches import Switches
from etl.sandbox.request import Context
from etl.sandbox.resources.consent import apply as subscribing
from etl.sandbox.resources.profiles.identity import key_of
from etl.sandbox.resources.profiles.validation import malformed

Action = Literal["create", "delete"]

_MAX_EMAILS: Final = 100
_PAGE: Final = 20
_ROWS: Final = "/data/attributes/profiles/data"
_STATUSES: Final = frozenset({"queued", "processing", "complete", "cancelled"})
_EQUALS: Final = frozenset({"equals"})
_FILTERS: Final = {"status": _EQUALS, "list_id": _EQUALS, "segment_id": _EQUALS}
_FAULTS: Final = frozenset({"job_stuck", "job_cancelled", "counters_null", "counters_off"})


def path_of(action: Action) -> str:
    """Return where jobs of a kind live."""
    return f"/api/{_type(action)}s"


def submit(action: Action) -> Callable[[Context], Response]:
    """POST /api/profile-suppression-bulk-create-jobs and -delete-jobs."""

    def handle(context: Context) -> Response:
        data = context.document(bodies.SUPPRESSION_JOB[_type(action)])
        emails, list_id = _emails(data), _list(context, data)
        if (emails is None) == (list_id is None):
            raise ProblemError(invalid("Give either profiles, or one list or segment.", "/data"))
        if emails is None:
            query = "SELECT p.email FROM members m JOIN profiles p ON p.seq = m.profile WHERE m.list_id = ?"
            emails = [row[0] for row in context.store.connection.execute(query, (list_id,)) if row[0]]
        cursor = context.store.connection.execute(
            "INSERT INTO suppression_jobs (action, status, payload, list_id, created, due, total, fault) "
            "VALUES (?, 'queued', ?, ?, ?, ?, ?, ?)",
            (
                action,
                orjson.dumps(emails),
                list_id,
                context.now,
                context.now + context.settings.job_seconds,
                len(emails),
                context.fault if context.fault in _FAULTS else None,
            ),
        )
        seq = int(cursor.lastrowid or 0)
        job_id = jsonapi.suppression_job_id(seq)
        context.store.connection.execute("UPDATE suppression_jobs SET id = ? WHERE seq = ?", (job_id, seq))
        document = _document(_job(context.store, action, job_id), context.url)
        return answer(202, {"data": document, "links": document["links"]})

    return handle


def search(action: Action) -> Callable[[Context], Response]:
    """GET /api/profile-suppression-bulk-create-jobs and -delete-jobs. Pages have no size to choose."""

    def handle(context: Context) -> Response:
        parts: list[str] = ["action = ?"]
        values: list[str] = [action]
        for condition in parse_filter(context.request.parameter("filter"), _FILTERS):
            if condition.field == "status" and not set(condition.values) <= _STATUSES:
                raise ProblemError(invalid("Not a status.", parameter="filter"))
            # There are no segments here, so no job is of one.
            parts.append("false AND ? <> ''" if condition.field == "segment_id" else f"{condition.field} = ?")
            values += condition.values
        sort = context.request.parameter("sort") or "created"
        if sort.removeprefix("-") != "created":
            raise ProblemError(invalid("Only created can be sorted by.", parameter="sort"))
        direction = "DESC" if sort.startswith("-") else "ASC"
        rows = context.store.connection.execute(
            f"SELECT * FROM suppression_jobs WHERE {' AND '.join(parts)} "  # noqa: S608 - names of ours
            f"ORDER BY seq {direction} LIMIT ? OFFSET ?",
            (*values, _PAGE + 1, context.offset()),
        ).fetchall()
        items = [_document(row, context.url) for row in rows[:_PAGE]]
        return context.collection(items, more=len(rows) > _PAGE, size=_PAGE)

    return handle


def get(action: Action) -> Callable[[Context], Response]:
    """GET /api/profile-suppression-bulk-create-jobs/{id} and -delete-jobs/{id}."""

    def handle(context: Context) -> Response:
        job = _job(context.store, action, context.parameters["id"])
        return answer(200, {"data": _document(job, context.url)})

    return handle


def run_due_work(store: Store, settings: SandboxSettings, now: float) -> None:
    """Bring every job to where it stands at this time."""
    waiting = store.connection.execute(
        "SELECT * FROM suppression_jobs WHERE status IN ('queued', 'processing') ORDER BY seq"
    ).fetchall()
    for job in waiting:
        if job["fault"] != "job_stuck" and now >= job["due"]:
            store.lag.now = job["due"]
            if not aside.attempt(store, "suppression", job["payload"], partial(_finish, store, settings, job)):
                _close(store, job, "cancelled", done=0)
        elif job["status"] == "queued" and now >= job["created"] + settings.job_seconds / 4:
            store.connection.execute("UPDATE suppression_jobs SET status = 'processing' WHERE seq = ?", (job["seq"],))


def _finish(store: Store, settings: SandboxSettings, job: sqlite3.Row) -> None:
    done = 0
    status = "cancelled" if job["fault"] == "job_cancelled" else "complete"
    if status == "complete":
        act = _suppress if job["action"] == "create" else _unsuppress
        done = sum(act(store, settings.switches, email, job["due"]) for email in orjson.loads(job["payload"]))
    _close(store, job, status, done)


def _close(store: Store, job: sqlite3.Row, status: str, done: int) -> None:
    store.connection.execute(
        "UPDATE suppression_jobs SET status = ?, payload = '[]', completed = ?, completed_count = ?, skipped_count = ? "
        "WHERE seq = ?",
        (status, job["due"], done, job["total"] - done if status == "complete" else 0, job["seq"]),
    )


def _suppress(store: Store, switches: Switches, email: str, now: float) -> bool:
    """Suppress an address, by a profile made for it where it is nobody's. Consent is left as it is."""
    found = store.find(email_key=[key_of("email", email)])
    if not found and switches.suppressed_stranger == "skip":
        return False
    if found and switches.suppressed_already == "skip" and not consent_records.reachable(store, found[0].seq):
        return False
    profile = subscribing.person(store, {"email": email}, "email", now)
    if not consent_records.suppress(store, profile.seq, "USER_SUPPRESSED", now):
        return False
    event_log.log_internal_event(store, profile.seq, "Manually Suppressed from Email Marketing", now)
    return True


def _unsuppress(store: Store, _switches: Switches, email: str, now: float) -> bool:
    """Remove what was suppressed by hand, and nothing else: not an opt-out, a bounce or a complaint."""
    found = store.find(email_key=[key_of("email", email)])
    if not found or not consent_records.lift(store, found[0].seq, ("USER_SUPPRESSED",)):
        return False
    event_log.log_internal_event(store, found[0].seq, "Manually Unsuppressed from Email Marketing", now)
    return True


def _emails(data: dict[str, Any]) -> list[str] | None:
    profiles = data["attributes"].get("profiles")
    if profiles is None:
        return None
    rows = profiles["data"]
    if not rows:
        raise ProblemError(invalid("At least one profile is required.", _ROWS))
    if len(rows) > _MAX_EMAILS:
        raise ProblemError(invalid(f"At most {_MAX_EMAILS} profiles are allowed.", _ROWS))
    emails, found = [], []
    for index, row in enumerate(rows):
        given = row.get("attributes") if isinstance(row, dict) and row.get("type") == "profile" else None
        at = f"{_ROWS}/{index}/attributes"
        if not isinstance(given, dict) or given.keys() != {"email"} or given["email"] is None:
            found.append(invalid("Exactly the email is required.", f"{at}/email"))
            continue
        found += malformed(given, at)
        emails.append(given["email"])
    if found:
        raise ProblemError(*found)
    return emails


def _list(context: Context, data: dict[str, Any]) -> str | None:
    relationships = {name: value for name, value in (data.get("relationships") or {}).items() if value}
    if not relationships:
        return None
    kind = next(iter(relationships))
    if len(relationships) > 1 or kind not in {"list", "segment"}:
        raise ProblemError(invalid("Give one list or one segment.", "/data/relationships"))
    if not relationships[kind].get("data"):
        return None
    wanted = str(relationships[kind]["data"]["id"])
    if kind == "segment" or not context.store.known_lists([wanted]):
        detail = f"A {kind} with id {wanted} does not exist."
        raise ProblemError(Problem(404, "not_found", "Not found.", detail, f"/data/relationships/{kind}/data/id"))
    return wanted


def _type(action: str) -> str:
    return f"profile-suppression-bulk-{action}-job"


def _job(store: Store, action: Action, job_id: str) -> sqlite3.Row:
    row: sqlite3.Row | None = store.connection.execute(
        "SELECT * FROM suppression_jobs WHERE action = ? AND id = ?", (action, job_id)
    ).fetchone()
    if row is None:
        raise ProblemError(
            Problem(404, "not_found", "Not found.", f"A job with id {job_id} does not exist.", "/data/id")
        )
    return row


def _document(job: sqlite3.Row, base_url: str) -> dict[str, Any]:
    counters: tuple[int | None, int | None] = (job["completed_count"] or 0, job["skipped_count"] or 0)
    if job["fault"] == "counters_null":
        counters = (None, None)
    elif job["fault"] == "counters_off" and job["status"] == "complete":
        counters = (max(0, (counters[0] or 0) - 1), counters[1])
    url = f"{base_url}/api/{_type(job['action'])}s/{job['id']}"
    lists = [{"type": "list", "id": job["list_id"]}] if job["list_id"] else []

    def related(name: str, data: list[dict[str, str]]) -> dict[str, Any]:
        return {"data": data, "links": {"self": f"{url}/relationships/{name}", "related": f"{url}/{name}"}}

    return {
        "type": _type(job["action"]),
        "id": job["id"],
        "attributes": {
            "status": job["status"],
            "created_at": jsonapi.moment(job["created"]),
            "total_count": job["total"],
            "completed_count": counters[0],
            "completed_at": jsonapi.moment(job["completed"]),
            "skipped_count": counters[1],
        },
        "relationships": {"lists": related("lists", lists), "segments": related("segments", [])},
        "links": {"self": url},
    }
