"""What becomes of an event once Klaviyo gets to it: a profile, a metric, a record, perhaps a flow (reference 3.9)."""

from __future__ import annotations

from typing import Any, Final

import orjson

from etl.sandbox.account import event_log, sent_messages
from etl.sandbox.account.store import Profile, Store
from etl.sandbox.protocol.settings import SandboxSettings
from etl.sandbox.resources.profiles.identity import Directory, columns_of, patch, write
from etl.sandbox.resources.profiles.validation import DROPPED_DOMAIN, FAILED_DOMAIN, IDENTIFIERS, looks_fake

_API: Final = "API"


def record(store: Store, settings: SandboxSettings, events: list[dict[str, Any]], now: float) -> None:
    """Record events in the order of their request; of those that share a key the first one stays."""
    for event in events:
        email = (event["profile"]["attributes"].get("email") or "").casefold()
        if email.endswith((DROPPED_DOMAIN, FAILED_DOMAIN)) or (settings.drop_fakes and looks_fake(email)):
            continue  # in silence, like a profile of such an address
        profile = _profile(store, event["profile"], now)
        if settings.switches.metric_twin:
            event_log.metric(store, event["metric"], settings.switches.metric_twin, now)
        metric = event_log.metric(store, event["metric"], _API, now)
        cursor = store.connection.execute(
            "INSERT INTO events (profile, metric, at, key, unique_id, value, currency, properties, backfill) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (
                profile.seq,
                metric,
                event["at"],
                event["key"],
                event["unique_id"],
                None if event["value"] is None else orjson.dumps(event["value"]).decode(),
                event["currency"],
                orjson.dumps(event["properties"]),
                int(event["backfill"]),
            ),
        )
        if cursor.rowcount < 1:
            continue
        event_log.number(store, int(cursor.lastrowid or 0))
        if not event["backfill"]:
            sent_messages.to_profiles(store, [profile.seq], "metric_flow")


def _profile(store: Store, given: dict[str, Any], now: float) -> Profile:
    """Return the event's profile, made or updated by what the event says of it. ``null`` changes nothing.

    What Klaviyo does where identifiers belong to different people is not published; here the first of id, e-mail,
    phone and external id decides, and the identifiers of the others stay theirs.
    """
    attributes = given["attributes"]
    named = store.find(id=[given["id"]]) if given.get("id") else []
    owners = Directory(store.find(**columns_of(attributes))).owners(attributes)
    found = [*named, *(owner for owner in owners if owner.seq not in {one.seq for one in named})]
    if found and not given.get("meta") and all(_says(found[0], name, value) for name, value in attributes.items()):
        return found[0]
    profile = found[0] if found else Profile(store.next_profile(), None, None, None, {}, now, now)
    taken = {name for other in found[1:] for name in IDENTIFIERS if attributes.get(name) and getattr(other, name)}
    write(profile, {name: value for name, value in attributes.items() if name not in taken}, now, nulls_clear=False)
    patch(profile, given.get("meta"))
    store.save([profile])
    return profile


def _says(profile: Profile, name: str, value: Any) -> bool:
    """Whether the profile says already what the event says of it; most events only name their person."""
    return value is None or (name in IDENTIFIERS and getattr(profile, name) == value)
