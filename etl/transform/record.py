"""The profile's JSON: canonical bytes, fingerprint, identity."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from etl.identity import EMAIL, email_key, email_keys
from etl.model import DIGEST_BYTES, BatchKind, Record
from etl.operations import OPERATIONS
from etl.records import digests

MAX_PROFILE_BYTES: Final = OPERATIONS[BatchKind.UPSERT].most_bytes
"""Klaviyo: 100 KB per profile (OpenAPI document, bulk_import_profiles); the smaller reading of KB."""

_ENVELOPE: Final = len(b'"type":"profile",')
_ANY_KEY: Final = ("external_id", "email", "phone_number")


def encode(document: dict[str, Any]) -> bytes:
    """Return canonical JSON: sorted keys, no blanks, UTF-8. Equal documents give equal bytes."""
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)


def size(body: bytes) -> int:
    """Return the bytes of the profile as it is sent, its type included."""
    return len(body) + _ENVELOPE


def sizes(bodies: Any) -> Any:
    """Do as :func:`size` for a column of bodies."""
    return pc.binary_length(bodies).to_numpy() + _ENVELOPE


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
    return identity(_ANY_KEY, attributes)


def fingerprints(bodies: Any, lists: Any) -> Any:
    """Do as :func:`fingerprint` for a column of bodies and one of lists (null for none)."""
    found = _digests(bodies)
    if lists.null_count < len(lists):
        routed = np.flatnonzero(lists.is_valid().to_numpy(zero_copy_only=False)).tolist()
        for position, names in zip(routed, lists.drop_null().to_pylist(), strict=True):
            if names:
                found[position] = fingerprint(bodies[position].as_py(), names)
    return digests(found)


def identities(key: Sequence[str], columns: Mapping[str, Any]) -> Any:
    """Do as :func:`identity` for columns of identifiers (null for none)."""
    named = []
    for name in dict.fromkeys((*key, *_ANY_KEY)):
        folded = email_keys(columns[name]) if name == EMAIL else columns[name]
        named.append(pc.binary_join_element_wise(pa.scalar(name, folded.type), folded, pa.scalar(":", folded.type)))
    return digests(_digests(pc.coalesce(*named)))


def _digests(column: Any) -> list[bytes]:
    """Return the digest of each cell; cells are looked at where they lie, and no object is made of them."""
    _, offsets, data = column.buffers()
    ends = np.frombuffer(offsets, np.int64)[column.offset : column.offset + len(column) + 1].tolist()
    cells = memoryview(data if data is not None else b"")
    blake2b = hashlib.blake2b
    return [blake2b(cells[start:end], digest_size=DIGEST_BYTES).digest() for start, end in itertools.pairwise(ends)]


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
