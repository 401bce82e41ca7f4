"""One chunk through everything that decides about it: reshape, validate, row rules, consent, transform.

What comes out is packed as it will be written, so that any process may judge any chunk. What may be said, or may be
there, only once in a source is settled by the one process that sees all chunks in order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from etl.config import Mapping as ColumnMapping
from etl.model import IDENTIFIERS, Chunk, ConsentRequest, Severity, Transformed, Validated
from etl.pipeline.staging.consents import with_consents
from etl.pipeline.staging.issue_filter import OptOutGatherer
from etl.pipeline.staging.unique import hashed_columns
from etl.state import PackedChunk, Said, pack_chunk
from etl.transform import CellTransformer, ConsentReader, RowRules, Transformer
from etl.validate import DamageJudge, Validator, country_name, resolve_country


@dataclass(frozen=True, slots=True)
class ProcessedChunk:
    """A chunk ready to be written.

    ``asks``: what its rows ask for; ``hashes``: of the cells in columns that are ``unique``, see :mod:`uniqueness`;
    ``opt_outs``: of all its lines, see :mod:`gathering`.
    """

    packed: PackedChunk
    asks: Sequence[ConsentRequest]
    hashes: Mapping[str, bytes]
    opt_outs: Mapping[Said, bytes]


class ChunkProcessor:
    """Judges chunk by chunk. Pickles as what it was made of."""

    def __init__(self, mapping: ColumnMapping, headers: tuple[str, ...], now: float) -> None:
        """Compile the mapping. ``now``: epoch seconds. Raise :class:`etl.errors.ConfigError` for what does not fit."""
        self._given = (mapping, headers, now)
        self._damage = DamageJudge(mapping)
        people = {header for target, (header, _) in mapping.by_target.items() if target in IDENTIFIERS}
        self._mended = self._damage.repairs_any(people)
        self._unique = tuple(target for target, (_, rule) in mapping.by_target.items() if rule.unique)
        self._cell_transformer = CellTransformer(mapping, (resolve_country, country_name))
        self._validator = Validator(mapping, (*headers, *self._cell_transformer.headers))
        self._rules = RowRules(mapping, now) if mapping.rules else None
        self._transformer = Transformer(mapping, now)
        self._consents = ConsentReader(mapping, now) if mapping.asks_consent else None
        self._gatherer = None
        if self._consents is not None:
            self._gatherer = OptOutGatherer(mapping, headers, self._cell_transformer, self._consents)

    def __reduce__(self) -> tuple[type[ChunkProcessor], tuple[ColumnMapping, tuple[str, ...], float]]:
        return ChunkProcessor, self._given

    def __call__(self, chunk: Chunk) -> ProcessedChunk:
        """Judge a chunk and pack it."""
        kept, validated, transformed, asks = self._judge(chunk.frame)
        packed = pack_chunk(sparing_unused(chunk, self._given[0]), validated, transformed)
        return ProcessedChunk(packed, asks, hashed_columns(kept, self._unique), self.opt_outs(chunk))

    def opt_outs(self, chunk: Chunk) -> Mapping[Said, bytes]:
        """Return who opts out on any line of a chunk."""
        if self._gatherer is None:
            return {}
        if self._mended:
            # Whoever is mended is the person who is sent.
            chunk = replace(chunk, frame=self._damage.judge(chunk.frame)[0])
        return self._gatherer.gather(chunk)

    def judge(self, frame: pd.DataFrame) -> tuple[Validated, Transformed, Sequence[ConsentRequest]]:
        """Return what became of the rows, and what they ask for. ``frame``: the source's cells, index ``line``."""
        return self._judge(frame)[1:]

    def reshaped(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the cells as they are judged: mended and transformed as the mapping says."""
        shaped, _ = self._cell_transformer.transform_cells(self._damage.judge(frame)[0])
        return shaped

    def _judge(self, frame: pd.DataFrame) -> tuple[pd.DataFrame, Validated, Transformed, Sequence[ConsentRequest]]:
        frame, damage = self._damage.judge(frame)
        shaped, odd = self._cell_transformer.transform_cells(frame)
        validated = self._validator.validate(shaped, damage)
        kept = validated.frame
        odd_lines = {issue.line for issue in odd if issue.severity is Severity.ERROR}
        refused = frozenset(odd_lines & set(kept.index.tolist())) if odd_lines else frozenset()
        kept = kept[~kept.index.isin(refused)] if refused else kept
        if self._rules is not None:
            failed, failing = self._rules.judge(kept)
            refused, odd = refused | failed, (*odd, *failing)
            kept = kept[~kept.index.isin(failed)]
        transformed = self._transformer.transform(kept)
        if refused or odd:
            issues = (*transformed.issues, *odd)
            transformed = Transformed(transformed.records, transformed.rejected | refused, issues)
        if self._consents is None:
            return kept, validated, transformed, ()
        return kept, validated, *with_consents(self._consents, validated, transformed)


def sparing_unused(chunk: Chunk, mapping: ColumnMapping) -> Chunk:
    """Return the chunk with no cell left out of columns that are not imported: nothing of them would have been sent."""
    if not any(issue.left_out for issue in chunk.issues):
        return chunk
    issues = (
        replace(issue, left_out=issue.left_out and bool(mapping.uses_of(issue.column or ""))) for issue in chunk.issues
    )
    return replace(chunk, issues=tuple(issues))


class FileIssueFilter:
    """Lets what is wrong with the whole file, not with a row, be said once and not with every chunk."""

    def __init__(self) -> None:
        self._said: set[tuple[object, ...]] = set()

    def filtered(self, packed: PackedChunk) -> PackedChunk:
        """Return a chunk without what was said before."""
        about_file = {issue for issue in packed.issues if not issue[0]}
        again = about_file & self._said
        self._said |= about_file
        return (
            replace(packed, issues=tuple(issue for issue in packed.issues if issue not in again)) if again else packed
        )
