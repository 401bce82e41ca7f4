"""Several files as one source: one table, whose rows keep the file they came from.

A line stays one number, the key of everything. Each file has an offset that its own lines are added to; chunks carry
it, and state keeps the table. The first offset is 1, so that line 0 stays the source as a whole, and a file's own
line 0 is that file as a whole.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Final, Self

import numpy as np
import pandas as pd

from etl.errors import SourceError
from etl.extract.base import Source
from etl.extract.cells import text_frame
from etl.extract.table.shape import HEADER_DOUBTFUL
from etl.model import Chunk, RaggedRow, SourceFile, SourceInfo

_FIRST: Final = 1
_MAX_NOTES: Final = 10
_MAX_WORDS: Final = 6
_DOUBTS: Final = frozenset(("encoding_doubtful", HEADER_DOUBTFUL))


@dataclass(frozen=True, slots=True)
class Member:
    """One file of several. ``open`` is called twice; ``size``: its bytes, once it was. ``release``: it is done with."""

    name: str
    size: Callable[[], int]
    open: Callable[[], Source]
    release: Callable[[], None] = lambda: None


class MultiFileSource:
    """Files with the same columns, in any order, one after another. Is a :class:`etl.extract.base.Source`.

    Each is opened twice: all of them first, so that one that does not fit is told before the first row. No two are
    held open at a time.
    """

    def __init__(self, name: str, members: Sequence[Member], *, any_columns: bool = False) -> None:
        """Look at every file. Raise :class:`SourceError`; ``columns-differ`` names the file and the columns.

        ``any_columns``: a column that a file lacks is a missing cell in each of its rows.
        """
        self._members = list(members)
        self._digests: list[str | None] = []
        self._source: Source | None = None
        try:
            self._infos = [self._look(member) for member in self._members]
            self._columns = _common_columns(self._members, self._infos, any_columns=any_columns)
            self._sizes = [member.size() for member in self._members]
        except BaseException:
            self.close()
            raise
        first = self._infos[0]
        details = [set(info.details.items()) for info in self._infos]
        same = set.intersection(*details)
        # A fact of all files, but for a doubt, which one of them is enough for.
        same |= {fact for facts in details for fact in facts if fact[0] in _DOUBTS}
        self._told: list[SourceInfo] = []
        self._info = SourceInfo(
            name=name,
            kind=first.kind if all(info.kind == first.kind for info in self._infos) else "several",
            columns=self._columns,
            size=sum(self._sizes),
            unit="B",
            details=dict(sorted(same)),
            words=tuple(dict.fromkeys(word for info in self._infos for word in info.words))[:_MAX_WORDS],
        )

    @property
    def info(self) -> SourceInfo:
        """What is known of the files so far."""
        known = [*self._told, *self._infos[len(self._told) :]]
        notes = (f"{len(self._members):,} files read as one source", *_notes(self._members, known))
        aside = Counter[str]()
        for one in known:
            aside.update(one.set_aside)
        return replace(self._info, notes=notes, set_aside=dict(aside))

    @property
    def sha256(self) -> str | None:
        """Hex digest over the digests of the files, in order, each on a line; ``None`` unless all were read through."""
        known = [digest for digest in self._digests if digest is not None]
        if len(known) < len(self._members):
            return None
        return hashlib.sha256("".join(f"{digest}\n" for digest in known).encode()).hexdigest()

    def chunks(self) -> Iterator[Chunk]:
        """Yield the rows of each file in turn; a file without rows yields an empty chunk, so that it is known."""
        offset = _FIRST
        before = 0
        for member, info, size in zip(self._members, self._infos, self._sizes, strict=True):
            with member.open() as source:
                self._source = source
                if source.info.columns != info.columns:
                    raise SourceError(
                        "source-changed", f"{member.name} changed while it was read", "Run it again when it is whole."
                    )
                last = 0
                for chunk in self._chunks_of(source):
                    last = max(last, _last_line(chunk))
                    done = min(chunk.position / source.info.size, 1.0) if source.info.size else 1.0
                    yield self._placed(chunk, member, info, offset, before + round(done * size))
                self._digests.append(source.sha256)
                self._told.append(source.info)
            self._source = None
            member.release()
            offset += last + 1
            before += size

    def close(self) -> None:
        """Let go of the file in hand and of what the others hold."""
        if self._source is not None:
            self._source.close()
        for member in self._members:
            member.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @staticmethod
    def _look(member: Member) -> SourceInfo:
        with member.open() as source:
            return source.info

    @staticmethod
    def _chunks_of(source: Source) -> Iterator[Chunk]:
        chunk = None
        for chunk in source.chunks():
            yield chunk
        if chunk is None:
            yield Chunk(text_frame([], dict.fromkeys(source.info.columns, ())))

    def _placed(self, chunk: Chunk, member: Member, info: SourceInfo, offset: int, position: int) -> Chunk:
        """Return a chunk with its lines moved and its columns in the order of the first file."""
        frame = chunk.frame
        if info.columns != self._columns:
            absent = [column for column in self._columns if column not in info.columns]
            blank = text_frame(frame.index.tolist(), dict.fromkeys(absent, [None] * len(frame)))
            frame = pd.concat([frame, blank], axis=1)[list(self._columns)]
        frame = frame.set_axis(pd.Index(frame.index.to_numpy() + np.int64(offset), name="line"))
        name, within = (f"{member.name}/{chunk.part.name}", chunk.part.offset) if chunk.part else (member.name, 0)
        places = [info.columns.index(column) for column in self._columns if column in info.columns]
        straight = places == list(range(len(places)))
        return Chunk(
            frame=frame,
            ragged=tuple(
                RaggedRow(row.line + offset, row.cells if straight else _moved(row.cells, places))
                for row in chunk.ragged
            ),
            issues=tuple(replace(issue, line=issue.line + offset) for issue in chunk.issues),
            position=position,
            part=SourceFile(name, offset + within),
        )


def _common_columns(members: Sequence[Member], infos: Sequence[SourceInfo], *, any_columns: bool) -> tuple[str, ...]:
    """Return the columns of the table: the first header's. In JSON a name that is absent is a missing cell."""
    strict = [place for place, info in enumerate(infos) if info.kind not in {"json", "jsonlines"} and not any_columns]
    if not strict:
        return tuple(dict.fromkeys(column for info in infos for column in info.columns))
    first = strict[0]
    columns = infos[first].columns
    for place, (member, info) in enumerate(zip(members, infos, strict=True)):
        missing = [column for column in columns if column not in info.columns and place in strict]
        extra = [column for column in info.columns if column not in columns]
        if not missing and not extra:
            continue
        lacks = f"lacks {_named(missing)}" if missing else ""
        has = f"has {_named(extra)} besides" if extra else ""
        raise SourceError(
            "columns-differ",
            f"{member.name} has other columns than {members[first].name}: it "
            + " and ".join(part for part in (lacks, has) if part),
            "Files of one source need the same column names, in any order. Correct that file, run it by itself, or set "
            'columns = "any" in [source].',
        )
    return columns


def _named(columns: Sequence[str]) -> str:
    shown = ", ".join(map(repr, columns[:10]))
    return f"{shown} and {len(columns) - 10} more" if len(columns) > 10 else shown  # noqa: PLR2004 - as many as fit


def _notes(members: Sequence[Member], infos: Sequence[SourceInfo]) -> list[str]:
    """Return what is said of all the files once, and of some of them with their names."""
    files: dict[str, list[str]] = {}
    for member, info in zip(members, infos, strict=True):
        for note in info.notes:
            files.setdefault(note, []).append(member.name)
    told = []
    for note, names in files.items():
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")  # noqa: PLR2004
        told.append(note if len(names) == len(members) else f"{shown}: {note}")
    more = len(told) - _MAX_NOTES
    return told[:_MAX_NOTES] + ([f"and {more} more notes on single files"] if more > 0 else [])


def _last_line(chunk: Chunk) -> int:
    lines = [row.line for row in chunk.ragged] + [issue.line for issue in chunk.issues]
    return max([*lines, int(chunk.frame.index[-1])] if len(chunk.frame) else lines, default=0)


def _moved(cells: Sequence[str], places: Sequence[int]) -> tuple[str, ...]:
    """Return the cells of a ragged row in the order of the table. A text that was never cut into cells stays."""
    if len(cells) == 1:
        return tuple(cells)
    known = [cells[place] if place < len(cells) else "" for place in places]
    return (*known, *cells[len(places) :])
