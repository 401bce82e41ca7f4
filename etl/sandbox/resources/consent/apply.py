"""What subscribing and unsubscribing do, once Klaviyo gets to it (reference 3.7).

Requests have been answered with an empty 202 by then: nobody is told what was left out.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from etl.sandbox.account import consent_records, event_log, sent_messages
from etl.sandbox.account.store import Profile, Store
from etl.sandbox.protocol.settings import SandboxSettings
from etl.sandbox.resources.profiles.identity import key_of
from etl.sandbox.resources.profiles.validation import DROPPED_DOMAIN, FAILED_DOMAIN, looks_fake

ADDRESS: Final = {"email": "email", "sms": "phone_number"}
"""Medium → the attribute that it reaches a person by: the two that messages are counted of."""
MEDIA: Final = {**ADDRESS, "whatsapp": "phone_number"}
"""Likewise of every medium that one can consent to."""


def subscribe(store: Store, settings: SandboxSettings, work: dict[str, Any], now: float) -> None:
    """Carry a subscription request out.

    ``work``: ``list``, ``historical``, ``source`` and ``rows``; a row has ``email``, ``phone_number``, ``id`` and
    ``channels``: channel → when it was consented to, or ``None``.
    """
    list_id = _known(store, work["list"])
    for row in work["rows"]:
        if _unwanted(row.get("email") or "", settings):
            continue
        for medium in MEDIA:
            channels = {name: at for name, at in row["channels"].items() if name.partition(".")[0] == medium}
            if not channels:
                continue
            part = {**work, "list": list_id, "row": {**row, "channels": channels}}
            if not work["historical"] and _asks_first(store, settings, part, medium):
                _ask(store, part, medium)
            else:
                _grant(store, part, medium, now, confirmed=False)


def confirm(store: Store, now: float, medium: str | None = None, address: str | None = None) -> int:
    """Let people confirm their double opt-ins: one person, or everybody who was asked. Return how many were."""
    wanted = (medium, medium, address, None if address is None else key_of("email", address))
    asked = store.connection.execute(
        "DELETE FROM opt_ins WHERE (? IS NULL OR medium = ?) AND (? IS NULL OR address = ?) RETURNING *", wanted
    ).fetchall()
    for opt_in in sorted(asked, key=lambda row: (row["medium"], row["address"], row["list_id"])):
        part = orjson.loads(opt_in["payload"])
        part["list"] = _known(store, part["list"])
        _grant(store, part, opt_in["medium"], now, confirmed=True)
    return len(asked)


def unsubscribe(store: Store, work: dict[str, Any], now: float) -> None:
    """Carry an unsubscription request out: from the list for its members, from everything for all others."""
    list_id = _known(store, work["list"])
    for row in work["rows"]:
        for medium in MEDIA:
            channels = [name for name in row["channels"] if name.partition(".")[0] == medium]
            if not channels:
                continue
            profile = person(store, row, medium, now)
            if medium == "email" and list_id is not None and _member(store, list_id, profile.seq):
                store.leave(list_id, [profile.seq])
                consent_records.suppress(store, profile.seq, "UNSUBSCRIBE", now, list_id)
                event_log.log_internal_event(store, profile.seq, "Unsubscribed from List", now, {"$list_id": list_id})
                continue
            for channel in channels:
                opt_out(store, profile.seq, channel, now, "API")


def opt_out(store: Store, profile: int, channel: str, now: float, method: str) -> bool:
    """Record an opt-out from a channel and tell of it. Return whether it is news."""
    news = consent_records.revoke(store, profile, channel, at=now, method=method)
    if news and channel in event_log.UNSUBSCRIBED:
        event_log.log_internal_event(store, profile, event_log.UNSUBSCRIBED[channel], now)
    return news


def person(store: Store, row: dict[str, Any], medium: str, now: float) -> Profile:
    """Return whom a row means on a medium, made if there is nobody.

    Consent goes with the address that it was given for, so an e-mail and a phone of two profiles stay two. The other
    address is written to the profile where nobody else has it (OpenAPI: "this will be set on the profile").
    """
    email, phone = row.get("email"), row.get("phone_number")
    by_email = store.find(email_key=[key_of("email", email)]) if email else []
    by_phone = store.find(phone_number=[phone]) if phone else []
    named = store.find(id=[row["id"]]) if row.get("id") else []
    first, second = (by_email, by_phone) if medium == "email" else (by_phone, by_email)
    attribute = MEDIA[medium]
    free = [profile for profile in second if not getattr(profile, attribute)]
    found = [*named, *first, *free]
    profile = found[0] if found else Profile(store.next_profile(), None, None, None, {}, now, now)
    before = (profile.email, profile.phone_number)
    if email and not by_email and not profile.email:
        profile.email = email
    if phone and not by_phone:
        profile.phone_number = phone
    if not found or before != (profile.email, profile.phone_number):
        profile.updated = now
        store.save([profile])
    return profile


def _asks_first(store: Store, settings: SandboxSettings, part: dict[str, Any], medium: str) -> bool:
    """Whether double opt-in stands between the request and the consent. Who is subscribed is not asked again."""
    process = settings.account.default_opt_in
    if part["list"] is not None:
        row = store.connection.execute("SELECT opt_in_process FROM lists WHERE id = ?", (part["list"],)).fetchone()
        process = row["opt_in_process"]
    if process != "double_opt_in":
        return False
    attribute = MEDIA[medium]
    column = "email_key" if medium == "email" else attribute
    found = store.find(**{column: [key_of(attribute, part["row"][attribute])]})
    return not (found and consent_records.subscribed(store, found[0].seq, f"{medium}.marketing"))


def _ask(store: Store, part: dict[str, Any], medium: str) -> None:
    """Send the message that asks to confirm. Until then there is no consent, no member, and no new profile."""
    address = key_of("email", part["row"][MEDIA[medium]])
    kept = orjson.dumps({name: part[name] for name in ("row", "list", "historical", "source")})
    store.connection.execute(
        "INSERT OR REPLACE INTO opt_ins VALUES (?, ?, ?, ?)", (medium, address, part["list"] or "", kept)
    )
    sent_messages.to_address(store, medium, address, "double_opt_in")


def _grant(store: Store, part: dict[str, Any], medium: str, now: float, *, confirmed: bool) -> None:
    row, historical = part["row"], part["historical"]
    profile = person(store, row, medium, now)
    welcomed = []
    for channel, consented_at in row["channels"].items():
        at = now if consented_at is None else consented_at
        opted_out = consent_records.opted_out_at(store, profile.seq, channel)
        if historical and opted_out is not None and at <= opted_out:
            return  # whoever opted out after they consented stays opted out, and joins no list
        held = consent_records.subscribed(store, profile.seq, channel)
        if historical or not held:
            consent_records.grant(
                store, profile.seq, channel, at=at, now=now, custom_detail=part["source"], double_optin=confirmed
            )
        if not held and channel in event_log.SUBSCRIBED:
            event_log.log_internal_event(
                store, profile.seq, event_log.SUBSCRIBED[channel], max(at, consent_records.OLDEST)
            )
            welcomed.append(channel)
    if medium == "email":
        consent_records.lift(store, profile.seq, consent_records.LIFTED)
    _join(store, part["list"], profile.seq, now, flows=not historical)
    if welcomed and not historical and (medium == "sms" or consent_records.reachable(store, profile.seq)):
        sent_messages.to_address(store, medium, row[MEDIA[medium]], "welcome")


def _join(store: Store, list_id: str | None, profile: int, now: float, *, flows: bool) -> None:
    if list_id is None:
        return
    consent_records.lift(store, profile, ("UNSUBSCRIBE",), list_id)
    joined = store.join(list_id, [profile], now)
    if joined:
        event_log.log_internal_event(store, profile, event_log.JOINED, now, {"$list_id": list_id})
        if flows:
            sent_messages.to_profiles(store, joined, "added_to_list")


def _known(store: Store, list_id: str | None) -> str | None:
    """Return the list, unless it was deleted meanwhile."""
    return list_id if list_id is not None and store.known_lists([list_id]) else None


def _member(store: Store, list_id: str, profile: int) -> bool:
    query = "SELECT 1 FROM members WHERE list_id = ? AND profile = ?"
    return store.connection.execute(query, (list_id, profile)).fetchone() is not None


def _unwanted(email: str, settings: SandboxSettings) -> bool:
    """Whether the address is dropped in silence, as fakes are (reference 7.3)."""
    return email.casefold().endswith((DROPPED_DOMAIN, FAILED_DOMAIN)) or (settings.drop_fakes and looks_fake(email))
