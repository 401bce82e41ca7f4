"""Who opts out on any line of a source, whatever becomes of it: it may be refused, or stand beyond a pilot's limit.

Every identifier of such a line counts: as it stands, as the validator writes it, and as the validator would correct it.
Its phone speaks for its e-mail only where it has no e-mail that can be read: two people may share a phone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

import pandas as pd

from etl.config import Mapping as ColumnMapping
from etl.config import parse_mapping
from etl.model import IDENTIFIERS, Channel, Chunk, RaggedRow
from etl.state import Said, opt_out_hashes
from etl.transform import CellTransformer, ConsentReader
from etl.validate import Validator, trimmed

_EMAIL: Final = "email"
_PHONE: Final = "phone_number"
_EXTERNAL: Final = "external_id"
_LIKE_A_PHONE: Final = re.compile(r"[+(]?[\d\s().+/-]{6,}")

Found = dict[Said, set[str]]


class _Person:
    """Whom a line is about: every value that may be meant. ``readable``: names of which one is surely meant."""

    def __init__(self) -> None:
        self._values: dict[str, set[str]] = {name: set() for name in IDENTIFIERS}
        self.readable: set[str] = set()

    def add(self, name: str, value: str, *, readable: bool = False) -> None:
        if value:
            self._values[name].add(value)
            if readable:
                self.readable.add(name)

    def note(self, found: Found, channel: Channel, *, certain: bool) -> None:
        """Note under what the person opts out of a channel."""
        for name, values in self._values.items():
            if values and (name != _PHONE or channel.address == _PHONE or _EMAIL not in self.readable):
                found.setdefault(Said(channel, certain, name), set()).update(values)


class OptOutGatherer:
    """Reads chunks for nothing but their opt-outs. ``headers``: of the source."""

    def __init__(
        self, mapping: ColumnMapping, headers: tuple[str, ...], cell_transformer: CellTransformer, reader: ConsentReader
    ) -> None:
        self._headers = headers
        self._cell_transformer = cell_transformer
        self._reader = reader
        self._words = {target: header for target, (header, _) in mapping.by_target.items() if "consent." in target}
        self._names = {name: mapping.by_target[name][0] for name in IDENTIFIERS if name in mapping.by_target}
        country, column = mapping.defaults.country, mapping.defaults.country_column
        defaults = {"country": country, "country_column": column}
        # The identifiers alone: no other cell, and no rule of the user's, refuses a line here.
        rules = {
            "columns": {header: name for name, header in self._names.items()},
            "defaults": {name: value for name, value in defaults.items() if value},
        }
        self._validator = Validator(parse_mapping(rules), (*headers, *cell_transformer.headers))
        self._country = column

    def gather(self, chunk: Chunk) -> dict[Said, bytes]:
        """Return the opt-outs of a chunk as they are stored."""
        found: Found = {}
        shaped, _ = self._cell_transformer.transform_cells(chunk.frame)
        words = pd.DataFrame({target: trimmed(shaped[header]) for target, header in self._words.items()})
        speaking = self._reader.opt_outs(words)
        lines = sorted({line for each in speaking.values() for line in each})
        if lines:
            people = self._people(shaped.loc[lines])
            for (channel, certain), theirs in speaking.items():
                for line in theirs:
                    people[line].note(found, channel, certain=certain)
        for row in chunk.ragged:
            self._torn(row, found)
        return {said: opt_out_hashes(said.name, sorted(values)).tobytes() for said, values in found.items()}

    def _people(self, frame: pd.DataFrame) -> dict[int, _Person]:
        """Return line → who it is about."""
        people = {line: _Person() for line in frame.index.tolist()}
        for name, header in self._names.items():
            for line, cell in zip(frame.index.tolist(), trimmed(frame[header]).tolist(), strict=True):
                people[line].add(name, cell)
        validated = self._validator.validate(frame)
        for name in self._names:
            for line, value in zip(validated.frame.index.tolist(), validated.frame[name].tolist(), strict=True):
                people[line].add(name, value, readable=True)
        by_header = {header: name for name, header in self._names.items()}
        for issue in validated.issues:
            about = by_header.get(issue.column or "")
            if about is not None and about not in people[issue.line].readable:
                people[issue.line].add(about, issue.suggestion)
        return people

    def _torn(self, row: RaggedRow, found: Found) -> None:
        """Note the opt-outs of a line whose cells stand in no column any more: each cell may be of any."""
        cells = [cell.strip() for cell in row.cells if cell and cell.strip()]
        words = pd.DataFrame(dict.fromkeys(self._words, cells), dtype="str")
        speaking = self._reader.opt_outs(words, doubtful=False)
        if not speaking:
            return
        person = _Person()
        for cell in cells:
            if "@" in cell:
                person.add(_EMAIL, cell)
        for cell in self._beside(row, self._names.get(_EXTERNAL)):
            person.add(_EXTERNAL, cell)
        phones = [cell for cell in cells if _LIKE_A_PHONE.fullmatch(cell)]
        if phones and _PHONE in self._names:
            for number in (*phones, *self._numbers(phones, [*self._beside(row, self._country), ""])):
                person.add(_PHONE, number)
        for channel, certain in speaking:
            person.note(found, channel, certain=certain)

    def _numbers(self, phones: Iterable[str], countries: Iterable[str]) -> Iterator[str]:
        """Yield what the validator makes of numbers, in each of these countries."""
        headers = dict.fromkeys((*self._headers, *self._cell_transformer.headers))
        for country in countries:
            named = {self._country: country} if self._country else {}
            rows = [{**dict.fromkeys(headers, ""), **named, self._names[_PHONE]: phone} for phone in phones]
            frame = pd.DataFrame(rows, dtype="str", index=pd.RangeIndex(1, len(rows) + 1, name="line"))
            yield from (number for number in self._validator.validate(frame).frame[_PHONE].tolist() if number)

    def _beside(self, row: RaggedRow, header: str | None) -> Iterator[str]:
        """Yield the cells that stand where a column is, counted from either end of the line."""
        if header in self._headers:
            place = self._headers.index(header)
            for at in {place, place + len(row.cells) - len(self._headers)}:
                if 0 <= at < len(row.cells) and row.cells[at].strip():
                    yield row.cells[at].strip()
