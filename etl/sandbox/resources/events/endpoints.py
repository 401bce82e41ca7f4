"""The endpoints that take events (reference 3.9): one by one, or 1,000 at a time; both answer with nothing."""

from __future__ import annotations

from typing import Any, Final

from etl.sandbox.account import work_queue
from etl.sandbox.protocol import bodies
from etl.sandbox.protocol.jsonapi import Problem, ProblemError, Response, invalid
from etl.sandbox.request import Context
from etl.sandbox.resources.events import validation as event_rules
from etl.sandbox.resources.profiles.identity import columns_of, key_of
from etl.sandbox.resources.profiles.validation import IDENTIFIERS, is_real_phone, malformed, only_phone_is_bad

_MAX_EVENTS: Final = 1_000
_AT: Final = "/data/attributes"
_BULK: Final = f"{_AT}/events-bulk-create/data"
_DROPPED_PHONE: Final = {"x-klaviyo-partial-failure": "phone_number"}


def create(context: Context) -> Response:
    """POST /api/events. A bad phone beside a good e-mail is left out, which only a header says (reference 4.7)."""
    _check_size(context)
    attributes = context.document(bodies.EVENT)["attributes"]
    found = event_rules.check(attributes, _AT, context.now, _fields(context) | {"profile"})
    profile, wrong = _profile(context, attributes, _AT)
    headers: dict[str, str] = {}
    if wrong and only_phone_is_bad(profile["attributes"], wrong, f"{_AT}/profile/data/attributes"):
        profile = {**profile, "attributes": {**profile["attributes"], "phone_number": None}}
        headers, wrong = _DROPPED_PHONE, []
    if found or wrong:
        raise ProblemError(*found, *wrong)
    _accept(context, [_work(profile, attributes, context.now)])
    return Response(202, b"", headers)


def create_many(context: Context) -> Response:
    """POST /api/event-bulk-create-jobs: one bad event, or one unique id given twice, and none is processed."""
    _check_size(context)
    groups = context.document(bodies.EVENT_JOB)["attributes"]["events-bulk-create"]["data"]
    if not groups:
        raise ProblemError(invalid("The events are required.", _BULK))
    read = [_group(context, group, f"{_BULK}/{index}") for index, group in enumerate(groups)]
    work = [event for events, _ in read for event in events]
    found = [problem for _, problems in read for problem in problems]
    if sum(len(_items(group)) for group in groups) > _MAX_EVENTS:
        raise ProblemError(invalid(f"At most {_MAX_EVENTS} events are allowed.", _BULK))
    if not found and _repeats(context, work):
        found.append(invalid("A unique_id is repeated for the same profile and metric.", _BULK))
    if found:
        raise ProblemError(*found)
    _accept(context, work)
    return Response(202)


def _group(context: Context, group: Any, pointer: str) -> tuple[list[dict[str, Any]], list[Problem]]:
    """Return the events of one profile in a bulk request, with what is wrong about them."""
    wrong = list(bodies.EVENT_GROUP(group, pointer))
    if wrong:
        return [], wrong
    attributes = group["attributes"]
    profile, found = _profile(context, attributes, f"{pointer}/attributes")
    work = []
    at = f"{pointer}/attributes/events/data"
    items = _items(group)
    if not items:
        found.append(invalid("The events are required.", at))
    for number, item in enumerate(items):
        wrong = list(bodies.GROUPED_EVENT(item, f"{at}/{number}"))
        wrong = wrong or event_rules.check(
            item["attributes"], f"{at}/{number}/attributes", context.now, _fields(context)
        )
        found += wrong
        if not wrong:
            # Either place says it: for the whole profile, or for one event.
            backfill = bool(attributes.get("backfill") or item["attributes"].get("backfill"))
            work.append(_work(profile, {**item["attributes"], "backfill": backfill}, context.now))
    return work, found


def _items(group: Any) -> list[Any]:
    try:
        items = group["attributes"]["events"]["data"]
    except (KeyError, TypeError):
        return []
    return items if isinstance(items, list) else []


def _fields(context: Context) -> frozenset[str]:
    """Return the fields of an event that the revision knows."""
    return event_rules.FIELDS if context.knows("backfill") else event_rules.FIELDS - {"backfill"}


def _check_size(context: Context) -> None:
    if len(context.request.body) > event_rules.MAX_BYTES:
        raise ProblemError(Problem(413, "payload_too_large", "Payload too large.", "At most 5MB are allowed."))


def _profile(context: Context, attributes: Any, at: str) -> tuple[dict[str, Any], list[Problem]]:
    """Return whose event it is, with what is wrong about that."""
    pointer = f"{at}/profile/data"
    data = attributes["profile"]["data"]
    # ``meta`` stands beside the attributes, or among them before 2026-10-15 (reference 1.5).
    beside = context.knows("meta_beside_attributes")
    apart = {"anonymous_id"} if beside else {"meta", "anonymous_id"}
    inner = {name: value for name, value in data["attributes"].items() if name not in apart}
    meta = data.get("meta") if beside else data["attributes"].get("meta")
    wrong = malformed(inner, f"{pointer}/attributes")
    phone = inner.get("phone_number")
    if phone and not wrong and not is_real_phone(phone):
        wrong.append(invalid("Invalid phone number", f"{pointer}/attributes/phone_number"))
    if not data.get("id") and not any(inner.get(name) for name in IDENTIFIERS):
        wrong.append(invalid("One or more identifiers is required", f"{pointer}/attributes"))
    if data.get("id") and not context.store.find(id=[str(data["id"])]):
        wrong.append(invalid(f"A profile with id {data['id']} does not exist.", f"{pointer}/id"))
    return {"id": data.get("id"), "attributes": inner, "meta": meta}, wrong


def _work(profile: dict[str, Any], attributes: dict[str, Any], now: float) -> dict[str, Any]:
    at = event_rules.seconds_of(attributes, now)
    unique = attributes.get("unique_id") or None
    return {
        "profile": profile,
        "metric": attributes["metric"]["data"]["attributes"]["name"],
        "at": at,
        "unique_id": unique,
        # Without an id of its own an event goes by its second: one per profile, metric and second.
        "key": unique or str(at),
        "value": attributes.get("value"),
        "currency": attributes.get("value_currency"),
        "properties": event_rules.stored(attributes["properties"]),
        "backfill": bool(attributes.get("backfill")),
    }


def _accept(context: Context, work: list[dict[str, Any]]) -> None:
    work_queue.put(context.store, "events", {"events": work}, context.now + context.settings.processing_seconds)


def _repeats(context: Context, work: list[dict[str, Any]]) -> bool:
    """Whether a unique id stands twice for one person and metric, by whatever identifiers the person is named."""
    seen: set[tuple[str, str, str]] = set()
    for event in work:
        if event["unique_id"] is None:
            continue
        profile = event["profile"]
        named = context.store.find(**columns_of(profile["attributes"]))
        people = {one.id for one in named} | {str(profile["id"])} - {"None"}
        people |= {
            f"{name}:{key_of(name, profile['attributes'][name])}"
            for name in IDENTIFIERS
            if profile["attributes"].get(name)
        }
        keys = {(person, event["metric"], event["unique_id"]) for person in people}
        if keys & seen:
            return True
        seen |= keys
    return False
