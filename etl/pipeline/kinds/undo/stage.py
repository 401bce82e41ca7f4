"""How an undo is staged: from what state knows of the earlier run, without a request.

A row is one of the earlier run of which a request left. What Klaviyo had before, and what the run wrote, stand in its
record. Rows of which no before-value was kept are staged too: that nothing is done about them is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

from etl.load import LoadOptions, UndoDocument, sent_documents, undo_documents
from etl.model import IDENTIFIERS, ConsentRequest, Issue, Severity, Stage
from etl.pipeline.kinds.undo.consents import UndoneConsents, undone_consents
from etl.pipeline.staging.sources import files_again
from etl.state import BeforeValue, Run, Store
from etl.state.loading.before_values import PROFILE

_WINDOW: Final = 1_000
_NOTHING: Final[Mapping[str, Any]] = {"attributes": {}}


def stage_undo(store: Store, run_id: str, earlier: Run, *, delete_created: bool, consents: bool) -> int:
    """Stage the rows of a run that is undone, window by window; return how many there are.

    ``delete_created``: profiles that it made are to be deleted; ``consents``: consents that it gave are taken back.
    """
    staging = _Staging(store, run_id, earlier, delete_created=delete_created, consents=consents)
    left = store.history.lines_sent(earlier.id)
    lines: list[int] = []
    for values in store.before_values.of_run(earlier.id):
        for window in _windows(values):
            staging.add({value.line: value for value in window})
            lines += [value.line for value in window]
    bare = sorted(left.difference(lines))
    for start in range(0, len(bare), _WINDOW):
        staging.add(dict.fromkeys(bare[start : start + _WINDOW]))
    lines += bare
    store.runs.update(
        run_id,
        records_read=len(lines),
        headers=earlier.details.headers,
        source_facts=earlier.details.source_facts,
        account_name=earlier.details.account_name,
        files=files_again(earlier, lines),
    )
    return len(lines)


class _Staging:
    def __init__(self, store: Store, run_id: str, earlier: Run, *, delete_created: bool, consents: bool) -> None:
        self._store = store
        self._run = run_id
        self._earlier = earlier
        self._options = LoadOptions.from_stored(earlier.details.load or {})
        self._delete = delete_created
        self._consents = consents

    def add(self, values: Mapping[int, BeforeValue | None]) -> None:
        """Stage rows, in one transaction. ``values``: line → what was kept of it, ``None`` for nothing."""
        lines = sorted(values)
        records = {record.line: record for record in self._store.records.read(self._earlier.id, lines)}
        undone = dict(zip(lines, self._consents_of(values, lines), strict=True))
        documents = self._documents(values, lines)
        self._store.staging.copy_rows(
            self._run,
            self._earlier.id,
            lines,
            records=[records[line]._replace(body=documents[line].to_body(), lists=(), clears=False) for line in lines],
            asks=[ask for line in lines for ask in undone[line].asks if not documents[line].delete],
            issues=[issue for line in lines for issue in (*undone[line].issues, *_unread_lists(values[line], line))],
        )

    def _documents(self, values: Mapping[int, BeforeValue | None], lines: Sequence[int]) -> dict[int, UndoDocument]:
        """Return line → what the undo has to know of the row."""
        people = _people(self._store, self._earlier, lines)
        if self._earlier.options.kind == "undo":
            undone = undo_documents(self._store, self._earlier.id, lines)
            written: Mapping[int, Mapping[str, Any]] = {line: one.sent or _NOTHING for line, one in undone.items()}
            joining = {line: one.left for line, one in undone.items()}
            leaving = {line: one.joined for line, one in undone.items()}
        else:
            written = sent_documents(self._store, self._earlier.id, self._options, lines)
            removed = self._options.remove_from
            leaving = dict.fromkeys(lines, (removed,) if removed else ())
            joining = {line: _others(values[line], leaving[line]) for line in lines}
        return {
            line: self._document(values[line], people[line], written[line], joining[line], leaving[line])
            for line in lines
        }

    def _document(
        self,
        value: BeforeValue | None,
        person: Mapping[str, Any],
        written: Mapping[str, Any],
        joining: Sequence[str],
        leaving: Sequence[str],
    ) -> UndoDocument:
        if value is None:
            return UndoDocument(person, hopeless="undo-no-before")
        if PROFILE in value.unknown:
            return UndoDocument(person, hopeless="undo-unread")
        created = value.profile is None and value.imported
        if value.profile is None and not created:
            # A suppression of an address that nobody had: nothing to go by.
            return UndoDocument(person, hopeless="undo-no-before")
        return UndoDocument(
            person,
            value.profile,
            created=created,
            delete=created and self._delete,
            before=value.fields if value.imported else {},
            written={name: written[name] for name in ("attributes", "meta") if name in written}
            if value.imported and not created
            else _NOTHING,
            unread=tuple(name for name in value.unknown if not name.startswith(("list:", "consent:"))),
            joined=tuple(one for one in joining if one in value.not_on),
            left=tuple(one for one in leaving if one in value.lists),
        )

    def _consents_of(self, values: Mapping[int, BeforeValue | None], lines: Sequence[int]) -> Iterator[UndoneConsents]:
        asked: dict[int, list[ConsentRequest]] = {}
        for one in self._store.consents.requests(self._earlier.id, lines):
            asked.setdefault(one.line, []).append(one)
        for line in lines:
            value = values[line]
            yield (
                undone_consents(value, asked.get(line, ()), take_back=self._consents)
                if value is not None
                else UndoneConsents()
            )


def _others(value: BeforeValue | None, leaving: Sequence[str]) -> tuple[str, ...]:
    return tuple(one for one in (*value.lists, *value.not_on) if one not in leaving) if value is not None else ()


def _people(store: Store, earlier: Run, lines: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Return line → the identifiers that the run had of the person."""
    bodies = store.records.bodies(earlier.id, lines)
    found = {}
    for line, body in zip(lines, bodies, strict=True):
        attributes = orjson.loads(body)["attributes"]
        found[line] = {name: attributes[name] for name in IDENTIFIERS if attributes.get(name)}
    return found


def _unread_lists(value: BeforeValue | None, line: int) -> Iterator[Issue]:
    """Say which memberships stay because nobody could tell what they were."""
    for name in value.unknown if value is not None else ():
        if name.startswith("list:"):
            yield Issue(line, Stage.LOAD, "undo-unread", None, name.replace(":", " "), Severity.WARNING)


def _windows(values: Sequence[BeforeValue]) -> Iterator[Sequence[BeforeValue]]:
    for start in range(0, len(values), _WINDOW):
        yield values[start : start + _WINDOW]
