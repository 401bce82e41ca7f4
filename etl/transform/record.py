"""The profile's JSON: canonical bytes, fingerprint, identity."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import orjson

from etl.identity import EMAIL, email_key
from etl.model import DIGEST_BYTES, BatchKind, Record
from etl.operations import OPERATIONS

MAX_PROFILE_BYTES: Final = OPERATIONS[BatchKind.UPSERT].most_bytes
"""Klaviyo: 100 KB per profile (OpenAPI document, bulk_import_profiles); the smaller reading of KB."""

ENVELOPE: Final = len(b'"type":"profile",')
"""Bytes that are sent around a body."""
ANY_KEY: Final = ("external_id", "email", "phone_number")
"""The identifiers that tell people apart where the mapping's key finds none, in order."""


def encode(document: dict[str, Any]) -> bytes:
    """Return canonical JSON: sorted keys, no blanks, UTF-8. Equal documents give equal bytes."""
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)


def size(body: bytes) -> int:
    """Return the bytes of the profile as it is sent, its type included."""
    return len(body) + ENVELOPE


def is_too_large(body: bytes) -> bool:
    """Whether Klaviyo would refuse the profile for its size."""
    return size(body) > MAX_PROFILE_BYTES


def fingerprint(body: bytes, lists: Sequence[str]) -> bytes:
    """Return 16 bytes that change when anything that would be written changes."""
    digest = hashlib.blake2b(body, digest_size=DIGEST_BYTES)
    if lists:
        digest.update(b"\0" + orjson.dumps(lists))
    return digest.digest()


def identity(key: Sequence[str], attributes: dict[str, Any]) -> bytes:
    """Return 16 bytes for the first identifier of ``key`` that the profile has (e-mails by their ``email_key``)."""
    for name in key:
        value = attributes.get(name)
        if value:
            folded = email_key(value) if name == EMAIL else value
            return hashlib.blake2b(f"{name}:{folded}".encode(), digest_size=DIGEST_BYTES).digest()
    # The mapping's key may leave out the only identifier of a row; any other one still tells people apart.
    return identity(ANY_KEY, attributes)


def make_record(
    line: int, document: dict[str, Any], lists: tuple[str, ...], key: Sequence[str], *, clears: bool
) -> Record:
    """Return the record of a profile resource without its type (``{"attributes": ...}``)."""
    body = encode(document)
    attributes = document["attributes"]
    return Record(
        line,
        body,
        fingerprint(body, lists),
        identity(key, attributes),
        attributes.get("email"),
        attributes.get("phone_number"),
        attributes.get("external_id"),
        lists,
        clears,
    )
