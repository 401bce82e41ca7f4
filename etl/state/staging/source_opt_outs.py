"""Who opted out on any line of a source: also on lines that are rejected, merged away, or beyond a pilot's limit.

An identifier is kept as eight bytes, packed a chunk at a time: the hashes by which records are compared (packing.py).
Asked, those of one run are read once and sorted: eight bytes of memory an identifier that opted out, whatever the
source holds besides.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple, TypeAlias

import sqlalchemy as sa

from etl.deferred import np, npt
from etl.identity import opt_out_key
from etl.model import IDENTIFIERS, Channel
from etl.state.db import schema
from etl.state.db.database import Table
from etl.state.records.blocks import hashes_of_any
from etl.state.records.read import read_blocks

ANYBODY: Final = "*"
"""Name of the identifier in an opt-out that an earlier version staged, and of which nobody can tell whose it is."""
_HASH: Final = "<i8"

Hashes: TypeAlias = "npt.NDArray[np.int64]"


class Said(NamedTuple):
    """How lines of a source speak against a channel. ``certain``: their words were understood. ``name``: by what."""

    channel: Channel
    certain: bool
    name: str


def opt_out_hashes(name: str, values: Iterable[str]) -> Hashes:
    """Return what is kept of identifiers of one name: equal for all spellings of one."""
    return hashes_of_any(name, [key for value in values if (key := opt_out_key(name, value))])


class SourceOptOuts:
    """The opt-outs of one source on one channel."""

    def __init__(self, certain: Mapping[str, Hashes], unclear: Mapping[str, Hashes]) -> None:
        self._certain = {name: np.unique(hashes) for name, hashes in certain.items()}
        self._unclear = {name: np.unique(hashes) for name, hashes in unclear.items()}

    @property
    def are_certain(self) -> Mapping[str, Hashes]:
        """Those whose words were understood: sorted, by the name of the identifier."""
        return self._certain

    def says(self, identifiers: Iterable[tuple[str, str]]) -> bool | None:
        """Return whether a person with these identifiers (name, value) opted out: ``None`` where no line says so.

        ``False``: a line says something that nobody understands, or an earlier version staged it by other means.
        """
        found: bool | None = False if ANYBODY in self._unclear else None
        if self._certain or self._unclear:
            for name, value in identifiers:
                asked = opt_out_hashes(name, [value])
                if _any_among(asked, self._certain.get(name)):
                    return True
                found = False if _any_among(asked, self._unclear.get(name)) else found
        return found


def _any_among(asked: Hashes, kept: Hashes | None) -> bool:
    return kept is not None and bool(_among(asked, kept).any())


def _among(asked: Hashes, kept: Hashes) -> npt.NDArray[np.bool_]:
    if not len(kept):
        return np.zeros(len(asked), dtype=bool)
    at = np.minimum(np.searchsorted(kept, asked), len(kept) - 1)
    return np.asarray(kept[at] == asked)


class StagedOptOuts(Table):
    """Opt-outs are staged with their chunk, before anything of the run is sent, and never changed."""

    def stage(self, run_id: str, found: Mapping[Said, bytes]) -> None:
        """Record the opt-outs of a chunk: packed hashes."""
        values = [
            {
                "run": self._db.seq(run_id),
                "channel": said.channel.value,
                "certain": int(said.certain),
                "name": said.name,
                "hashes": packed,
            }
            for said, packed in found.items()
            if packed
        ]
        if values:
            with self._db.write() as connection:
                connection.execute(schema.source_opt_outs.insert(), values)

    def of(self, run_id: str, channel: Channel) -> SourceOptOuts:
        """Return who opted out on any line of a run's source, or of the source that it repeats a part of."""
        kept = schema.source_opt_outs
        pieces: dict[bool, dict[str, list[Hashes]]] = {True: {}, False: {}}
        for seq in self._lineage(run_id):
            mine = (kept.c.run == seq) & (kept.c.channel == channel.value)
            with self._db.read() as connection:
                for row in connection.execute(sa.select(kept.c.certain, kept.c.name, kept.c.hashes).where(mine)):
                    hashes = np.frombuffer(bytes(row.hashes), _HASH)
                    pieces[bool(row.certain)].setdefault(row.name, []).append(hashes)
        certain, unclear = (
            {name: np.concatenate(hashes) for name, hashes in pieces[each].items()} for each in (True, False)
        )
        return SourceOptOuts(certain, unclear)

    def lines_named(self, run_id: str, opt_outs: SourceOptOuts) -> list[int]:
        """Return the lines whose records may carry an identifier that opted out, in order; some may not."""
        kept = opt_outs.are_certain
        if not kept:
            return []
        found: list[int] = []
        seq = self._db.seq(run_id)
        with self._db.read() as connection:
            # A block keeps the hashes of what was read; who was merged has identifiers of other rows too.
            own = schema.records.c
            replaced = connection.execute(sa.select(own.line).where(own.run == seq)).scalars().all()
            for block in read_blocks(connection, seq, ("hashes",)):
                named = np.isin(block.lines, replaced)
                for name, hashes in zip(IDENTIFIERS, block.hashes, strict=True):
                    if name in kept:
                        named |= _among(hashes, kept[name])
                found += block.lines[named].tolist()
        return found

    def _lineage(self, run_id: str) -> Iterator[int]:
        """Yield the keys of a run and of those that it repeats a part of."""
        runs = schema.runs
        parent: str | None = run_id
        seen: set[str] = set()
        while parent is not None and parent not in seen:
            seen.add(parent)
            with self._db.read() as connection:
                found = connection.execute(sa.select(runs.c.seq, runs.c.parent).where(runs.c.id == parent)).first()
            if found is None:
                return
            yield int(found.seq)
            parent = found.parent
