"""The account as JSON lines, sorted and canonical: two accounts that hold the same give the same bytes.

Ids of Klaviyo's making are left out, since they depend on what came first; people go by their own identifiers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import orjson

from etl.sandbox.account.event_log import OWN
from etl.sandbox.account.store import Store, profile_of
from etl.sandbox.protocol import jsonapi

_WHO: Final = "p.email, p.phone_number, p.external_id"


def profiles(store: Store) -> bytes:
    """Every profile with the names of its lists."""
    names = _list_names(store)
    members: dict[int, list[str]] = {}
    for row in store.connection.execute("SELECT list_id, profile FROM members ORDER BY list_id"):
        members.setdefault(row["profile"], []).append(names.get(row["list_id"], row["list_id"]))
    found = (profile_of(row) for row in store.connection.execute("SELECT * FROM profiles"))
    return _lines(
        {
            "email": profile.email,
            "phone_number": profile.phone_number,
            "external_id": profile.external_id,
            # An empty section and none are answered with alike.
            **{name: value for name, value in profile.attributes.items() if value != {}},
            "lists": sorted(members.get(profile.seq, [])),
        }
        for profile in found
    )


def consents(store: Store) -> bytes:
    """Every consent and opt-out: who, channel, consent, its date, source, double opt-in."""
    query = f"SELECT {_WHO}, c.* FROM consents c JOIN profiles p ON p.seq = c.profile"  # noqa: S608 - names of ours
    return _lines(
        {
            **_who(row),
            "channel": row["channel"],
            "consent": row["consent"],
            "at": jsonapi.moment(row["at"]),
            "custom_source": row["custom_detail"],
            "double_optin": bool(row["double_optin"]),
        }
        for row in store.connection.execute(query)
    )


def suppressions(store: Store) -> bytes:
    """Every suppression: who, reason, date, and the list if it is of one."""
    names = _list_names(store)
    query = f"SELECT {_WHO}, s.* FROM suppressions s JOIN profiles p ON p.seq = s.profile"  # noqa: S608 - names of ours
    return _lines(
        {
            **_who(row),
            "reason": row["reason"],
            "at": jsonapi.moment(row["at"]),
            "list": names.get(row["list_id"], row["list_id"]) if row["list_id"] else None,
        }
        for row in store.connection.execute(query)
    )


def events(store: Store) -> bytes:
    """Every event of the API: who, metric, time, unique id, value and currency as they were sent, properties."""
    return _events(store, own=False)


def own_events(store: Store) -> bytes:
    """Every event of Klaviyo's own: subscribed, unsubscribed, suppressed, bounced."""
    return _events(store, own=True)


def messages(store: Store) -> bytes:
    """Every message that would have reached a human: medium, address, kind, count."""
    return _lines(dict(row) for row in store.connection.execute("SELECT medium, address, kind, count FROM messages"))


def set_aside(store: Store) -> bytes:
    """Every piece of accepted work that could not be done: its kind and what went wrong."""
    return _lines(dict(row) for row in store.connection.execute("SELECT kind, error FROM set_aside"))


DUMPS: Final[Mapping[str, Callable[[Store], bytes]]] = {
    "dump": profiles,
    "consents": consents,
    "suppressions": suppressions,
    "events": events,
    "own-events": own_events,
    "messages": messages,
    "set-aside": set_aside,
}
"""Knob → what it shows."""


def _events(store: Store, *, own: bool) -> bytes:
    query = (
        f"SELECT {_WHO}, m.name, e.* FROM events e JOIN profiles p ON p.seq = e.profile "  # noqa: S608 - names of ours
        f"JOIN metrics m ON m.seq = e.metric WHERE m.integration {'=' if own else '<>'} ?"
    )
    return _lines(
        {
            **_who(row),
            "metric": row["name"],
            "time": jsonapi.moment(row["at"]),
            "unique_id": row["unique_id"],
            "value": None if row["value"] is None else orjson.loads(row["value"]),
            "value_currency": row["currency"],
            "properties": orjson.loads(row["properties"]),
            "backfill": bool(row["backfill"]),
        }
        for row in store.connection.execute(query, (OWN,))
    )


def _who(row: Any) -> dict[str, Any]:
    return {name: row[name] for name in ("email", "phone_number", "external_id")}


def _list_names(store: Store) -> dict[str, str]:
    return {row["id"]: row["name"] for row in store.connection.execute("SELECT id, name FROM lists")}


def _lines(items: Iterable[Mapping[str, Any]]) -> bytes:
    return b"\n".join(sorted(orjson.dumps(item, option=orjson.OPT_SORT_KEYS) for item in items)) + b"\n"
