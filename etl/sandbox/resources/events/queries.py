"""The endpoints that show events and metrics (reference 3.9, 3.10, OpenAPI document)."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable
from typing import Any, Final

import orjson

from etl.sandbox.account import event_log
from etl.sandbox.account.store import profile_of
from etl.sandbox.protocol import jsonapi
from etl.sandbox.protocol.filters import OPERATORS, as_seconds, parse_filter
from etl.sandbox.protocol.jsonapi import Problem, ProblemError, Response, answer, invalid
from etl.sandbox.protocol.switches import Switches
from etl.sandbox.request import Context
from etl.sandbox.resources.profiles import endpoints as profiles

_EQUALS: Final = frozenset({"equals"})
_MOMENTS: Final = frozenset(OPERATORS)
_HAS: Final = frozenset({"has"})
_FILTERS: Final = {
    "metric_id": _EQUALS,
    "profile_id": _EQUALS,
    "profile": _HAS,
    "metric": _HAS,
    "datetime": _MOMENTS,
    "timestamp": _MOMENTS,
}
_METRIC_FILTERS: Final = {"integration.name": _EQUALS, "integration.category": _EQUALS}
_INCLUDES: Final = frozenset({"attributions", "metric", "profile"})
_SORTS: Final = frozenset({"datetime", "timestamp"})
_EVENTS: Final = (
    "SELECT e.*, m.id AS metric_id, p.id AS profile_id FROM events e "
    "JOIN metrics m ON m.seq = e.metric JOIN profiles p ON p.seq = e.profile"
)
_METRICS_PAGE: Final = 200
_SECONDS: Final = re.compile(r"[0-9]{1,12}")


def search(context: Context) -> Response:
    """GET /api/events: 200 a page unless more are asked for, the oldest first unless sorted otherwise."""
    size = context.page_size(200, 1_000)
    parts, values = [f"NOT {context.store.lag.hidden('event', 'e.seq')}"], list[Any]()
    for condition in parse_filter(context.request.parameter("filter"), _FILTERS):
        if condition.operator == "has":
            continue  # every event here is somebody's, and of a metric
        if condition.operator == "equals":
            parts.append(f"{condition.field} = ?")
            values.append(condition.values[0])
        else:
            parts.append(f"e.at {OPERATORS[condition.operator]} ?")
            values.append(_seconds(condition.field, condition.values[0]))
    sort = context.request.parameter("sort") or "datetime"
    if sort.removeprefix("-") not in _SORTS:
        raise ProblemError(invalid(f"'{sort}' is not a sortable field.", parameter="sort"))
    direction = "DESC" if sort.startswith("-") else "ASC"
    rows = context.store.connection.execute(
        f"{_EVENTS} WHERE {' AND '.join(parts)} ORDER BY e.at {direction}, e.seq {direction} LIMIT ? OFFSET ?",
        (*values, size + 1, context.offset()),
    ).fetchall()
    included = _included(context, rows[:size])
    items = [document(row, context.url, context.settings.switches) for row in rows[:size]]
    return context.collection(items, more=len(rows) > size, size=size, included=included)


def get(context: Context) -> Response:
    """GET /api/events/{id}."""
    event_id = context.parameters["id"]
    shown = f"NOT {context.store.lag.hidden('event', 'e.seq')}"
    row = context.store.connection.execute(f"{_EVENTS} WHERE e.id = ? AND {shown}", (event_id,)).fetchone()
    if row is None:
        raise _missing("An event", event_id)
    included = _included(context, [row])
    shown_event = document(row, context.url, context.settings.switches)
    return answer(200, {"data": shown_event} | ({"included": included} if included is not None else {}))


def metrics(context: Context) -> Response:
    """GET /api/metrics: 200 a page, which cannot be chosen."""
    parts, values = [f"NOT {context.store.lag.hidden('metric', 'metrics.seq')}"], list[str]()
    for condition in parse_filter(context.request.parameter("filter"), _METRIC_FILTERS):
        column = "integration" if condition.field == "integration.name" else f"({_CATEGORY})"
        parts.append(f"{column} = ?")
        values += condition.values
    rows = context.store.connection.execute(
        f"SELECT * FROM metrics WHERE {' AND '.join(parts)} ORDER BY seq LIMIT ? OFFSET ?",  # noqa: S608 - names of ours
        (*values, _METRICS_PAGE + 1, context.offset()),
    ).fetchall()
    items = [metric_document(row, context.url) for row in rows[:_METRICS_PAGE]]
    return context.collection(items, more=len(rows) > _METRICS_PAGE, size=_METRICS_PAGE)


def get_metric(context: Context) -> Response:
    """GET /api/metrics/{id}."""
    row = context.store.connection.execute("SELECT * FROM metrics WHERE id = ?", (context.parameters["id"],)).fetchone()
    if row is None:
        raise _missing("A metric", context.parameters["id"])
    return answer(200, {"data": metric_document(row, context.url)})


def one(connection: sqlite3.Connection, seq: int) -> sqlite3.Row:
    """Return the row of an event by its number."""
    row: sqlite3.Row = connection.execute(f"{_EVENTS} WHERE e.seq = ?", (seq,)).fetchone()
    return row


def document(row: sqlite3.Row, url: str, switches: Switches) -> dict[str, Any]:
    """Return an event as JSON:API. Its value, currency and unique id are shown among its properties, or not."""
    properties = orjson.loads(row["properties"])
    if row["unique_id"] is not None and switches.event_id == "shown":
        properties["$event_id"] = row["unique_id"]
    if row["value"] is not None and switches.event_value == "shown":
        properties["$value"] = orjson.loads(row["value"])
    if row["currency"] is not None and switches.event_value == "shown":
        properties["$value_currency"] = row["currency"]
    own = f"{url}/api/events/{row['id']}"

    def related(name: str, data: Any) -> dict[str, Any]:
        return {"data": data, "links": {"self": f"{own}/relationships/{name}", "related": f"{own}/{name}"}}

    return {
        "type": "event",
        "id": row["id"],
        "attributes": {
            "timestamp": row["at"],
            "event_properties": properties,
            "datetime": jsonapi.to_second(row["at"]),
            "uuid": jsonapi.uuid_like(f"event:{row['id']}"),
        },
        "relationships": {
            "profile": related("profile", {"type": "profile", "id": row["profile_id"]}),
            "metric": related("metric", {"type": "metric", "id": row["metric_id"]}),
            "attributions": related("attributions", []),
        },
        "links": {"self": own},
    }


def metric_document(row: sqlite3.Row, url: str) -> dict[str, Any]:
    """Return a metric as JSON:API."""
    own = f"{url}/api/metrics/{row['id']}"
    category = "Internal" if row["integration"] == event_log.OWN else row["integration"]
    return {
        "type": "metric",
        "id": row["id"],
        "attributes": {
            "name": row["name"],
            "created": jsonapi.moment(row["created"]),
            "updated": jsonapi.moment(row["updated"]),
            "integration": {
                "object": "integration",
                "id": jsonapi.integration_id(row["integration"]),
                "name": row["integration"],
                "category": category,
            },
        },
        "relationships": {
            "flow-triggers": {
                "links": {"self": f"{own}/relationships/flow-triggers", "related": f"{own}/flow-triggers"}
            }
        },
        "links": {"self": own},
    }


_CATEGORY: Final = f"CASE integration WHEN '{event_log.OWN}' THEN 'Internal' ELSE integration END"


def _included(context: Context, rows: Iterable[sqlite3.Row]) -> list[dict[str, Any]] | None:
    """Return what ``include`` asks for beside the events, each once; ``None`` where it asks for nothing."""
    asked = context.request.parameter("include")
    if not asked:
        return None
    wanted = set(asked.split(","))
    if wanted - _INCLUDES:
        raise ProblemError(invalid(f"Invalid include: {asked}", parameter="include"))
    numbers = {name: sorted({row[name] for row in rows}) for name in ("metric", "profile") if name in wanted}
    query = "SELECT * FROM {} WHERE seq IN (SELECT value FROM json_each(?)) ORDER BY seq"
    found: list[dict[str, Any]] = []
    for name, shown in numbers.items():
        of_kind = context.store.connection.execute(query.format(f"{name}s"), (orjson.dumps(shown).decode(),)).fetchall()
        if name == "metric":
            found += [metric_document(row, context.url) for row in of_kind]
        else:
            found += profiles.documents(context, [profile_of(row) for row in of_kind])
    return found


def _seconds(field: str, text: str) -> float:
    if field == "datetime":
        return as_seconds(text)
    if not _SECONDS.fullmatch(text):
        raise ProblemError(invalid("A timestamp is a whole number of seconds.", parameter="filter"))
    return int(text)


def _missing(kind: str, wanted: str) -> ProblemError:
    return ProblemError(Problem(404, "not_found", "Not found.", f"{kind} with id {wanted} does not exist.", "/data/id"))
