"""Looking before sending: reads Klaviyo, decides, and writes down what is left out before the request leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from etl.klaviyo import MAX_IDS_PER_LOOKUP, Profile
from etl.load.options import LoadOptions
from etl.load.profiles.seeking import Seeker
from etl.load.profiles.write_rules import WriteDecision, apply_write_rules, needs_preflight, without
from etl.load.task import LoadTask
from etl.model import Batch, BatchKind
from etl.state import Store

_WINDOW: Final = 1_000
"""Rows looked at together: what is held of Klaviyo's answers."""
_FRESH: Final = 30.0
"""Seconds for which a profile that was read ahead is taken for what Klaviyo has."""


class PreflightReader:
    """Turns the records of a batch into what is sent of them.

    Bulk batches are looked at window by window. Single profiles are read ahead, a hundred with one request; whoever was
    written meanwhile, or is in doubt, is read again.
    """

    def __init__(self, task: LoadTask, options: LoadOptions) -> None:
        self._store = task.store
        self._run = task.run_id
        self._clock = task.clock
        self._options = options
        self._seeker = Seeker(task)
        self._only_if_blank = frozenset(options.only_if_blank)
        self._ahead: dict[int, Profile | None] = {}
        self._read_at = 0.0

    def bodies(self, batch: Batch) -> tuple[list[bytes], dict[int, tuple[str, ...]]]:
        """Return what is sent of each row, and line → fields that cannot be patched. Raise KlaviyoError."""
        bodies = self._store.records.bodies(self._run, batch.lines)
        not_a_list: dict[int, tuple[str, ...]] = {}
        if not self._options.needs_preflight:
            return bodies, not_a_list
        skipped_fields: dict[int, tuple[str, ...]] = {}
        for start in range(0, len(bodies), _WINDOW):
            window = range(start, min(start + _WINDOW, len(bodies)))
            documents = {place: orjson.loads(bodies[place]) for place in window}
            doubtful = {place: one for place, one in documents.items() if needs_preflight(one, self._only_if_blank)}
            for place, decision in self._decided(batch, doubtful).items():
                line = batch.lines[place]
                skipped_fields[line], not_a_list[line] = decision.skipped_fields, decision.not_a_list
                if decision.document != doubtful[place]:
                    bodies[place] = orjson.dumps(decision.document, option=orjson.OPT_SORT_KEYS)
        self._store.skipped_fields.record(self._run, batch.lines, skipped_fields)
        return bodies, {line: fields for line, fields in not_a_list.items() if fields}

    def _decided(self, batch: Batch, documents: Mapping[int, dict[str, Any]]) -> dict[int, WriteDecision]:
        if not documents:
            return {}
        if batch.kind is BatchKind.UPSERT:
            (place,) = documents
            found = {place: self._single(batch)}
        else:
            lines = {place: batch.lines[place] for place in documents}
            there = self._seeker.look_for({lines[place]: one["attributes"] for place, one in documents.items()})
            found = {place: there.get(lines[place]) for place in documents}
        return {place: apply_write_rules(one, found[place], self._only_if_blank) for place, one in documents.items()}

    def _single(self, batch: Batch) -> Profile | None:
        line = batch.lines[0]
        stale = self._clock.now() - self._read_at > _FRESH
        if batch.resent or stale or line not in self._ahead:
            self._ahead.clear()
            batches = (
                [batch] if batch.resent else self._store.batches.upserts_from(self._run, batch.id, MAX_IDS_PER_LOOKUP)
            )
            lines = [one.lines[0] for one in batches]
            documents = zip(lines, map(orjson.loads, self._store.records.bodies(self._run, lines)), strict=True)
            wanted = {line: one["attributes"] for line, one in documents if needs_preflight(one, self._only_if_blank)}
            found = self._seeker.look_for(wanted)
            self._ahead = {line: found.get(line) for line in wanted}
            self._read_at = self._clock.now()
        profile = self._ahead.pop(line)
        if profile is not None:
            # Another row of the same profile must see what this one is about to write.
            same = [other for other, read in self._ahead.items() if read is not None and read.id == profile.id]
            for other in same:
                del self._ahead[other]
        return profile


def sent_documents(store: Store, run_id: str, options: LoadOptions, lines: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Return line → its record without the fields that were left out of what was sent."""
    bodies = store.records.bodies(run_id, lines) if lines else []
    documents = {line: orjson.loads(body) for line, body in zip(lines, bodies, strict=True)}
    if options.only_if_blank:
        for line, fields in store.skipped_fields.of(run_id, lines).items():
            documents[line]["attributes"] = without(documents[line]["attributes"], fields)
    return documents
