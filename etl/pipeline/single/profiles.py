"""One profile at a time: read, validate as an import would, upsert, put on a list, subscribe.

The same judgement as for a file, but stricter: a cell that an import would leave out with a warning is an error here,
because somebody waits for the answer and can correct it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import orjson
import pandas as pd

from etl.codes import CODES
from etl.config import ATTRIBUTES, LOCATION_FIELDS, LOCATION_PREFIX, parse_mapping
from etl.errors import RequestRefusedError, UsageError
from etl.klaviyo import KlaviyoClient, Profile, Reply, ReplyKind, error_for
from etl.load import ConsentDecision, ConsentOptions, ConsentVerdict, Sought, Witness, consent_request, decide_consent
from etl.model import IDENTIFIERS, BatchKind, Channel, ConsentAction, ConsentRequest, Issue, Severity
from etl.operations import CONSENT_KINDS, OPERATIONS
from etl.pipeline.account.forgotten import refuse_forgotten
from etl.state import Store
from etl.transform import Transformer
from etl.validate import Validator

_FLAT: Final = (*IDENTIFIERS, *ATTRIBUTES)
_SAID: Final = {
    ConsentVerdict.SEND: "sent",
    ConsentVerdict.ALREADY: "already",
    ConsentVerdict.WITHHOLD: "withheld",
    ConsentVerdict.NOT_FOUND: "unknown",
}
_PATIENCE: Final = (0.0, 2.0, 5.0)
"""Seconds before each look at a profile that was made a moment ago and is not shown yet."""
_KLAVIYO_ID: Final = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one field, for whoever sent it. Never holds the value."""

    field: str
    code: str
    message: str
    hint: str


class InvalidProfileError(UsageError):
    """A profile that Klaviyo would refuse, or spoil. ``faults``: one per field."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        said = "; ".join(f"{fault.field}: {fault.message}" for fault in faults)
        super().__init__("profile-invalid", f"The profile is not valid: {said}", faults[0].hint)

    @classmethod
    def of(cls, field: str, code: str) -> InvalidProfileError:
        """Return the error of one field, by a code of the registry."""
        return cls([_fault(field, code)])

    def documents(self) -> list[dict[str, str]]:
        """Return the faults as plain data."""
        return [asdict(fault) for fault in self.faults]


@dataclass(frozen=True, slots=True)
class ProfileInput:
    """A profile that is ready to be sent. ``body``: ``{"attributes": ...}``; ``warnings``: codes that cost nothing."""

    body: bytes
    attributes: Mapping[str, Any]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Upserted:
    """What an upsert came to. ``consents``: channel → ``sent``, ``already``, ``withheld`` or ``unknown``."""

    profile_id: str
    created: bool
    warnings: tuple[str, ...]
    consents: Mapping[str, str]


def parse_profile(fields: Mapping[str, Any], *, country: str | None = None) -> ProfileInput:
    """Validate a profile: attributes of Klaviyo's names, ``location`` and ``properties`` as objects.

    Raise :class:`InvalidProfileError` naming each faulty field.
    """
    texts, properties, faults = _texts(fields)
    if faults:
        raise InvalidProfileError(faults)
    if not any(texts.get(name) for name in IDENTIFIERS):
        raise InvalidProfileError([_fault("profile", "identifier-missing")])
    rules = {"columns": {target: target for target in texts}, "defaults": {"country": country} if country else {}}
    mapping = parse_mapping(rules)
    frame = pd.DataFrame(
        {target: [text] for target, text in texts.items()}, dtype="str", index=pd.Index([1], name="line")
    )
    validated = Validator(mapping, tuple(texts)).validate(frame)
    transformed = Transformer(mapping).transform(validated.frame)
    issues = [*validated.issues, *transformed.issues]
    costly = [issue for issue in issues if _costs(issue, texts, validated.frame)]
    if costly:
        raise InvalidProfileError([_fault(issue.column or "profile", issue.code, issue.detail) for issue in costly])
    document = orjson.loads(transformed.records[0].body)
    if properties:
        document["attributes"]["properties"] = properties
    body = orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
    if len(body) > OPERATIONS[BatchKind.UPSERT].most_bytes:
        raise InvalidProfileError([_fault("profile", "profile-too-large", f"{len(body):,} bytes")])
    return ProfileInput(body, document["attributes"], tuple(dict.fromkeys(issue.code for issue in issues)))


def upsert_person(
    client: KlaviyoClient,
    store: Store,
    account: str,
    person: ProfileInput,
    *,
    lists: Sequence[str] = (),
    subscribe: Sequence[Channel] = (),
    source: str = "",
) -> Upserted:
    """Create or update a profile, add it to lists (by id), and subscribe it where nothing speaks against it.

    Consent counts as given now: the process of the first list decides whether the person is asked to confirm. Raise
    :class:`etl.errors.KlaviyoError`; what was done until then may be done again without harm, except that a lost answer
    to the subscribe call is not repeated.
    """
    refuse_forgotten(store, lambda: account, person.attributes)
    put = put_person(client, person)
    for list_id in lists:
        raise_for_reply(client.add_to_list(list_id, [put.profile_id]))
    consents = {}
    for channel in subscribe:
        gate = ConsentVerdict.NOT_FOUND
        for pause in _PATIENCE:
            if gate is ConsentVerdict.NOT_FOUND and client.pause(pause):
                # Whatever waiting there is comes before the look: people may opt out meanwhile.
                client.await_subscribing()
                gate = may_subscribe(
                    client, store, person, channel, account=account, profile_id=put.profile_id, lists=lists
                ).gate
        if gate is ConsentVerdict.SEND:
            raise_for_reply(ask_to_subscribe(client, person, channel, lists=lists, source=source))
        consents[channel.value] = _SAID[gate]
    return Upserted(put.profile_id, put.created, put.warnings, consents)


def put_person(client: KlaviyoClient, person: ProfileInput) -> Upserted:
    """Create or update a profile, and nothing else. May be repeated without harm. Raise KlaviyoError."""
    reply = raise_for_reply(client.upsert_profile(b'{"data":{"type":"profile",' + person.body[1:] + b"}"))
    data = reply.document.get("data")
    profile_id = str(data.get("id") or "") if isinstance(data, dict) else ""
    if not profile_id:
        raise RequestRefusedError("answer-malformed", "Klaviyo's answer names no profile", "Try it again.")
    dropped = ("phone-dropped",) if "phone_number" in reply.partial_failure else ()
    return Upserted(profile_id, reply.status == 201, (*person.warnings, *dropped), {})  # noqa: PLR2004 - created


def may_subscribe(
    client: KlaviyoClient,
    store: Store,
    person: ProfileInput,
    channel: Channel,
    *,
    account: str,
    profile_id: str,
    lists: Sequence[str] = (),
) -> ConsentDecision:
    """Return whether a person may be subscribed, by Klaviyo's word and the log of the webhooks.

    What Klaviyo does not show, or does not say, is ``NOT_FOUND``: worth another look, no reason to subscribe anybody.
    """
    if not person.attributes.get(channel.address):
        raise InvalidProfileError([_fault(channel.address, "consent-no-address")])
    witness = Witness(client, store, account, channel)
    look = witness.look({1: Sought(person.attributes, [profile_id])}, subscribing=True)
    decision = decide_consent(
        CONSENT_KINDS[channel, ConsentAction.SUBSCRIBE], look.evidence[1], list_id=lists[0] if lists else None
    )
    return (
        ConsentDecision(ConsentVerdict.NOT_FOUND, decision.reason)
        if decision.gate is ConsentVerdict.UNCLEAR
        else decision
    )


def ask_to_subscribe(
    client: KlaviyoClient, person: ProfileInput, channel: Channel, *, lists: Sequence[str], source: str
) -> Reply:
    """Ask Klaviyo to subscribe a person that passed :func:`may_subscribe` a moment ago. One exchange; it may mail."""
    options = ConsentOptions(historical=False, list=lists[0] if lists else None)
    ask = ConsentRequest(1, channel, ConsentAction.SUBSCRIBE, source=source)
    return client.subscribe(
        consent_request(CONSENT_KINDS[channel, ConsentAction.SUBSCRIBE], [ask], {1: person.attributes}, options)
    )


def update_person(client: KlaviyoClient, profile_id: str, changes: Mapping[str, Any]) -> None:
    """Change fields of a profile by its Klaviyo id; ``None`` clears a field (reference 3.2)."""
    clearing = {name: None for name, value in changes.items() if value is None}
    rest = {name: value for name, value in changes.items() if value is not None}
    faults = [_fault(name, "field-unknown") for name in clearing if name not in {*_FLAT, "location", "properties"}]
    if faults:
        raise InvalidProfileError(faults)
    attributes: dict[str, Any] = dict(clearing)
    if rest:
        probe = rest if any(rest.get(name) for name in IDENTIFIERS) else {**rest, "external_id": "probe"}
        checked = dict(parse_profile(probe).attributes)
        if probe is not rest:
            del checked["external_id"]
        attributes |= checked
    data = {"type": "profile", "id": profile_id, "attributes": attributes}
    raise_for_reply(client.patch_profile(profile_id, orjson.dumps({"data": data})))


def find_person(client: KlaviyoClient, who: str) -> Profile | None:
    """Return a profile with its consents, by Klaviyo id, e-mail, phone (with +) or external id."""
    if "@" in who:
        return next(iter(client.profiles_with_consent("email", [who])), None)
    if who.startswith("+"):
        return next(iter(client.profiles_with_consent("phone_number", [who])), None)
    if _KLAVIYO_ID.fullmatch(who) and (found := client.get_profile(who)) is not None:
        return found
    found = next(iter(client.profiles_by("external_id", [who])), None)
    return client.get_profile(found.id) if found is not None else None


def request_deletion(client: KlaviyoClient, who: str) -> None:
    """Ask Klaviyo to delete everything about a person, for good (reference 3.10)."""
    field: Literal["email", "phone_number", "id"] = (
        "email" if "@" in who else "phone_number" if who.startswith("+") else "id"
    )
    raise_for_reply(client.request_deletion(field, who))


def raise_for_reply(reply: Reply) -> Reply:
    """Return a reply that is good. Raise :class:`etl.errors.KlaviyoError` for any other."""
    if reply.kind is not ReplyKind.OK:
        raise error_for(reply)
    return reply


def _texts(fields: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, Any], list[Fault]]:
    """Split fields into cells of text by target, and custom properties as they are."""
    texts: dict[str, str] = {}
    faults: list[Fault] = []
    properties: dict[str, Any] = {}
    for name, value in fields.items():
        if value is None or value == "":
            continue
        if name in _FLAT:
            _text(name, value, texts, faults)
        elif name == "location" and isinstance(value, Mapping):
            for part, inner in value.items():
                if part not in LOCATION_FIELDS:
                    faults.append(_fault(f"location.{part}", "field-unknown"))
                elif inner is not None and inner != "":
                    _text(f"{LOCATION_PREFIX}{part}", inner, texts, faults)
        elif name == "properties" and isinstance(value, Mapping):
            properties = dict(value)
        else:
            faults.append(_fault(name, "field-unknown"))
    return texts, properties, faults


def _text(target: str, value: object, texts: dict[str, str], faults: list[Fault]) -> None:
    if isinstance(value, str) or (
        isinstance(value, int | float) and not isinstance(value, bool) and target.startswith(LOCATION_PREFIX)
    ):
        texts[target] = str(value)
    else:
        faults.append(_fault(target, "text-expected"))


def _costs(issue: Issue, texts: Mapping[str, str], frame: pd.DataFrame) -> bool:
    """Whether an import would have left the cell, or the row, out."""
    if issue.severity is Severity.ERROR:
        return True
    column = issue.column or ""
    return column in texts and (column not in frame or not len(frame) or not frame[column].iloc[0])


_OWN_FAULTS: Final = {
    "field-unknown": ("There is no such field", "Custom fields go into properties."),
    "text-expected": ("Text is expected", "Send a string."),
}


def _fault(field: str, code: str, detail: str = "") -> Fault:
    known = CODES.get(code)
    title, hint = (known.title, known.hint) if known else _OWN_FAULTS[code]
    return Fault(field, code, f"{title} ({detail})" if detail else title, hint)
