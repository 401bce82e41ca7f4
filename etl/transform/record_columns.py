"""Sizes, fingerprints and identities of a whole column of profiles.

Reference: ``etl/transform/record.py``. Held to it by ``tests/unit/test_identity.py``, and through whole records by
``tests/unit/transform/test_transform_columns.py``.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from etl.identity import EMAIL, email_keys
from etl.model import DIGEST_BYTES
from etl.records import digests
from etl.transform.record import ANY_KEY, ENVELOPE, fingerprint


def sizes(bodies: Any) -> Any:
    """Do as :func:`size` for a column of bodies."""
    return pc.binary_length(bodies).to_numpy() + ENVELOPE


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
    for name in dict.fromkeys((*key, *ANY_KEY)):
        folded = email_keys(columns[name]) if name == EMAIL else columns[name]
        named.append(pc.binary_join_element_wise(pa.scalar(name, folded.type), folded, pa.scalar(":", folded.type)))
    return digests(_digests(pc.coalesce(*named)))


def _digests(column: Any) -> list[bytes]:
    """Return the digest of each cell; no text is made of it."""
    _, offsets, data = column.buffers()
    ends = np.frombuffer(offsets, np.int64)[column.offset : column.offset + len(column) + 1].tolist()
    cells = memoryview(data if data is not None else b"")[: ends[-1] if ends else 0].tobytes()
    # A copy of one that is ready costs less than making one from its arguments.
    ready = hashlib.blake2b(digest_size=DIGEST_BYTES).copy
    found = []
    for start, end in itertools.pairwise(ends):
        digest = ready()
        digest.update(cells[start:end])
        found.append(digest.digest())
    return found
