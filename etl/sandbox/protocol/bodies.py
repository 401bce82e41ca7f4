"""The bodies that the endpoints take, by their shapes (OpenAPI document, request bodies)."""

from __future__ import annotations

from typing import Final

from etl.sandbox.protocol.shapes import (
    Shape,
    anything,
    data,
    either,
    flag,
    many,
    mapping,
    maybe,
    number,
    record,
    reference,
    text,
    word,
)

_TEXT: Final = maybe(text)
_ADDRESSES: Final = maybe(record(optional={"email": maybe(either(text, many(text)))}))
_META: Final = maybe(
    record(
        optional={
            "patch_properties": maybe(
                record(
                    optional={
                        "append": maybe(mapping),
                        "unappend": maybe(mapping),
                        "unset": maybe(either(text, many(text))),
                    }
                )
            ),
            "patch_identifiers": maybe(record(optional={"append": _ADDRESSES, "unappend": _ADDRESSES})),
        }
    )
)


def _resource(kind: str, attributes: Shape, **optional: Shape) -> Shape:
    return record({"type": word(kind), "attributes": attributes}, optional)


_LISTS: Final = maybe(record(optional={"lists": maybe(record(optional={"data": maybe(many(reference("list")))}))}))
_LIST: Final = maybe(record(optional={"list": maybe(record(optional={"data": maybe(reference("list"))}))}))
_OF: Final = maybe(
    record(optional={kind: maybe(record(optional={"data": maybe(reference(kind))})) for kind in ("list", "segment")})
)
_TOPICS: Final = record(optional={"webhook-topics": record(optional={"data": many(reference("webhook-topic"))})})
_METRIC: Final = data(_resource("metric", record({"name": text}, {"service": _TEXT})))
_TIMED: Final = {
    "time": _TEXT,
    "value": maybe(number),
    "value_currency": _TEXT,
    "unique_id": _TEXT,
    "backfill": maybe(flag),
}
_GIVEN: Final = {"properties": mapping, "metric": _METRIC}
_EVENT_PROFILE: Final = _resource(
    "profile", record(optional={"meta": _META, "anonymous_id": _TEXT}), id=_TEXT, meta=_META
)

# Rows are looked at one by one, so that each says what is wrong with it. The attributes of a profile are looked at by
# ``validation.malformed``, which says of each what Klaviyo says.
PROFILE: Final = _resource("profile", mapping, id=_TEXT, meta=_META)
SUBSCRIBED: Final = _resource("profile", record(optional={"age_gated_date_of_birth": _TEXT}), id=_TEXT)
EVENT: Final = _resource("event", record({**_GIVEN, "profile": data(_EVENT_PROFILE)}, _TIMED))
EVENT_GROUP: Final = _resource(
    "event-bulk-create",
    record({"profile": data(_EVENT_PROFILE), "events": data(many(anything))}, {"backfill": maybe(flag)}),
)
GROUPED_EVENT: Final = _resource("event", record(_GIVEN, _TIMED))

IMPORT_JOB: Final = _resource(
    "profile-bulk-import-job", record({"profiles": data(many(anything))}), relationships=_LISTS
)
SUBSCRIPTION_JOB: Final = {
    kind: _resource(
        kind,
        record({"profiles": data(many(anything))}, {"custom_source": _TEXT, "historical_import": maybe(flag)}),
        relationships=_LIST,
    )
    for kind in ("profile-subscription-bulk-create-job", "profile-subscription-bulk-delete-job")
}
SUPPRESSION_JOB: Final = {
    kind: _resource(kind, record(optional={"profiles": maybe(data(many(anything)))}), relationships=_OF)
    for kind in ("profile-suppression-bulk-create-job", "profile-suppression-bulk-delete-job")
}
EVENT_JOB: Final = _resource("event-bulk-create-job", record({"events-bulk-create": data(many(anything))}))
PROFILE_MERGE: Final = record(
    {"type": word("profile-merge"), "id": text, "relationships": record({"profiles": data(many(reference("profile")))})}
)
LIST: Final = _resource("list", record({"name": text}, {"opt_in_process": _TEXT}))
WEBHOOK: Final = _resource("webhook", mapping, relationships=_TOPICS)
DELETION: Final = _resource(
    "data-privacy-deletion-job", record({"profile": data(_resource("profile", mapping, id=_TEXT))})
)
