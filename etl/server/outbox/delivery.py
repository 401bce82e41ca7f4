"""Bringing one accepted request to Klaviyo, step by step; every step that is done is noted before the next.

Whatever breaks in between, the next try goes on where this one ended.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import orjson

from etl.errors import RequestRefusedError
from etl.identity import opt_out_key
from etl.klaviyo import KlaviyoClient, ReplyKind, error_for
from etl.load import ConsentVerdict
from etl.model import IDENTIFIERS, Channel
from etl.pipeline import Context
from etl.pipeline.account.forgotten import refuse_forgotten
from etl.pipeline.single.events import read_event, track_event
from etl.pipeline.single.profiles import (
    InvalidProfileError,
    ProfileInput,
    ask_to_subscribe,
    may_subscribe,
    parse_profile,
    put_person,
    raise_for_reply,
)
from etl.server.outbox.naming import Naming
from etl.server.outbox.progress import Asked, Progress, Step, doubt_of, is_hopeless, is_lost, next_step
from etl.state import OutboxMessage, Store, person_key

_LOOK_AGAIN: Final = 2.0
_SHORTEST_LOOK: Final = 0.1
_LONGEST_LOOK: Final = 60.0
_LONGEST_PAUSE: Final = 2.0
"""Seconds to wait for a rate limit with a request in hand."""
_ACCOUNT_WAIT: Final = 60.0
_SUBSCRIBING: Final = "subscribing"
"""How earlier versions noted that a subscribe call was about to leave."""
_ENDPOINTS: Final = {
    "event": ("POST /api/events",),
    "profile": (
        "POST /api/profile-import",
        "GET /api/profiles",
        "POST /api/lists/{id}/relationships/profiles",
        "POST /api/profile-subscription-bulk-create-jobs",
    ),
}


class NotNowError(Exception):
    """A request has to wait. ``failed``: whether that counts as a try; ``code``: what its sender should know."""

    def __init__(self, seconds: float, *, failed: bool = True, code: str = "") -> None:
        super().__init__(code or "not now")
        self.seconds = seconds
        self.failed = failed
        self.code = code


class Carrier:
    """Brings requests that ``owner`` has claimed to Klaviyo."""

    def __init__(
        self, context: Context, store: Store, client: KlaviyoClient, owner: str, *, country: str | None
    ) -> None:
        self._clock = context.clock
        self._visible_after = context.retry_policy.visible_after
        self._store = store
        self._client = client
        self._owner = owner
        self._country = country
        self._account = ""
        self._naming = Naming(store, client)

    def name_people(self) -> None:
        """Add addresses to events that name profiles only."""
        self._naming.go_on(self._account_id)

    def carry(self, message: OutboxMessage) -> dict[str, Any]:
        """Do what is left to do; return what the request came to.

        Raise :class:`NotNowError` where it has to wait, and :class:`etl.errors.EtlError`.
        """
        wait = max(self._client.wait_for(endpoint) for endpoint in _ENDPOINTS[message.kind])
        if wait > _LONGEST_PAUSE:
            raise NotNowError(wait, failed=False)
        asked = orjson.loads(message.body)
        progress = Progress.read(message.progress)
        if not progress.linked and not self._store.outbox.is_first(message.id):
            progress = self._link(message, progress, asked["profile"])
        if message.kind == "event":
            # Requests of earlier versions may have left under this name.
            unique_id = f"serve-{message.uid or message.id}"
            event = read_event(asked, message.accepted_at, unique_id=unique_id, country=self._country)
            refuse_forgotten(self._store, self._account_id, event.who)
            track_event(self._client, event)
            return {"unique_id": event.unique_id, "warnings": event.warnings}
        return self._register(message, progress, asked)

    def _register(self, message: OutboxMessage, progress: Progress, asked: Mapping[str, Any]) -> dict[str, Any]:
        person = parse_profile(asked["profile"], country=self._country)
        lists: Sequence[str] = asked.get("lists", ())
        wished = [Channel(name) for name in dict.fromkeys(asked.get("consent", ()))]
        if message.result == _SUBSCRIBING and not progress.asked:
            lost = Asked(message.accepted_at, lost=1)
            progress = replace(progress, asked={channel.value: lost for channel in wished})
        if not progress.profile_id:
            refuse_forgotten(self._store, self._account_id, person.attributes)
            put = put_person(self._client, person)
            progress = replace(progress, profile_id=put.profile_id, created=put.created, warnings=put.warnings)
            self._note(message, progress, [person_key("id", put.profile_id)])
        if not progress.listed:
            for list_id in lists:
                raise_for_reply(self._client.add_to_list(list_id, [progress.profile_id]))
            progress = replace(progress, listed=True)
        refused: RequestRefusedError | None = None
        for channel in wished:
            if channel.value not in progress.consents:
                try:
                    verdict = self._subscribe(message, progress, person, channel, asked)
                except RequestRefusedError as error:
                    # An account without SMS refuses every number; the consent to e-mail is none the worse for it.
                    refused, verdict = error, "refused"
                progress = replace(progress.settled(channel.value, verdict), unseen_since=None)
                self._note(message, progress)
        if refused is not None and set(progress.consents.values()) == {"refused"}:
            raise refused
        return {
            "profile_id": progress.profile_id,
            "created": progress.created,
            "warnings": list(progress.warnings),
            "consents": dict(progress.consents),
        }

    def _subscribe(
        self,
        message: OutboxMessage,
        progress: Progress,
        person: ProfileInput,
        channel: Channel,
        asked: Mapping[str, Any],
    ) -> str:
        """Return what a wish comes to. Raise :class:`NotNowError`, or what Klaviyo says against it."""
        lists: Sequence[str] = asked.get("lists", ())
        name = channel.value
        gate = self._gate(progress, person, channel, lists)
        now = self._clock.now()
        before = progress.asked.get(name)
        doubt = doubt_of(before, now, self._visible_after)
        step = next_step(gate, before, doubt)
        if step is Step.WAIT and gate is ConsentVerdict.SEND:
            raise NotNowError(min(max(doubt, _SHORTEST_LOOK), _LOOK_AGAIN), failed=False)
        if step is Step.WAIT:
            self._wait_to_be_shown(message, progress, now)
            return Step.UNKNOWN.value
        if step is not Step.ASK:
            return step.value
        if is_hopeless(before) and self._mails(lists):
            return Step.UNKNOWN.value
        progress = progress.asking(name, now)
        self._note(message, progress)
        source = str(asked.get("source") or "")
        reply = ask_to_subscribe(self._client, person, channel, lists=lists, source=source)
        if reply.kind is ReplyKind.OK:
            return Step.SENT.value
        self._note(message, progress.answered(name, reply))
        if reply.kind.is_retryable:
            raise NotNowError(max(_LOOK_AGAIN, reply.retry_after or 0.0))
        raise error_for(reply)

    def _gate(self, progress: Progress, person: ProfileInput, channel: Channel, lists: Sequence[str]) -> ConsentVerdict:
        try:
            account = self._account_id()
            return may_subscribe(
                self._client,
                self._store,
                person,
                channel,
                account=account,
                profile_id=progress.profile_id,
                lists=lists,
            ).gate
        except RequestRefusedError as error:
            # Not the call that the person asked for: what is wrong with a look will be mended.
            raise NotNowError(_ACCOUNT_WAIT, code=error.code) from None

    def _wait_to_be_shown(self, message: OutboxMessage, progress: Progress, now: float) -> None:
        """Raise :class:`NotNowError` while a profile that Klaviyo does not show (yet) is worth waiting for."""
        if is_lost(progress, now):
            return
        since = progress.unseen_since if progress.unseen_since is not None else now
        self._note(message, replace(progress, unseen_since=since))
        raise NotNowError(min(max(_LOOK_AGAIN, now - since), _LONGEST_LOOK), failed=False)

    def _mails(self, lists: Sequence[str]) -> bool:
        """Whether subscribing twice may mail twice: a list of single opt-in asks nobody to confirm."""
        found = self._client.get_list(lists[0]) if lists else None
        return found is None or found.opt_in_process != "single_opt_in"

    def _link(self, message: OutboxMessage, progress: Progress, who: Mapping[str, Any]) -> Progress:
        """Note by what else Klaviyo knows the person, so that a request by another address keeps its place."""
        keys: list[str] = []
        for name, value in identifiers(who, self._country):
            for profile in self._client.profiles_by(name, [value]):
                keys.append(person_key("id", profile.id))
                keys += keys_of(profile.attributes)
        progress = replace(progress, linked=True)
        self._note(message, progress, keys)
        if self._store.outbox.is_behind(message.id):
            raise NotNowError(0.0, failed=False)
        return progress

    def _note(self, message: OutboxMessage, progress: Progress, keys: Sequence[str] = ()) -> None:
        self._store.outbox.note_progress(message.id, self._owner, progress.text(), keys)

    def _account_id(self) -> str:
        if not self._account:
            self._account = self._client.get_account().id
        return self._account


def identifiers(who: Mapping[str, Any], country: str | None) -> Iterator[tuple[Any, str]]:
    """Yield the identifiers of a person, as Klaviyo gets them; none for a person that cannot be read."""
    try:
        attributes = parse_profile(who, country=country).attributes
    except InvalidProfileError:
        return
    for name in IDENTIFIERS:
        if attributes.get(name):
            yield name, str(attributes[name])


def keys_of(attributes: Mapping[str, Any]) -> list[str]:
    """Return the keys of a person's identifiers; two requests that share one are about the same person."""
    return [
        person_key(name, opt_out_key(name, value))
        for name in IDENTIFIERS
        if isinstance(value := attributes.get(name), str) and value
    ]
