"""What may stand behind the question mark (OpenAPI document, parameters), and what it makes of an answer.

JSON:API demands a 400 for a parameter that the server does not know; Klaviyo's documents do not say (a switch).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from etl.sandbox.protocol.jsonapi import Problem, Request, invalid
from etl.sandbox.protocol.switches import Switches

Parameters = Mapping[str, frozenset[str] | None]
"""Name → the words that may be listed there, ``None`` where the endpoint itself looks at it."""

_PERSON: Final = (
    "created email external_id first_name image last_event_date last_name locale location organization phone_number "
    "properties title updated subscriptions predictive_analytics joined_group_at"
)
_IMPORT: Final = "completed_at completed_count created_at expires_at failed_count started_at status total_count"
_SUPPRESSION: Final = "completed_at completed_count created_at skipped_count status total_count"
FIELDS: Final[Mapping[str, frozenset[str]]] = {
    kind: frozenset({"id", *names.split()})
    for kind, names in {
        "account": "contact_information industry locale preferred_currency public_api_key test_account timezone",
        "attribution": "",
        "billing-usage": "as_of period_end period_start unit usage_max usage_used",
        "conversation": "channel",
        "event": "datetime event_properties timestamp uuid",
        "flow": "archived created name status trigger_type updated",
        "import-error": "code detail original_payload source title",
        "list": "created name opt_in_process profile_count updated",
        "metric": "created integration name updated",
        "profile": _PERSON,
        "profile-bulk-import-job": _IMPORT,
        "profile-suppression-bulk-create-job": _SUPPRESSION,
        "profile-suppression-bulk-delete-job": _SUPPRESSION,
        "push-token": "background created enablement_status metadata platform recorded_date token vendor",
        "segment": "created definition is_active is_processing is_starred name updated",
        "tag": "name",
        "webhook": "created_at description enabled endpoint_url name updated_at",
        "webhook-topic": "",
    }.items()
}
"""Kind of resource → the fields that ``fields[kind]`` may list; parts of them are named with points."""


def parameters(text: str) -> Parameters:
    """Read the parameters of an endpoint: names, with the words that may be listed there behind a colon."""
    known: dict[str, frozenset[str] | None] = {}
    for part in text.split():
        name, _, words = part.partition(":")
        known[name] = frozenset(words.split(",")) if words else None
    return known


def check(request: Request, known: Parameters, switches: Switches) -> list[Problem]:
    """Return what is wrong with the names and the listed words of a query."""
    found = []
    for name, value in request.query:
        if name not in known:
            if switches.unknown_parameters == "refuse":
                found.append(invalid(f"'{name}' is not a valid query parameter.", parameter=name or "?"))
            continue
        words = known[name]
        asked = {word for word in value.split(",") if word}
        if name.startswith("fields["):
            allowed = FIELDS[name[7:-1]]
            wrong = sorted(word for word in asked if word.partition(".")[0] not in allowed)
        else:
            wrong = sorted(asked - words) if words is not None else []
        if wrong:
            found.append(invalid(f"Not valid here: {', '.join(wrong)}", parameter=name))
    return found


def sparse(body: bytes, request: Request) -> bytes:
    """Return an answer with no more of each resource than ``fields[...]`` asks for."""
    wanted = {
        name[7:-1]: {word for word in value.split(",") if word}
        for name, value in request.query
        if name.startswith("fields[")
    }
    if not wanted or not body:
        return body
    document = orjson.loads(body)
    data = document.get("data")
    for item in [*(data if isinstance(data, list) else [data]), *document.get("included", [])]:
        if isinstance(item, dict) and item.get("type") in wanted and "attributes" in item:
            item["attributes"] = _kept(item["attributes"], wanted[item["type"]])
    return orjson.dumps(document)


def _kept(attributes: Mapping[str, Any], wanted: set[str]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, value in attributes.items():
        inner = {word.partition(".")[2] for word in wanted if word.partition(".")[0] == name}
        if "" in inner or (inner and not isinstance(value, dict)):
            kept[name] = value
        elif inner:
            kept[name] = _kept(value, inner)
    return kept
