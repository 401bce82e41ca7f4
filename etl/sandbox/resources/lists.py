"""The list endpoints (reference 3.6). Membership is not consent."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

from etl.sandbox.account import sent_messages
from etl.sandbox.account.store import profile_of
from etl.sandbox.protocol import bodies, jsonapi
from etl.sandbox.protocol.filters import OPERATORS, as_seconds, parse_filter
from etl.sandbox.protocol.jsonapi import Problem, ProblemError, Response, answer, invalid
from etl.sandbox.protocol.list_documents import list_document
from etl.sandbox.request import Context
from etl.sandbox.resources.profiles import endpoints as profiles

_EXACT: Final = frozenset({"equals", "any"})
_FILTERS: Final = {
    "id": _EXACT,
    "name": _EXACT,
    "created": frozenset({"greater-than"}),
    "updated": frozenset({"greater-than"}),
}
_MEMBER_FILTERS: Final = {
    "email": _EXACT,
    "phone_number": _EXACT,
    "push_token": _EXACT,
    "_kx": frozenset({"equals"}),
    "joined_group_at": frozenset(OPERATORS),
}
_MAX_IDS: Final = 1_000
_OPT_IN: Final = ("single_opt_in", "double_opt_in")


def search(context: Context) -> Response:
    """GET /api/lists: at most ten a page."""
    size = context.page_size(10, 10)
    parts = [f"NOT {context.store.lag.hidden('list', 'lists.seq')}"]
    values: list[Any] = []
    for condition in parse_filter(context.request.parameter("filter"), _FILTERS):
        if condition.operator == "greater-than":
            parts.append(f"{condition.field} > ?")
            values.append(as_seconds(condition.values[0]))
        else:
            parts.append(f"{condition.field} IN ({', '.join('?' * len(condition.values))})")
            values += list(condition.values)
    order = context.direction("created", {name: name for name in ("created", "id", "name", "updated")})
    rows = context.store.connection.execute(
        f"SELECT * FROM lists WHERE {' AND '.join(parts)} "  # noqa: S608 - names of ours
        f"ORDER BY {order.format('seq')} LIMIT ? OFFSET ?",
        (*values, size + 1, context.offset()),
    ).fetchall()
    items = [list_document(row, context.url) for row in rows[:size]]
    return context.collection(items, more=len(rows) > size, size=size, included=_beside(context))


def get(context: Context) -> Response:
    """GET /api/lists/{id}, with ``profile_count`` on request."""
    row = _list(context)
    count = None
    if context.request.parameter("additional-fields[list]") == "profile_count":
        members = f"SELECT count(*) FROM {context.store.lag.members} WHERE list_id = ?"  # noqa: S608 - names of ours
        count = int(context.store.connection.execute(members, (row["id"],)).fetchone()[0])
    shown: dict[str, Any] = {"data": list_document(row, context.url, count)}
    included = _beside(context)
    return answer(200, shown if included is None else {**shown, "included": included})


def _beside(context: Context) -> list[dict[str, Any]] | None:
    """Return what ``include`` asks for: there are no tags and no flows here."""
    return [] if context.request.parameter("include") else None


def create(context: Context) -> Response:
    """POST /api/lists."""
    attributes = context.document(bodies.LIST)["attributes"]
    name = attributes["name"]
    if not name.strip():
        raise ProblemError(invalid("The name is required.", "/data/attributes/name"))
    process = attributes.get("opt_in_process") or context.settings.account.default_opt_in
    if process not in _OPT_IN:
        raise ProblemError(invalid("Not a valid opt-in process.", "/data/attributes/opt_in_process"))
    list_id = context.store.create_list(name, process, context.now)
    row = context.store.connection.execute("SELECT * FROM lists WHERE id = ?", (list_id,)).fetchone()
    context.store.lag.keep("list", row["seq"])
    return answer(201, {"data": list_document(row, context.url)})


def members(context: Context) -> Response:
    """GET /api/lists/{id}/profiles: profiles with ``joined_group_at``."""
    size = context.page_size(20, 100)
    rows = _members_page(context, size)
    items = profiles.documents(context, [profile_of(member) for member in rows[:size]])
    for item, member in zip(items, rows, strict=False):
        item["attributes"]["joined_group_at"] = jsonapi.moment(member["joined_at"])
    return context.collection(items, more=len(rows) > size, size=size)


def member_ids(context: Context) -> Response:
    """GET /api/lists/{id}/relationships/profiles."""
    size = context.page_size(20, 100)
    rows = _members_page(context, size)
    items = [{"type": "profile", "id": member["id"]} for member in rows[:size]]
    return context.collection(items, more=len(rows) > size, size=size)


def _members_page(context: Context, size: int) -> list[sqlite3.Row]:
    """Return the members that a page asks for, and one more where there is one."""
    row = _list(context)
    parsed = parse_filter(context.request.parameter("filter"), _MEMBER_FILTERS)
    joined = [condition for condition in parsed if condition.field == "joined_group_at"]
    where, values = profiles.conditions([condition for condition in parsed if condition not in joined], "p.")
    for condition in joined:
        where += f" AND m.joined_at {OPERATORS[condition.operator]} ?"
        values.append(as_seconds(condition.values[0]))
    direction = context.direction("joined_group_at", {"joined_group_at": "m.joined_at"})
    return context.store.connection.execute(
        f"SELECT p.*, m.joined_at FROM {context.store.lag.members} m "  # noqa: S608 - names of ours
        f"JOIN {context.store.lag.profiles} p ON p.seq = m.profile "
        f"WHERE m.list_id = ? AND {where} ORDER BY {direction.format('p.seq')} LIMIT ? OFFSET ?",
        (row["id"], *values, size + 1, context.offset()),
    ).fetchall()


def add(context: Context) -> Response:
    """POST /api/lists/{id}/relationships/profiles: one unknown id refuses them all."""
    joined = context.store.join(_list(context)["id"], _members(context), context.now)
    sent_messages.to_profiles(context.store, joined, "added_to_list")
    return Response(204)


def remove(context: Context) -> Response:
    """DELETE /api/lists/{id}/relationships/profiles."""
    context.store.leave(_list(context)["id"], _members(context))
    return Response(204)


def delete(context: Context) -> Response:
    """DELETE /api/lists/{id}."""
    forget(context, _list(context)["id"])
    return Response(204)


def forget(context: Context, list_id: str) -> None:
    """Delete a list with its memberships."""
    context.store.connection.execute("DELETE FROM members WHERE list_id = ?", (list_id,))
    context.store.connection.execute("DELETE FROM lists WHERE id = ?", (list_id,))


def _members(context: Context) -> list[int]:
    ids = context.identifiers("profile", _MAX_IDS)
    found = {profile.id: profile.seq for profile in context.store.find(id=ids)}
    unknown = [profile_id for profile_id in ids if profile_id not in found]
    if unknown:
        raise ProblemError(invalid(f"Invalid profile IDs: {', '.join(unknown)}", "/data/"))
    return list(found.values())


def _list(context: Context) -> sqlite3.Row:
    list_id = context.parameters["id"]
    row: sqlite3.Row | None = context.store.connection.execute(
        "SELECT * FROM lists WHERE id = ?", (list_id,)
    ).fetchone()
    if row is None:
        problem = Problem(404, "not_found", "Not found.", f"A list with id {list_id} does not exist.", "/data/id")
        raise ProblemError(problem)
    return row
