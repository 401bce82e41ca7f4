"""Whether a delivery comes from Klaviyo: decided over its raw bytes, before anything in it is read. Pure.

Klaviyo signs ``body + Klaviyo-Timestamp`` with HMAC-SHA256 and sends the lowercase hex digest (reference 3.11).
Tutorials describe another form, base64 over the body alone in ``X-Klaviyo-Signature``; no page of Klaviyo's does
(reference 9b). It is here for relays that were built after them, carries no time, and must be asked for.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Final

MOST_SECONDS: Final = 300.0
"""How old, or how far ahead, a delivery's time may be."""
LEAST_SECRET: Final = 16
"""Klaviyo takes no shorter one (reference 3.11)."""
_HEX: Final = re.compile(r"[0-9a-f]{64}")
_BASE64: Final = re.compile(r"[0-9A-Za-z+/]{43}=")


class SignatureForm(StrEnum):
    """Which form of signature is expected."""

    KLAVIYO = "klaviyo"
    LEGACY = "legacy"


class Refusal(StrEnum):
    """Why a delivery is not believed; a code for metrics and answers, never more for whoever sent it."""

    HEADER_MISSING = "header-missing"
    TIMESTAMP_INVALID = "timestamp-invalid"
    TIMESTAMP_OLD = "timestamp-old"
    SIGNATURE_WRONG = "signature-wrong"


def verify(
    body: bytes,
    headers: Mapping[str, str],
    secret: str,
    now: float,
    *,
    form: SignatureForm = SignatureForm.KLAVIYO,
) -> Refusal | None:
    """Return why the delivery is refused, ``None`` if it is genuine. ``headers``: lowercase names; ``now``: epoch."""
    refusal = refused_unread(headers, now, form=form)
    if refusal is not None:
        return refusal
    given = signature_of(headers, form)
    if form is SignatureForm.LEGACY:
        expected = base64.b64encode(hmac.digest(secret.encode(), body, hashlib.sha256)).decode()
    else:
        expected = sign(body, headers["klaviyo-timestamp"], secret)
    return None if _same(given, expected) else Refusal.SIGNATURE_WRONG


def refused_unread(
    headers: Mapping[str, str], now: float, *, form: SignatureForm = SignatureForm.KLAVIYO
) -> Refusal | None:
    """Return why a delivery is refused whatever its body says: no byte of that needs to be read."""
    given = signature_of(headers, form)
    if not given:
        return Refusal.HEADER_MISSING
    if form is SignatureForm.LEGACY:
        return None if _BASE64.fullmatch(given) else Refusal.SIGNATURE_WRONG
    stamp = headers.get("klaviyo-timestamp", "")
    if not stamp or not headers.get("klaviyo-webhook-id"):
        return Refusal.HEADER_MISSING
    if not _HEX.fullmatch(given):
        return Refusal.SIGNATURE_WRONG
    sent = _seconds(stamp)
    if sent is None:
        return Refusal.TIMESTAMP_INVALID
    return Refusal.TIMESTAMP_OLD if abs(now - sent) > MOST_SECONDS else None


def signature_of(headers: Mapping[str, str], form: SignatureForm) -> str:
    """Return the signature that a delivery carries, empty where it has none."""
    return headers.get("x-klaviyo-signature" if form is SignatureForm.LEGACY else "klaviyo-signature", "")


def sign(body: bytes, stamp: str, secret: str) -> str:
    """Return the signature of a body and the text of its ``Klaviyo-Timestamp``."""
    mac = hmac.new(secret.encode(), body, hashlib.sha256)
    mac.update(stamp.encode())
    return mac.hexdigest()


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())


def _seconds(stamp: str) -> float | None:
    try:
        moment = parsedate_to_datetime(stamp)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
