"""What a profile has agreed to, and what keeps mail from it: the records, and how they read (reference 3.2, 3.7).

Consent and suppression are two things: a subscribed profile can be suppressed, and being on a list is neither.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal

import orjson

from etl.sandbox.account.store import Store
from etl.sandbox.protocol import jsonapi

EMAIL: Final = "email.marketing"
SMS: Final = "sms.marketing"
TRACKING: Final = ("email.open_tracking", "email.click_tracking")
WHATSAPP: Final = ("whatsapp.marketing", "whatsapp.transactional", "whatsapp.conversational")
CHANNELS: Final = (EMAIL, *TRACKING, SMS, "sms.transactional", *WHATSAPP)
"""The channels that are kept. Push is taken and comes to nothing: there are no devices here."""

Reason = Literal["HARD_BOUNCE", "INVALID_EMAIL", "SPAM_COMPLAINT", "UNSUBSCRIBE", "USER_SUPPRESSED"]
REASONS: Final = ("HARD_BOUNCE", "INVALID_EMAIL", "SPAM_COMPLAINT", "UNSUBSCRIBE", "USER_SUPPRESSED")
LIFTED: Final = ("UNSUBSCRIBE", "SPAM_COMPLAINT", "USER_SUPPRESSED")
"""What subscribing removes; the endpoint's text calls the second one SPAM_REPORT (reference 3.7)."""

Row = sqlite3.Row | dict[str, Any]
"""A record as it stands, or as it was kept to be shown for a while."""

OLDEST: Final = datetime(1990, 1, 1, tzinfo=UTC).timestamp()
"""No record is older: an earlier date becomes this one (help.klaviyo.com, "Understanding consent in profiles")."""


def grant(
    store: Store, profile: int, channel: str, *, at: float, now: float, custom_detail: str | None, double_optin: bool
) -> bool:
    """Record a consent. One that stands keeps its date unless the new one is younger. Return whether it is news."""
    known = _record(store, profile, channel)
    stands = known is not None and known["consent"] == "SUBSCRIBED"
    if known is not None and stands and at <= known["at"]:
        return False
    _write(store, (profile, channel, "SUBSCRIBED", max(at, OLDEST), now, "API", custom_detail, int(double_optin)))
    return not stands


def revoke(store: Store, profile: int, channel: str, *, at: float, method: str) -> bool:
    """Record an opt-out; from e-mail marketing it suppresses too. Return whether anything changed."""
    known = _record(store, profile, channel)
    suppressed = channel == EMAIL and suppress(store, profile, "UNSUBSCRIBE", at)
    if known is not None and known["consent"] == "UNSUBSCRIBED":
        return suppressed
    _write(store, (profile, channel, "UNSUBSCRIBED", at, at, method, None, 0))
    return True


def subscribed(store: Store, profile: int, channel: str) -> bool:
    """Whether the profile is subscribed."""
    known = _record(store, profile, channel)
    return known is not None and known["consent"] == "SUBSCRIBED"


def opted_out_at(store: Store, profile: int, channel: str) -> float | None:
    """Return when the person themselves opted out of the channel, if that stands."""
    known = _record(store, profile, channel)
    moments = [known["at"]] if known is not None and known["consent"] == "UNSUBSCRIBED" else []
    if channel == EMAIL:
        query = "SELECT at FROM suppressions WHERE profile = ? AND list_id = '' AND reason = 'UNSUBSCRIBE'"
        moments += [row[0] for row in store.connection.execute(query, (profile,))]
    return max(moments, default=None)


def reachable(store: Store, profile: int) -> bool:
    """Whether mail would go out to the profile: nothing suppresses it."""
    query = "SELECT 1 FROM suppressions WHERE profile = ? AND list_id = ''"
    return store.connection.execute(query, (profile,)).fetchone() is None


def suppress(store: Store, profile: int, reason: Reason, at: float, list_id: str = "") -> bool:
    """Suppress a profile, globally or for a list. Return whether that is new."""
    before = _snapshot(store, profile)
    cursor = store.connection.execute(
        "INSERT INTO suppressions VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", (profile, list_id, reason, at)
    )
    if cursor.rowcount > 0:
        store.lag.keep("consent", profile, before)
    return cursor.rowcount > 0


def lift(store: Store, profile: int, reasons: Iterable[str], list_id: str = "") -> bool:
    """Remove suppressions. Return whether there were any."""
    before = _snapshot(store, profile)
    cursor = store.connection.execute(
        "DELETE FROM suppressions WHERE profile = ? AND list_id = ? AND reason IN (SELECT value FROM json_each(?))",
        (profile, list_id, orjson.dumps(list(reasons)).decode()),
    )
    if cursor.rowcount > 0:
        store.lag.keep("consent", profile, before)
    return cursor.rowcount > 0


def documents(store: Store, profiles: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Return the ``subscriptions`` object of each profile."""
    wanted = (orjson.dumps(list(profiles)).decode(),)
    records: dict[tuple[int, str], Row | None] = {}
    for row in store.connection.execute(
        "SELECT * FROM consents WHERE profile IN (SELECT value FROM json_each(?))", wanted
    ):
        records[row["profile"], row["channel"]] = row
    held: dict[int, list[Row]] = {}
    for row in store.connection.execute(
        "SELECT * FROM suppressions WHERE profile IN (SELECT value FROM json_each(?)) ORDER BY at, reason", wanted
    ):
        held.setdefault(row["profile"], []).append(row)
    for profile, shown in store.lag.shown("consent", profiles).items():
        records |= {(profile, channel): None for channel in CHANNELS}
        records |= {(profile, record["channel"]): record for record in shown["records"]}
        held[profile] = shown["held"]
    return {
        profile: _document({channel: records.get((profile, channel)) for channel in CHANNELS}, held.get(profile, []))
        for profile in profiles
    }


def _document(records: dict[str, Row | None], held: list[Row]) -> dict[str, Any]:
    listed = [row for row in held if row["list_id"]]
    everywhere = [row for row in held if not row["list_id"]]
    email = records[EMAIL]
    marketing = {
        # True without any consent at all: mail needs no consent here, only the absence of suppression (OpenAPI).
        "can_receive_email_marketing": not everywhere,
        **_common(email),
        "custom_method_detail": email["custom_detail"] if email is not None else None,
        "double_optin": bool(email["double_optin"]) if email is not None else None,
        "suppression": [{"reason": row["reason"], "timestamp": jsonapi.moment(row["at"])} for row in everywhere],
        "list_suppressions": [
            {"list_id": row["list_id"], "reason": row["reason"], "timestamp": jsonapi.moment(row["at"])}
            for row in listed
        ],
    }
    document: dict[str, Any] = {"email": {"marketing": marketing}, "sms": {}}
    for channel in (*TRACKING, *WHATSAPP):
        record = records[channel]
        if record is not None:
            medium, _, kind = channel.partition(".")
            document.setdefault(medium, {})[kind] = {
                "can_receive": record["consent"] == "SUBSCRIBED",
                "consent": record["consent"],
                "consent_timestamp": jsonapi.moment(record["at"]),
                "last_updated": jsonapi.moment(record["updated"]),
            }
    for kind in ("marketing", "transactional"):
        record = records[f"sms.{kind}"]
        received = record is not None and record["consent"] == "SUBSCRIBED"
        document["sms"][kind] = {f"can_receive_sms_{kind}": received, **_common(record)}
    return document


def _common(record: Row | None) -> dict[str, Any]:
    if record is None:
        never = dict.fromkeys(("consent_timestamp", "last_updated", "method"))
        return {"consent": "NEVER_SUBSCRIBED", **never, "method_detail": ""}
    return {
        "consent": record["consent"],
        "consent_timestamp": jsonapi.moment(record["at"]),
        "last_updated": jsonapi.moment(record["updated"]),
        "method": record["method"],
        "method_detail": "",
    }


def _record(store: Store, profile: int, channel: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = store.connection.execute(
        "SELECT * FROM consents WHERE profile = ? AND channel = ?", (profile, channel)
    ).fetchone()
    return row


def _snapshot(store: Store, profile: int) -> dict[str, Any] | None:
    """Return the records of a profile as they are, where reading will lag behind them."""
    if not store.lag.follows("consent"):
        return None
    shown = {
        name: [dict(row) for row in store.connection.execute(f"SELECT * FROM {table} WHERE profile = ?", (profile,))]  # noqa: S608
        for name, table in (("records", "consents"), ("held", "suppressions"))
    }
    return dict(shown)


def _write(store: Store, values: tuple[Any, ...]) -> None:
    store.lag.keep("consent", values[0], _snapshot(store, values[0]))
    store.connection.execute("INSERT OR REPLACE INTO consents VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
    store.connection.execute("UPDATE profiles SET updated = ? WHERE seq = ?", (values[4], values[0]))
