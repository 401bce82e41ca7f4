"""Orders of which a row was refused: sent without it, they would be worth too little. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
import pandas as pd

from etl.config import EventMapping
from etl.identity import EMAIL, identity_key
from etl.model import IDENTIFIERS, Issue, RaggedRow, Record, Stage
from etl.transform.cells.numbers import NumberError, parse_money
from etl.transform.events.identity import event_half

_SURE: Final = (EMAIL, "external_id")
"""Identifiers that name somebody else where they differ; a phone may be written in several ways."""


@dataclass(frozen=True, slots=True)
class _Refused:
    """``who``: identifier → key, of whoever the row surely names."""

    line: int
    who: Mapping[str, str]


class IncompleteOrders:
    """Remembers refused rows that an amount stands on, chunk by chunk, and tells which orders lack them."""

    def __init__(self, mapping: EventMapping, place: Callable[[int], str] = str) -> None:
        """``place``: how a line is named."""
        self._mapping, self._place = mapping, place
        self._value = mapping.header_of("value") if mapping.event.group_by_order else None
        self._order, self._unique = mapping.header_of("order_id"), mapping.header_of("unique_id")
        self._metric = mapping.header_of("metric")
        self._who = {name: header for name in IDENTIFIERS if (header := mapping.header_of(name))}
        self._refused: dict[bytes, list[_Refused]] = {}

    @property
    def halves(self) -> Collection[bytes]:
        """Which events the refused rows are of: first halves of identities."""
        return self._refused.keys()

    def note(self, frame: pd.DataFrame, nameless: Collection[int]) -> None:
        """Take in refused rows. ``frame``: their cells; ``nameless``: lines that may not be of whom they name."""
        if self._value is None:
            return
        for line, *cells in frame.itertuples(name=None):
            row = dict(zip(frame.columns, cells, strict=True))
            if self._counts(_text(row, self._value)):
                who = {} if line in nameless else {name: _text(row, header) for name, header in self._who.items()}
                self._add(line, row, {name: identity_key(name, text) for name, text in who.items() if text})

    def note_ragged(self, headers: Sequence[str], rows: Sequence[RaggedRow]) -> None:
        """Take in rows of more or fewer cells than there are columns: whatever amount they are of is unknown."""
        for row in rows if self._value is not None else ():
            self._add(row.line, dict(zip(headers, row.cells, strict=False)), {})

    def judge(self, records: Sequence[Record]) -> tuple[Issue, ...]:
        """Return an error for each row of one order, given all that were taken; nothing for an order that is whole."""
        refused = self._refused.get(records[0].identity[: len(event_half("", ""))], ())
        parts = [orjson.loads(record.body)["attributes"] for record in records]
        if self._mapping.event.value == "first" and any("value" in part["event"] for part in parts):
            return ()  # its rows repeat the total
        who: dict[str, set[str]] = {}
        for part in parts:
            for name in IDENTIFIERS:
                if part.get(name):
                    who.setdefault(name, set()).add(identity_key(name, str(part[name])))
        mine = [one.line for one in refused if not _is_another(one.who, who)]
        if not mine:
            return ()
        detail = f"line {self._place(min(mine))} of the order was refused"
        return tuple(Issue(record.line, Stage.DEDUPE, "order-incomplete", None, detail) for record in records)

    def _counts(self, amount: str) -> bool:
        """Whether the order is worth something else without this amount, or may be."""
        if not amount:
            return False
        try:
            return bool(parse_money(amount, self._mapping.decimal_of("value")))
        except NumberError:
            return True

    def _add(self, line: int, row: Mapping[str, Any], who: Mapping[str, str]) -> None:
        metric = _text(row, self._metric) or self._mapping.event.metric or ""
        order = _text(row, self._order)
        if unique := _text(row, self._unique) or (order and f"{metric}:{order}"):
            self._refused.setdefault(event_half(metric, unique), []).append(_Refused(line, who))


def _is_another(one: Mapping[str, str], other: Mapping[str, Collection[str]]) -> bool:
    """Whether somebody is named who is surely not this person."""
    if any(one[name] in other[name] for name in IDENTIFIERS if name in one and name in other):
        return False
    return any(name in one and name in other for name in _SURE)


def _text(row: Mapping[str, Any], header: str | None) -> str:
    cell = row.get(header) if header is not None else None
    return cell.strip() if isinstance(cell, str) else ""
