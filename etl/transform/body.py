"""The profile's JSON: canonical bytes, fingerprint, identity."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import orjson

from etl.model import Record

MAX_PROFILE_BYTES: Final = 100_000
"""Klaviyo: 100 KB per profile (OpenAPI document, bulk_import_profiles); the smaller reading of KB."""

_ENVELOPE: Final = len(b'"type":"profile",')
_DIGEST: Final = 16


def encode(document: dict[str, Any]) -> bytes:
    """Return canonical JSON: sorted keys, no blanks, UTF-8. Equal documents give equal bytes."""
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)


def size(body: bytes) -> int:
    """Return the bytes of the profile as it is sent, its type included."""
    return len(body) + _ENVELOPE


def is_too_large(body: bytes) -> bool:
    """Whether Klaviyo would refuse the profile for its size."""
    return size(body) > MAX_PROFILE_BYTES


def fingerprint(body: bytes, lists: Sequence[str]) -> bytes:
    """Return 16 bytes that change when anything that would be written changes."""
    digest = hashlib.blake2b(body, digest_size=_DIGEST)
    if lists:
        digest.update(b"\0" + orjson.dumps(lists))
    return digest.digest()


def identity(key: Sequence[str], attributes: dict[str, Any]) -> bytes:
    """Return 16 bytes for the first identifier of ``key`` that the profile has (e-mails without regard to case)."""
    for name in key:
        value = attributes.get(name)
        if value:
            folded = value.casefold() if name == "email" else value
            return hashlib.blake2b(f"{name}:{folded}".encode(), digest_size=_DIGEST).digest()
    # The mapping's key may leave out the only identifier of a row; any other one still tells people apart.
    return identity(("external_id", "email", "phone_number"), attributes)


def make_record(
    line: int, document: dict[str, Any], lists: tuple[str, ...], key: Sequence[str], *, clears: bool
) -> Record:
    """Return the record of a profile resource without its type (``{"attributes": ...}``)."""
    return _record(line, encode(document), document["attributes"], lists, key, clears=clears)


def make_sorted_record(
    line: int, attributes: dict[str, Any], lists: tuple[str, ...], key: Sequence[str], *, clears: bool
) -> Record:
    """Return the record of attributes whose keys are in order already, nested ones included: a third less work."""
    return _record(line, b'{"attributes":' + orjson.dumps(attributes) + b"}", attributes, lists, key, clears=clears)


def _record(
    line: int, body: bytes, attributes: dict[str, Any], lists: tuple[str, ...], key: Sequence[str], *, clears: bool
) -> Record:
    # What every row of a file passes is written out here, not called.
    for name in key:
        value = attributes.get(name)
        if value:
            text = f"{name}:{value.casefold() if name == 'email' else value}"
            who = hashlib.blake2b(text.encode(), digest_size=_DIGEST).digest()
            break
    else:
        who = identity(key, attributes)
    return Record(
        line,
        body,
        fingerprint(body, lists) if lists else hashlib.blake2b(body, digest_size=_DIGEST).digest(),
        who,
        attributes.get("email"),
        attributes.get("phone_number"),
        attributes.get("external_id"),
        lists,
        clears,
    )
