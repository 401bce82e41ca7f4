"""A delivery is Klaviyo's, or it is nobody's: the signature over the raw bytes decides, before anything is read."""

from __future__ import annotations

import base64
import hashlib
import hmac
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.server.webhooks.payload import MalformedDeliveryError, read_delivery
from etl.server.webhooks.signature import MOST_SECONDS, Refusal, SignatureForm, sign, verify

SECRET = "a-secret-of-32-characters-or-so!"
NOW = 1_776_120_612.0
STAMP = formatdate(NOW, usegmt=True)
BODY = (
    b'{"data":[{"topic":"event:klaviyo.unsubscribed_from_email_marketing","external_id":"ev1","payload":{"data":{"type":'
    b'"event","id":"ev1","attributes":{"timestamp":1776120600,"event_properties":{},"datetime":'
    b'"2026-04-13T22:50:00+00:00","uuid":"u1"},"relationships":{"profile":{"data":{"type":"profile","id":"01P"}}}},'
    b'"included":[{"type":"profile","id":"01P","attributes":{"email":"Ann@MapleShop.com","phone_number":null}}]}}],'
    b'"meta":{"klaviyo_webhook_id":"wh1","klaviyo_account_id":"AbC123","timestamp":"2026-04-13T22:50:12.101159+00:00",'
    b'"version":"2024-06-28"}}'
)


def headers(body: bytes = BODY, stamp: str = STAMP, secret: str = SECRET) -> dict[str, str]:
    # Written out here as reference 3.11 has it, not by our own function.
    mac = hmac.new(secret.encode(), body, hashlib.sha256)
    mac.update(stamp.encode())
    return {"klaviyo-signature": mac.hexdigest(), "klaviyo-timestamp": stamp, "klaviyo-webhook-id": "wh1"}


def test_the_published_shape_verifies() -> None:
    assert verify(BODY, headers(), SECRET, NOW) is None
    assert verify(BODY, headers(stamp="Thu, 04 Jan 2024 18:05:25 GMT"), SECRET, 1_704_391_525.0) is None


def test_a_known_vector() -> None:
    """HMAC-SHA256 of RFC 4231 (case 2): the message is cut between body and timestamp, which must not matter."""
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert sign(b"what do ya want ", "for nothing?", "Jefe") == expected


@given(st.integers(0, len(BODY) - 1), st.integers(1, 255))
def test_a_changed_byte_is_refused(place: int, change: int) -> None:
    changed = bytearray(BODY)
    changed[place] ^= change
    assert verify(bytes(changed), headers(), SECRET, NOW) is Refusal.SIGNATURE_WRONG


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"klaviyo-signature": ""}, Refusal.HEADER_MISSING),
        ({"klaviyo-timestamp": ""}, Refusal.HEADER_MISSING),
        ({"klaviyo-webhook-id": ""}, Refusal.HEADER_MISSING),
        ({"klaviyo-signature": "0" * 64}, Refusal.SIGNATURE_WRONG),
        ({"klaviyo-signature": headers()["klaviyo-signature"].upper()}, Refusal.SIGNATURE_WRONG),
        ({"klaviyo-signature": "é"}, Refusal.SIGNATURE_WRONG),
        ({"klaviyo-timestamp": formatdate(NOW + 1, usegmt=True)}, Refusal.SIGNATURE_WRONG),
    ],
)
def test_what_is_missing_or_changed_is_refused(changes: dict[str, str], refusal: Refusal) -> None:
    assert verify(BODY, {**headers(), **changes}, SECRET, NOW) is refusal


def test_a_wrong_secret_is_refused() -> None:
    assert verify(BODY, headers(secret="another-secret-of-some-length"), SECRET, NOW) is Refusal.SIGNATURE_WRONG


@pytest.mark.parametrize("away", [-MOST_SECONDS - 1, MOST_SECONDS + 1])
def test_an_old_or_early_timestamp_is_refused(away: float) -> None:
    assert verify(BODY, headers(), SECRET, NOW + away) is Refusal.TIMESTAMP_OLD


def test_a_signed_timestamp_that_is_none_is_refused() -> None:
    assert verify(BODY, headers(stamp="yesterday"), SECRET, NOW) is Refusal.TIMESTAMP_INVALID


def test_the_form_of_tutorials_must_be_asked_for() -> None:
    legacy = {"x-klaviyo-signature": base64.b64encode(hmac.digest(SECRET.encode(), BODY, "sha256")).decode()}
    assert verify(BODY, legacy, SECRET, NOW) is Refusal.HEADER_MISSING
    assert verify(BODY, legacy, SECRET, NOW, form=SignatureForm.LEGACY) is None
    assert verify(BODY + b" ", legacy, SECRET, NOW, form=SignatureForm.LEGACY) is Refusal.SIGNATURE_WRONG
    assert verify(BODY, headers(), SECRET, NOW, form=SignatureForm.LEGACY) is Refusal.HEADER_MISSING


def test_what_a_delivery_tells() -> None:
    delivery = read_delivery(BODY, NOW)
    (notice,) = delivery.opt_out_events
    assert (delivery.account, delivery.webhook_id, delivery.ignored) == ("AbC123", "wh1", 0)
    assert (notice.event_id, notice.kind, notice.channel) == ("ev1", "unsubscribed", "email")
    assert (notice.email, notice.phone_number, notice.profile_id) == ("Ann@MapleShop.com", None, "01P")
    assert notice.happened_at == 1_776_120_600.0


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"data":[]}', b'{"data":{},"meta":{}}', b"\xff"])
def test_a_genuine_body_that_is_no_delivery(body: bytes) -> None:
    with pytest.raises(MalformedDeliveryError):
        read_delivery(body, NOW)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["data", "topic", "payload", "attributes", "relationships", "profile", "included", "id", "type"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(st.lists(JSON, max_size=4))
def test_whatever_an_event_holds_nothing_breaks(events: list[object]) -> None:
    import orjson  # noqa: PLC0415 - one test of this file needs it

    topic = "event:klaviyo.bounced_email"
    listed = [{"topic": topic, "external_id": "e", "payload": event} for event in events]
    body = orjson.dumps({"data": [*listed, *events], "meta": {"klaviyo_account_id": "A"}})
    assert len(read_delivery(body, NOW).opt_out_events) >= len(listed)
