"""The endpoints that subscribe and unsubscribe (reference 3.7, OpenAPI document): empty answers, no job to poll."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Final

import phonenumbers

from etl.sandbox.account import consent_records, work_queue
from etl.sandbox.protocol import bodies, jsonapi
from etl.sandbox.protocol.filters import as_utc
from etl.sandbox.protocol.jsonapi import Problem, ProblemError, Response, invalid
from etl.sandbox.request import Context
from etl.sandbox.resources.consent import apply as subscribing
from etl.sandbox.resources.profiles.validation import is_real_phone, malformed

_MAX_SUBSCRIBED: Final = 1_000
_MAX_UNSUBSCRIBED: Final = 100
_ROWS: Final = "/data/attributes/profiles/data"
_FIELDS: Final = frozenset({"email", "phone_number", "subscriptions", "age_gated_date_of_birth"})
_BAD_PHONE: Final = "Invalid phone number format (Example of a valid format: +12345678901)"


def subscribe(context: Context) -> Response:
    """POST /api/profile-subscription-bulk-create-jobs: one refused profile refuses them all."""
    return _accept(context, "profile-subscription-bulk-create-job", "subscribe", _MAX_SUBSCRIBED)


def unsubscribe(context: Context) -> Response:
    """POST /api/profile-subscription-bulk-delete-jobs: who is not on the list is unsubscribed from everything."""
    return _accept(context, "profile-subscription-bulk-delete-job", "unsubscribe", _MAX_UNSUBSCRIBED)


def _accept(context: Context, kind: str, work: work_queue.Kind, most: int) -> Response:
    data = context.document(bodies.SUBSCRIPTION_JOB[kind])
    attributes = data["attributes"]
    rows = _rows(attributes, most)
    reader = _Reader(context, work == "subscribe", bool(attributes.get("historical_import")))
    read = [reader.row(row, f"{_ROWS}/{index}") for index, row in enumerate(rows)]
    if reader.found:
        raise ProblemError(*reader.found)
    content = {
        "rows": [row for row in read if row is not None],
        "list": _list(context, data),
        "historical": reader.historical,
        "source": attributes.get("custom_source"),
    }
    work_queue.put(context.store, work, content, context.now + context.settings.processing_seconds)
    # A phone that is no number is ignored beside a good e-mail, and only this header says so (reference 4.7).
    return Response(202, b"", {"x-klaviyo-partial-failure": "phone_number"} if reader.dropped_phone else {})


class _Reader:
    """Reads the profiles of one request and keeps what is wrong with them."""

    def __init__(self, context: Context, grants: bool, historical: bool) -> None:  # noqa: FBT001 - of one caller
        self._context = context
        self._consent = "SUBSCRIBED" if grants else "UNSUBSCRIBED"
        self._known = {*consent_records.CHANNELS, "push.marketing"}
        if grants:
            self._known -= {"whatsapp.conversational"}
        if not context.knows("click_tracking"):
            self._known -= {"email.click_tracking"}
        self.historical = historical
        self.found: list[Problem] = []
        self.dropped_phone = False

    def row(self, row: Any, pointer: str) -> dict[str, Any] | None:
        """Return a profile as it is worked on later, or ``None`` after noting why not."""
        at = f"{pointer}/attributes"
        before = len(self.found)
        self.found += bodies.SUBSCRIBED(row, pointer)
        if len(self.found) > before:
            return None
        attributes = row["attributes"]
        for name in attributes.keys() - _FIELDS:
            self._refuse(f"'{name}' is not a valid field for the resource 'profile'.", f"{at}/{name}")
        email, phone = self._addresses(attributes, at)
        channels = self._channels(attributes.get("subscriptions"), f"{at}/subscriptions")
        if phone is None and attributes.get("phone_number"):
            channels = {name: value for name, value in channels.items() if name.startswith("email.")}
        addresses = {"email": email, "phone_number": phone}
        for medium, name in subscribing.MEDIA.items():
            address = addresses[name]
            if address is None and any(channel.startswith(f"{medium}.") for channel in channels):
                self._refuse(f"'{name}' is required to change {medium} subscriptions.", f"{at}/{name}")
        if (
            any(name.startswith("sms.") for name in channels)
            and len(self.found) == before
            and self._consent == "SUBSCRIBED"
        ):
            self._check_sms(phone or "", attributes.get("age_gated_date_of_birth"), at)
        if row.get("id") and not self._context.store.find(id=[str(row["id"])]):
            self._refuse(f"A profile with id {row['id']} does not exist.", f"{pointer}/id")
        if len(self.found) > before:
            return None
        return {"id": row.get("id"), "email": email, "phone_number": phone, "channels": channels}

    def _addresses(self, attributes: dict[str, Any], at: str) -> tuple[str | None, str | None]:
        given = {name: attributes.get(name) for name in ("email", "phone_number")}
        wrong = malformed(given, at)
        email, phone = given["email"] or None, given["phone_number"] or None
        if phone and not any(problem.pointer == f"{at}/phone_number" for problem in wrong) and not is_real_phone(phone):
            wrong.append(invalid(_BAD_PHONE, f"{at}/phone_number"))
        if email and {problem.pointer for problem in wrong} == {f"{at}/phone_number"}:
            self.dropped_phone = True
            return email, None
        self.found += wrong
        if not email and not phone and not wrong:
            self._refuse("One or more identifiers is required", at)
        return email, phone

    def _channels(self, subscriptions: Any, at: str) -> dict[str, float | None]:
        channels: dict[str, float | None] = {}
        if not isinstance(subscriptions, dict) or not subscriptions:
            self._refuse("The subscriptions are required.", at)
            return channels
        for medium, kinds in subscriptions.items():
            if not isinstance(kinds, dict) or not kinds:
                self._refuse("At least one kind of subscription is required.", f"{at}/{medium}")
                continue
            for kind, given in kinds.items():
                channel = f"{medium}.{kind}"
                if channel in {"push.tokens", "push.anonymous_id"}:
                    continue
                if channel not in self._known:
                    self._refuse(f"'{kind}' is not a valid field for the channel '{medium}'.", f"{at}/{medium}/{kind}")
                elif not isinstance(given, dict) or given.get("consent") != self._consent:
                    self._refuse(f"The consent must be '{self._consent}'.", f"{at}/{medium}/{kind}/consent")
                else:
                    moment = self._consented_at(channel, given.get("consented_at"), f"{at}/{medium}/{kind}")
                    if medium != "push":  # taken, and of no effect: there are no devices here
                        channels[channel] = moment
        return channels

    def _consented_at(self, channel: str, text: Any, at: str) -> float | None:
        """Read the date of a consent: required and past in a historical import, forbidden in any other request."""
        if self._consent == "UNSUBSCRIBED" or channel in consent_records.TRACKING:  # these know no date
            return None
        pointer = f"{at}/consented_at"
        if not self.historical:
            if text is not None:
                self._refuse("consented_at is only allowed in a historical import.", pointer)
            return None
        moment = _moment(text)
        if moment is None or moment >= self._context.now:
            medium = channel.partition(".")[0]
            # The text as captured (reference 7.5).
            self._refuse(f"Historical {medium} subscription does not have a valid consented_at timestamp", pointer)
            return None
        return moment

    def _check_sms(self, phone: str, birth: Any, at: str) -> None:
        """Refuse what SMS may not reach (reference 3.7; which regions Klaviyo serves is the account's setting here)."""
        account = self._context.settings.account
        region = phonenumbers.region_code_for_number(phonenumbers.parse(phone))
        if region is None or region == "001":
            self._refuse("SMS is not supported in the region of this number.", f"{at}/phone_number")
        elif region not in account.sms_regions:
            self._refuse(f"The account has no sending number for the region {region}.", f"{at}/phone_number")
        if account.age_gate is not None and not _old_enough(birth, account.age_gate, self._context.now):
            self._refuse("A valid date of birth is required by age-gating.", f"{at}/age_gated_date_of_birth")

    def _refuse(self, detail: str, pointer: str) -> None:
        self.found.append(invalid(detail, pointer))


def _rows(attributes: dict[str, Any], most: int) -> list[Any]:
    rows: list[Any] = attributes["profiles"]["data"]
    if not rows:
        raise ProblemError(invalid("The profiles are required.", _ROWS))
    if len(rows) > most:
        raise ProblemError(invalid(f"At most {most} profiles are allowed.", _ROWS))
    return rows


def _list(context: Context, data: dict[str, Any]) -> str | None:
    relationships = data.get("relationships") or {}
    if relationships.keys() - {"list"}:
        # ``list`` here, ``lists`` in the bulk import: an easy slip (reference 3.7).
        raise ProblemError(invalid("Only the relationship 'list' is allowed.", "/data/relationships"))
    named = (relationships.get("list") or {}).get("data")
    if not named:
        return None
    list_id = str(named["id"])
    if not context.store.known_lists([list_id]):
        pointer = "/data/relationships/list/data/id"
        raise ProblemError(
            Problem(404, "not_found", "Not found.", f"A list with id {list_id} does not exist.", pointer)
        )
    return list_id


def _moment(text: Any) -> float | None:
    """Read a date-time; one without offset is taken as UTC, which puts some people's past into the future (7.5)."""
    try:
        return as_utc(datetime.fromisoformat(text)).timestamp()
    except (TypeError, ValueError):
        return None


def _old_enough(birth: Any, years: int, now: float) -> bool:
    try:
        born = date.fromisoformat(birth)
    except (TypeError, ValueError):
        return False
    today = jsonapi.day(now)
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day)) >= years
