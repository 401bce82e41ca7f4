"""Looking before sending: reads Klaviyo, keeps what it has, decides, and writes down what is left out of a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from etl.klaviyo import MAX_IDS_PER_LOOKUP
from etl.load.options import LoadOptions
from etl.load.profiles.before import Sight, before_import
from etl.load.profiles.seeking import Seeker
from etl.load.profiles.sighting import WINDOW, look_at, members_of
from etl.load.profiles.write_rules import apply_write_rules, needs_preflight, without
from etl.load.task import LoadTask
from etl.model import Batch, BatchKind
from etl.state import BeforeValue, Store

_FRESH: Final = 30.0
"""Seconds for which a profile that was read ahead is taken for what Klaviyo has."""

Documents = Mapping[int, dict[str, Any]]
"""Line → its record."""


@dataclass(frozen=True, slots=True)
class Preflight:
    """A batch, ready to be sent. ``bodies``: what is sent of each row; ``not_a_list``: fields that cannot be patched.

    ``before``: what Klaviyo has of each row; ``None`` where that is not kept.
    """

    bodies: list[bytes]
    not_a_list: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    before: list[BeforeValue] | None = None


class PreflightReader:
    """Turns the records of a batch into what is sent of them, and into what was there before.

    Bulk batches are looked at window by window; what is only kept is read ahead while the request may not leave yet.
    Single profiles are read ahead, a hundred with one request; whoever was written meanwhile, or is in doubt, is read
    again.
    """

    def __init__(self, task: LoadTask, options: LoadOptions) -> None:
        self._task = task
        self._store = task.store
        self._run = task.run_id
        self._clock = task.clock
        self._options = options
        self._seeker = Seeker(task)
        self._only_if_blank = frozenset(options.only_if_blank)
        self._ahead: dict[int, Sight] = {}
        self._read_at = 0.0
        self._prepared: tuple[int, float, Preflight] | None = None

    def look(self, batch: Batch) -> Preflight:
        """Look at what Klaviyo has of a batch, unless that was done a moment ago. Raise KlaviyoError."""
        prepared, self._prepared = self._prepared, None
        if prepared is not None and prepared[0] == batch.id and self._clock.now() - prepared[1] <= _FRESH:
            return prepared[2]
        return self._look(batch)

    def look_ahead(self, batch: Batch) -> bool:
        """Look at a batch that may not leave yet; whether there was anything to read."""
        if not self._keeps(batch) or (self._prepared is not None and self._prepared[0] == batch.id):
            return False
        # One by one they are read ahead as it is; what write rules decide by is read at the last moment.
        if batch.kind is BatchKind.UPSERT or self._options.needs_preflight:
            return False
        self._prepared = None
        found = self._look(batch)
        self._prepared = batch.id, self._clock.now(), found
        return True

    def _reads(self, batch: Batch) -> bool:
        return self._options.needs_preflight or self._keeps(batch)

    def _keeps(self, batch: Batch) -> bool:
        """Whether what Klaviyo has is kept: what a request in doubt may have written is nothing that was there."""
        return self._options.keep_before and not batch.resent

    def _look(self, batch: Batch) -> Preflight:
        bodies = self._store.records.bodies(self._run, batch.lines)
        if not self._reads(batch):
            return Preflight(bodies)
        keeps = self._keeps(batch)
        before: list[BeforeValue] = []
        skipped_fields: dict[int, tuple[str, ...]] = {}
        not_a_list: dict[int, tuple[str, ...]] = {}
        for start in range(0, len(bodies), WINDOW):
            self._task.check_stop()
            places = {batch.lines[place]: place for place in range(start, min(start + WINDOW, len(bodies)))}
            documents = {line: orjson.loads(bodies[place]) for line, place in places.items()}
            doubtful = {line: one for line, one in documents.items() if self._is_doubtful(one)}
            sights = self._sights(batch, documents if keeps else doubtful)
            if keeps:
                before += self._before(batch, documents, sights)
            for line, document in doubtful.items():
                decision = apply_write_rules(document, sights[line].profile, self._only_if_blank)
                skipped_fields[line], not_a_list[line] = decision.skipped_fields, decision.not_a_list
                if decision.document != document:
                    bodies[places[line]] = orjson.dumps(decision.document, option=orjson.OPT_SORT_KEYS)
        if self._options.needs_preflight:
            self._store.skipped_fields.record(self._run, batch.lines, skipped_fields)
        named = {line: fields for line, fields in not_a_list.items() if fields}
        return Preflight(bodies, named, before if keeps else None)

    def _is_doubtful(self, document: Mapping[str, Any]) -> bool:
        return self._options.needs_preflight and needs_preflight(document, self._only_if_blank)

    def _before(self, batch: Batch, documents: Documents, sights: Mapping[int, Sight]) -> list[BeforeValue]:
        members = members_of(self._task.client, batch.lists, sights.values())
        return [
            before_import(line, document, sights[line], batch.lists, members) for line, document in documents.items()
        ]

    def _sights(self, batch: Batch, documents: Documents) -> dict[int, Sight]:
        if not documents:
            return {}
        if batch.kind is BatchKind.UPSERT:
            return {batch.lines[0]: self._single(batch)}
        return self._read(documents)

    def _read(self, documents: Documents) -> dict[int, Sight]:
        wanted = {line: one["attributes"] for line, one in documents.items()}
        return look_at(self._task.client, self._seeker, wanted, every_owner=self._options.keep_before)

    def _single(self, batch: Batch) -> Sight:
        line = batch.lines[0]
        stale = self._clock.now() - self._read_at > _FRESH
        if batch.resent or stale or line not in self._ahead:
            self._ahead.clear()
            batches = (
                [batch] if batch.resent else self._store.batches.upserts_from(self._run, batch.id, MAX_IDS_PER_LOOKUP)
            )
            lines = [one.lines[0] for one in batches]
            documents = zip(lines, map(orjson.loads, self._store.records.bodies(self._run, lines)), strict=True)
            self._ahead = self._read(
                {line: one for line, one in documents if self._options.keep_before or self._is_doubtful(one)}
            )
            self._read_at = self._clock.now()
        sight = self._ahead.pop(line)
        if sight.profile is not None:
            # Another row of the same profile must see what this one is about to write.
            mine = sight.profile.id
            same = [other for other, one in self._ahead.items() if one.profile is not None and one.profile.id == mine]
            for other in same:
                del self._ahead[other]
        return sight


def sent_documents(store: Store, run_id: str, options: LoadOptions, lines: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Return line → its record without the fields that were left out of what was sent."""
    bodies = store.records.bodies(run_id, lines) if lines else []
    documents = {line: orjson.loads(body) for line, body in zip(lines, bodies, strict=True)}
    if options.only_if_blank:
        for line, fields in store.skipped_fields.of(run_id, lines).items():
            documents[line]["attributes"] = without(documents[line]["attributes"], fields)
    return documents
