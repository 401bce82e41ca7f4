"""The verbs for one thing at a time: a profile, an event, a webhook. Each opens what it needs and closes it again."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from etl.errors import AuthError, ConfigError, RequestRefusedError, UsageError
from etl.klaviyo import Profile, Webhook
from etl.model import Channel
from etl.pipeline.account.forgotten import identifiers_of, refuse_forgotten
from etl.pipeline.account.lists import need_list
from etl.pipeline.account.revision import first_year_of
from etl.pipeline.context import Context
from etl.pipeline.single import events, profiles

OPT_OUT_TOPICS = tuple(
    f"event:klaviyo.{name}"
    for name in (
        "unsubscribed_from_email_marketing",
        "subscribed_to_email_marketing",
        "unsubscribed_from_sms_marketing",
        "subscribed_to_sms_marketing",
        "bounced_email",
        "marked_email_as_spam",
        "manually_suppressed_from_email_marketing",
        "manually_unsuppressed_from_email_marketing",
    )
)
"""What the log of opt-outs lives on (reference 3.11)."""


def get_profile(who: str, *, context: Context | None = None) -> Profile:
    """Return a profile with its consents, by e-mail, phone (with +), external id or Klaviyo id. Raise UsageError."""
    context = context or Context.create()
    with context.open_client() as client:
        found = profiles.find_person(client, who)
    if found is None:
        raise UsageError("profile-not-found", "Klaviyo has no such profile", "Check the address or id.")
    return found


def upsert_profile(
    fields: Mapping[str, Any],
    *,
    context: Context | None = None,
    lists: Sequence[str] = (),
    subscribe: Sequence[Channel] = (),
    country: str | None = None,
    source: str = "",
) -> profiles.Upserted:
    """Create or update one profile, put it on lists (id or name), subscribe it where nothing speaks against it.

    ``fields``: attributes by Klaviyo's names; ``location`` and ``properties`` are mappings. Raise
    :class:`etl.pipeline.single.profiles.InvalidProfileError` naming each faulty field, and KlaviyoError.
    """
    context = context or Context.create()
    person = profiles.parse_profile(fields, country=country)
    with context.open_client() as client, context.open_store() as store:
        ids = [need_list(client, name, create=False).id for name in lists]
        account = client.get_account().id if subscribe or store.forgotten.any() else ""
        return profiles.upsert_person(client, store, account, person, lists=ids, subscribe=subscribe, source=source)


def update_profile(who: str, changes: Mapping[str, Any], *, context: Context | None = None) -> str:
    """Change fields of a profile that is there (``None`` clears); return its Klaviyo id."""
    context = context or Context.create()
    found = get_profile(who, context=context)
    with context.open_client() as client:
        profiles.update_person(client, found.id, changes)
    return found.id


def delete_profile(who: str, *, context: Context | None = None) -> None:
    """Ask Klaviyo to delete everything about a person, for good, and remember that they are not to be made anew.

    What is remembered is a digest of every identifier that is known of them, before the request leaves.
    """
    context = context or Context.create()
    with context.open_client() as client, context.open_store() as store:
        account = client.get_account().id
        found = None
        with contextlib.suppress(AuthError):
            # A key that may delete and not read deletes all the same; what was given is remembered.
            found = profiles.find_person(client, who)
        known = identifiers_of(who, found)
        if found is None:
            # Klaviyo does not say what else they are known by; what was imported may.
            known = list(dict.fromkeys([*known, *store.people.find(known).identifiers]))
        new = store.forgotten.add(account, known)
        try:
            profiles.request_deletion(client, who)
        except (AuthError, RequestRefusedError):
            # Klaviyo deletes nobody, so nobody is gone.
            store.forgotten.undo(account, new)
            raise


def allow_profile(who: str, *, context: Context | None = None) -> bool:
    """Let a person be written again who was deleted and came back; return whether they had been deleted."""
    context = context or Context.create()
    with context.open_client() as client, context.open_store() as store:
        return store.forgotten.remove(client.get_account().id, identifiers_of(who, None))


def track(fields: Mapping[str, Any], *, context: Context | None = None) -> str:
    """Send one event, see :func:`etl.pipeline.single.events.read_event`; return its unique id."""
    context = context or Context.create()
    event = events.read_event(
        fields, context.clock.now(), unique_id=secrets.token_hex(16), first_year=first_year_of(context)
    )
    with context.open_client() as client, context.open_store() as store:
        refuse_forgotten(store, lambda: client.get_account().id, event.who)
        events.track_event(client, event)
    return event.unique_id


def webhooks(*, context: Context | None = None) -> list[Webhook]:
    """Return the account's webhooks."""
    context = context or Context.create()
    with context.open_client() as client:
        return client.webhooks()


def create_webhook(
    url: str,
    secret: str,
    *,
    context: Context | None = None,
    name: str = "klaviyo-etl",
    topics: Sequence[str] = (),
) -> Webhook:
    """Create a webhook for the topics of opt-outs, or those given. Raise ConfigError for topics that are not there."""
    context = context or Context.create()
    with context.open_client() as client:
        there = client.webhook_topics()
        unknown = [topic for topic in topics if topic not in there]
        if unknown:
            raise ConfigError(
                "topic-unknown",
                f"Klaviyo has no topic {unknown[0]!r}",
                f"Topics there: {', '.join(sorted(there)[:40])}.",
            )
        wanted = list(topics) or [topic for topic in OPT_OUT_TOPICS if topic in there]
        return client.create_webhook(name, url, secret, wanted)


def delete_webhook(webhook_id: str, *, context: Context | None = None) -> bool:
    """Delete a webhook; whether it was there."""
    context = context or Context.create()
    with context.open_client() as client:
        return client.delete_webhook(webhook_id)
