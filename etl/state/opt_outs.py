"""Who opted out on any line of a source: also on lines that are rejected, merged away, or beyond a pilot's limit.

An identifier is kept as eight bytes, packed a chunk at a time. Asked, those of one run are read once and sorted: eight
bytes of memory an identifier that opted out, whatever the source holds besides.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from etl.identity import opt_out_key
from etl.model import Channel
from etl.state import schema
from etl.state.base import Database

_DIGEST: Final = np.dtype("<u8")

Digests = npt.NDArray[np.uint64]


def opt_out_digests(identifiers: Iterable[tuple[str, str]]) -> Digests:
    """Return what is kept of identifiers (name, value): eight bytes each, equal for all spellings of one."""
    kept = b"".join(
        hashlib.blake2b(f"{name}:{opt_out_key(name, value)}".encode(), digest_size=_DIGEST.itemsize).digest()
        for name, value in identifiers
    )
    return np.frombuffer(kept, _DIGEST)


class SourceOptOuts:
    """The opt-outs of one source on one channel."""

    def __init__(self, digests: Digests) -> None:
        self._digests = np.unique(digests)

    def name_any(self, identifiers: Iterable[tuple[str, str]]) -> bool:
        """Whether one of these identifiers of a person (name, value) opted out."""
        if not len(self._digests):
            return False
        asked = opt_out_digests(identifiers)
        at = np.minimum(np.searchsorted(self._digests, asked), len(self._digests) - 1)
        return bool((self._digests[at] == asked).any())


class OptOutTable(Database):
    """Opt-outs are staged with their chunk, before anything of the run is sent, and never changed."""

    def stage_opt_outs(self, run_id: str, digests: Mapping[Channel, bytes]) -> None:
        """Record the opt-outs of a chunk: packed digests by channel."""
        values = [
            {"run": self._seq(run_id), "channel": channel.value, "digests": packed}
            for channel, packed in digests.items()
            if packed
        ]
        if values:
            with self._write() as connection:
                connection.execute(schema.source_opt_outs.insert(), values)

    def source_opt_outs(self, run_id: str, channel: Channel) -> SourceOptOuts:
        """Return who opted out on any line of a run's source, or of the source that it repeats a part of."""
        kept, runs = schema.source_opt_outs, schema.runs
        pieces: list[Digests] = [np.zeros(0, np.uint64)]
        parent: str | None = run_id
        seen: set[str] = set()
        with self._read() as connection:
            while parent is not None and parent not in seen:
                seen.add(parent)
                found = connection.execute(sa.select(runs.c.seq, runs.c.parent).where(runs.c.id == parent)).first()
                if found is None:
                    break
                query = sa.select(kept.c.digests).where(kept.c.run == found.seq, kept.c.channel == channel.value)
                pieces += [np.frombuffer(bytes(each), _DIGEST) for each in connection.execute(query).scalars()]
                parent = found.parent
        return SourceOptOuts(np.concatenate(pieces))
