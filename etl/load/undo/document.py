"""What an undo knows of one row: who it is about, what the earlier run found and wrote there, and what was sent back.

It is the body of the row's record, so that everything that finds people by their records finds these. Self-contained:
an undo goes on where the earlier run's own values were purged meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import orjson

from etl.load.undo.judge import Restoration
from etl.state import Store


@dataclass(frozen=True, slots=True)
class UndoDocument:
    """One row of an undo.

    ``person``: identifiers that the earlier run had of it. ``profile``: Klaviyo's id, ``None`` where the run met none.
    ``created``: so that it made one. ``delete``: which is to be deleted. ``hopeless``: code of why nothing of the row
    can be undone. ``before``, ``written``, ``unread``: see :func:`etl.load.undo.judge.restoration`. ``joined``: ids of
    lists that the run put the profile on; ``left``: that it took it off. ``sent``: what this undo has sent, or is about
    to (``attributes``, ``meta``).
    """

    person: Mapping[str, Any]
    profile: str | None = None
    created: bool = False
    delete: bool = False
    hopeless: str = ""
    before: Mapping[str, Any] = field(default_factory=dict)
    written: Mapping[str, Any] = field(default_factory=dict)
    unread: tuple[str, ...] = ()
    joined: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    sent: Mapping[str, Any] = field(default_factory=dict)

    def to_body(self) -> bytes:
        """Return the body of the record; what is as usual is left out."""
        said = {
            "profile": self.profile,
            "created": self.created,
            "delete": self.delete,
            "hopeless": self.hopeless,
            "before": dict(self.before),
            "written": dict(self.written),
            "unread": list(self.unread),
            "joined": list(self.joined),
            "left": list(self.left),
            "sent": dict(self.sent),
        }
        undo = {name: value for name, value in said.items() if value}
        return orjson.dumps({"attributes": dict(self.person), "undo": undo}, option=orjson.OPT_SORT_KEYS)

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read the body of a record."""
        document = orjson.loads(body)
        said = dict(document["undo"])
        for name in ("unread", "joined", "left"):
            said[name] = tuple(said.get(name, ()))
        return cls(document["attributes"], **said)

    @property
    def has_list_calls(self) -> bool:
        """Whether a list call may follow. Who is deleted is off every list."""
        return bool(self.joined or self.left) and not self.delete

    def sending(self, decided: Restoration, *, again: bool) -> Self:
        """Return the row with what is about to be sent of it.

        ``again``: an earlier request was in doubt, and what it sent may have arrived.
        """
        return replace(self, sent=_both(self.sent, decided.document) if again and self.sent else decided.document)


def documents_of(store: Store, run_id: str, lines: Sequence[int]) -> dict[int, UndoDocument]:
    """Return line → what an undo knows of the row."""
    bodies = store.records.bodies(run_id, lines) if lines else []
    return {line: UndoDocument.from_body(body) for line, body in zip(lines, bodies, strict=True)}


def _both(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Return what either of two requests may have written."""
    merged = {**first, **second}
    for name in first.keys() & second.keys():
        one, other = first[name], second[name]
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            merged[name] = _both(one, other)
        elif isinstance(one, list) and isinstance(other, list):
            merged[name] = [*one, *(item for item in other if item not in one)]
    return merged
