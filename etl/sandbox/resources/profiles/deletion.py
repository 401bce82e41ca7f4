"""Deletion on request of the person (reference 3.10): by one identifier, done later, answered with nothing."""

from __future__ import annotations

from typing import Any, Final

from etl.sandbox.account import work_queue
from etl.sandbox.account.store import Profile, Store
from etl.sandbox.protocol import bodies
from etl.sandbox.protocol.jsonapi import ProblemError, Response, invalid
from etl.sandbox.request import Context
from etl.sandbox.resources.profiles.identity import key_of
from etl.sandbox.resources.profiles.validation import malformed

_AT: Final = "/data/attributes/profile/data"
_OF_PROFILES: Final = ("secondary_emails", "members", "consents", "suppressions", "events", "job_profiles")


def submit(context: Context) -> Response:
    """POST /api/data-privacy-deletion-jobs: exactly one of id, e-mail and phone number, whoever has it."""
    profile = context.document(bodies.DELETION)["attributes"]["profile"]["data"]
    given = {**profile["attributes"], "id": profile.get("id")}
    if given.keys() - {"id", "email", "phone_number"}:
        raise ProblemError(invalid("The request is malformed.", "/data"))
    named = {name: value for name, value in given.items() if value is not None}
    if len(named) != 1:
        raise ProblemError(invalid("Exactly one of id, email and phone_number is required.", _AT))
    wrong = malformed({name: value for name, value in named.items() if name != "id"}, f"{_AT}/attributes")
    if wrong:
        raise ProblemError(*wrong)
    work_queue.put(context.store, "deletion", named, context.now + context.settings.processing_seconds)
    return Response(202)


def delete(store: Store, named: dict[str, Any], now: float) -> None:
    """Delete whoever the identifier names, with everything that is known of them. Their id is never given again."""
    ((name, value),) = named.items()
    column = "email_key" if name == "email" else name
    for profile in store.find(**{column: [key_of(name, value)]}):
        _forget(store, profile, now)


def _forget(store: Store, profile: Profile, now: float) -> None:
    of_events = "DELETE FROM outbox WHERE event IN (SELECT seq FROM events WHERE profile = ?)"
    store.connection.execute(of_events, (profile.seq,))
    for table in _OF_PROFILES:
        store.connection.execute(f"DELETE FROM {table} WHERE profile = ?", (profile.seq,))  # noqa: S608 - names of ours
    for medium, address in (("email", profile.email), ("sms", profile.phone_number)):
        if address:
            asked = (medium, key_of("email", address))
            store.connection.execute("DELETE FROM opt_ins WHERE medium = ? AND address = ?", asked)
    store.connection.execute("DELETE FROM profiles WHERE seq = ?", (profile.seq,))
    store.connection.execute("INSERT INTO deleted VALUES (?, ?)", (profile.seq, now))
