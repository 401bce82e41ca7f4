"""The profile endpoints: upsert, create, patch, look up (reference 3.1, 3.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from etl.sandbox.account import consent_records, event_log
from etl.sandbox.account.store import Profile, profile_of
from etl.sandbox.protocol import bodies, jsonapi
from etl.sandbox.protocol.filters import OPERATORS, Condition, as_seconds, parse_filter
from etl.sandbox.protocol.jsonapi import Problem, ProblemError, Response, answer, invalid
from etl.sandbox.protocol.list_documents import list_document
from etl.sandbox.request import Context
from etl.sandbox.resources.profiles import merging, secondary, unkind
from etl.sandbox.resources.profiles.identity import Directory, columns_of, conflict, patch, write
from etl.sandbox.resources.profiles.validation import (
    IDENTIFIERS,
    LOCATION,
    PLAIN,
    PROFILE_BYTES,
    is_real_phone,
    malformed,
    only_phone_is_bad,
)

_EXACT: Final = frozenset({"equals", "any"})
_TIMES: Final = frozenset({"greater-than", "less-than"})
_MOMENTS: Final = frozenset(OPERATORS)
_HELD: Final = "subscriptions.email.marketing."
FILTERS: Final[Mapping[str, frozenset[str]]] = {
    "id": _EXACT,
    "email": _EXACT,
    "phone_number": _EXACT,
    "external_id": _EXACT,
    "_kx": frozenset({"equals"}),
    "created": _TIMES,
    "updated": _TIMES,
    f"{_HELD}suppression.reason": frozenset({"equals"}),
    f"{_HELD}suppression.timestamp": _MOMENTS,
    f"{_HELD}list_suppressions.reason": frozenset({"equals"}),
    f"{_HELD}list_suppressions.list_id": frozenset({"equals"}),
    f"{_HELD}list_suppressions.timestamp": _MOMENTS,
}
_NOBODYS: Final = frozenset({"_kx", "push_token"})
"""Identifiers that only Klaviyo gives out, and the sandbox never does."""
_SORTS: Final[Mapping[str, str]] = {
    "id": "id",
    "created": "created",
    "updated": "updated",
    "email": "email_key",
    f"{_HELD}suppression.timestamp": "(SELECT max(at) FROM suppressions WHERE profile = seq AND list_id = '')",
    f"{_HELD}list_suppressions.timestamp": "(SELECT max(at) FROM suppressions WHERE profile = seq AND list_id <> '')",
}
_POINTER: Final = "/data/attributes"
_DROPPED_PHONE: Final = {"x-klaviyo-partial-failure": "phone_number"}


def documents(context: Context, found: Sequence[Profile]) -> list[dict[str, Any]]:
    """Return profiles as JSON:API, with ``subscriptions`` where they were asked for."""
    numbers = [profile.seq for profile in found]
    consents: dict[int, Any] = {}
    if wants_subscriptions(context):
        consents = unkind.subscriptions(consent_records.documents(context.store, numbers), context.settings.switches)
    latest = event_log.latest(context.store, numbers)
    return [_document(profile, context.url, latest.get(profile.seq), consents.get(profile.seq)) for profile in found]


def plain(profile: Profile, url: str) -> dict[str, Any]:
    """Return a profile as JSON:API outside of any request."""
    return _document(profile, url, None, None)


def _document(
    profile: Profile, url: str, last_event: float | None, subscriptions: dict[str, Any] | None
) -> dict[str, Any]:
    attributes: dict[str, Any] = {name: getattr(profile, name) for name in IDENTIFIERS}
    attributes |= {name: profile.attributes.get(name) for name in PLAIN}
    location = profile.attributes.get("location") or {}
    attributes["location"] = {name: location.get(name) for name in LOCATION}
    attributes["properties"] = profile.attributes.get("properties") or {}
    attributes["created"] = jsonapi.moment(profile.created)
    attributes["updated"] = jsonapi.moment(profile.updated)
    attributes["last_event_date"] = jsonapi.moment(last_event)
    if subscriptions is not None:
        attributes["subscriptions"] = None if subscriptions is unkind.NULL else subscriptions
    own = f"{url}/api/profiles/{profile.id}"
    related = {
        name: {"links": {"self": f"{own}/relationships/{name}", "related": f"{own}/{name}"}}
        for name in ("lists", "segments")
    }
    return {
        "type": "profile",
        "id": profile.id,
        "attributes": attributes,
        "relationships": related,
        "links": {"self": own},
    }


def upsert(context: Context) -> Response:
    """POST /api/profile-import: create (201) or update (200); ``null`` clears, what is left out stays."""
    data = _data(context)
    attributes, headers = _accepted(data)
    owners = _owners(context, data, attributes)
    _settle(context, owners, attributes)
    return _written(context, data, attributes, owners[0] if owners else None, headers)


def create(context: Context) -> Response:
    """POST /api/profiles: create, 409 if any identifier is taken."""
    data = _data(context)
    attributes, headers = _accepted(data)
    owners = _owners(context, {}, attributes)
    if owners:
        raise ProblemError(conflict(owners[0]))
    return _written(context, data, attributes, None, headers)


def update(context: Context) -> Response:
    """PATCH /api/profiles/{id}."""
    data = _data(context)
    found = context.store.find(id=[context.parameters["id"]])
    if not found:
        raise ProblemError(missing(context.parameters["id"]))
    if data.get("id") != context.parameters["id"]:
        raise ProblemError(invalid("The id in the body must equal the id in the path.", "/data/id"))
    attributes, headers = _accepted(data, needs_identifier=False)
    others = [owner for owner in _owners(context, {}, attributes) if owner.seq != found[0].seq]
    _settle(context, [found[0], *others], attributes)
    return _written(context, data, attributes, found[0], headers)


def get(context: Context) -> Response:
    """GET /api/profiles/{id}."""
    query = f"SELECT * FROM {context.store.lag.profiles} WHERE id = ?"  # noqa: S608 - names of ours
    rows = context.store.connection.execute(query, (context.parameters["id"],))
    found = [profile_of(row) for row in rows]
    if not found:
        raise ProblemError(missing(context.parameters["id"]))
    return answer(200, {"data": documents(context, found)[0], **_beside(context, found[0])})


def _beside(context: Context, profile: Profile) -> dict[str, Any]:
    """Return what ``include`` asks for beside a profile. There are no segments, conversations and push tokens here."""
    asked = context.request.parameter("include")
    if not asked:
        return {}
    query = "SELECT l.* FROM lists l JOIN members m ON m.list_id = l.id WHERE m.profile = ? ORDER BY l.seq"
    rows = context.store.connection.execute(query, (profile.seq,)).fetchall() if "lists" in asked.split(",") else []
    return {"included": [list_document(row, context.url) for row in rows]}


def search(context: Context) -> Response:
    """GET /api/profiles: filtered, sorted, paged."""
    size = context.page_size(20, 100)
    where, values = conditions(parse_filter(context.request.parameter("filter"), FILTERS))
    sort = context.request.parameter("sort") or "created"
    field = sort.removeprefix("-")
    if field not in _SORTS:
        raise ProblemError(invalid(f"'{field}' is not a sortable field.", parameter="sort"))
    direction = "DESC" if sort.startswith("-") else "ASC"
    rows = context.store.connection.execute(
        f"SELECT * FROM {context.store.lag.profiles} WHERE {where} "  # noqa: S608 - names of ours
        f"ORDER BY {_SORTS[field]} {direction}, seq {direction} LIMIT ? OFFSET ?",
        (*values, size + 1, context.offset()),
    ).fetchall()
    items = documents(context, [profile_of(row) for row in rows[:size]])
    included: list[dict[str, Any]] | None = [] if context.request.parameter("include") else None
    return context.collection(items, more=len(rows) > size, size=size, included=included)


def conditions(parsed: list[Condition], prefix: str = "") -> tuple[str, list[Any]]:
    """Return SQL and its values for conditions over the table ``profiles``."""
    parts = ["1 = 1"]
    values: list[Any] = []
    for condition in parsed:
        column = prefix + condition.field
        if condition.field.startswith(_HELD):
            part, value = _suppressed(condition, prefix)
            parts.append(part)
            values.append(value)
        elif condition.field in _NOBODYS:
            parts.append("false")
        elif condition.field == "email":
            part, keys = _by_email(condition, prefix)
            parts.append(part)
            values += keys
        elif condition.operator in _TIMES:
            parts.append(f"{column} {OPERATORS[condition.operator]} ?")
            values.append(as_seconds(condition.values[0]))
        else:
            parts.append(f"{column} IN ({', '.join('?' * len(condition.values))})")
            values += condition.values
    return " AND ".join(parts), values


def _by_email(condition: Condition, prefix: str) -> tuple[str, list[str]]:
    """Return SQL for profiles by their addresses, the secondary ones too, and its values."""
    keys = [value.lower() for value in condition.values]
    marks = ", ".join("?" * len(keys))
    others = f"SELECT profile FROM secondary_emails WHERE email_key IN ({marks})"  # noqa: S608 - names of ours
    return f"({prefix}email_key IN ({marks}) OR {prefix}seq IN ({others}))", [*keys, *keys]


def _suppressed(condition: Condition, prefix: str) -> tuple[str, Any]:
    kind, _, field = condition.field.removeprefix(_HELD).partition(".")
    column, operator, value = field, "=", cast("Any", condition.values[0])
    if field == "timestamp":
        column, operator, value = "at", OPERATORS[condition.operator], as_seconds(condition.values[0])
    where = "list_id = ''" if kind == "suppression" else "list_id <> ''"
    inner = f"SELECT profile FROM suppressions WHERE {where} AND {column} {operator} ?"  # noqa: S608 - names of ours
    return f"{prefix}seq IN ({inner})", value


def wants_subscriptions(context: Context) -> bool:
    """Whether ``additional-fields[profile]`` asks for them."""
    return "subscriptions" in (context.request.parameter("additional-fields[profile]") or "").split(",")


def missing(profile_id: str) -> Problem:
    """Return the 404 of a profile."""
    return Problem(404, "not_found", "Not found.", f"A profile with id {profile_id} does not exist.", "/data/id")


def _data(context: Context) -> dict[str, Any]:
    if len(context.request.body) > PROFILE_BYTES:
        raise ProblemError(Problem(413, "payload_too_large", "Payload too large.", "At most 100KB are allowed."))
    return context.document(bodies.PROFILE)


def _accepted(data: dict[str, Any], *, needs_identifier: bool = True) -> tuple[dict[str, Any], dict[str, str]]:
    attributes = data.get("attributes")
    found = malformed(attributes, _POINTER) + secondary.check(data.get("meta"), "/data/meta")
    headers: dict[str, str] = {}
    accepted = dict(attributes) if isinstance(attributes, dict) else {}
    unreal = bool(accepted.get("phone_number")) and not found and not is_real_phone(accepted["phone_number"])
    if found and not only_phone_is_bad(accepted, found, _POINTER):
        raise ProblemError(*found)
    if found or (unreal and any(accepted.get(name) for name in ("email", "external_id"))):
        del accepted["phone_number"]
        headers = _DROPPED_PHONE
    elif unreal:
        raise ProblemError(invalid("Invalid phone number", f"{_POINTER}/phone_number"))
    if needs_identifier and not data.get("id") and not any(accepted.get(name) for name in IDENTIFIERS):
        raise ProblemError(invalid("One or more identifiers is required", _POINTER))
    return accepted, headers


def _owners(context: Context, data: dict[str, Any], attributes: dict[str, Any]) -> list[Profile]:
    found = context.store.find(**columns_of(attributes))
    owners = Directory(found).owners(attributes)
    if data.get("id"):
        named = context.store.find(id=[str(data["id"])])
        if not named:
            raise ProblemError(missing(str(data["id"])))
        owners = [named[0], *(owner for owner in owners if owner.seq != named[0].seq)]
    return owners


def _settle(context: Context, owners: list[Profile], attributes: dict[str, Any]) -> None:
    """Settle whose identifiers they are where they are of several profiles. Raise a 409 problem."""
    how = context.settings.switches.identity_conflict
    for other in owners[1:]:
        if how == "refuse":
            raise ProblemError(conflict(other))
        merging.settle(context.store, how, owners[0], other, attributes)


def _written(
    context: Context, data: dict[str, Any], attributes: dict[str, Any], found: Profile | None, headers: dict[str, str]
) -> Response:
    store = context.store
    profile = found or Profile(store.next_profile(), None, None, None, {}, context.now, context.now)
    write(profile, attributes, context.now, nulls_clear=True)
    patch(profile, data.get("meta"))
    store.save([profile])
    secondary.patch(store, profile, data.get("meta"))
    status = 200 if found else 201
    return answer(status, {"data": documents(context, [profile])[0]}, headers)
