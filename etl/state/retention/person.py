"""Where one person stands in state: their lines in every run, and all by which they are known."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from etl.deferred import np, pa, pc
from etl.identity import EMAIL, PHONE, opt_out_key, phone_key, spellings
from etl.model import IDENTIFIERS, RunStatus
from etl.state.db import schema
from etl.state.db.database import Table, slices
from etl.state.records.blocks import identifier_hashes
from etl.state.records.chunks import read_texts
from etl.state.records.read import as_bytes, read_blocks, read_bodies
from etl.state.retention.purge import is_unfinished
from etl.state.runs.document import RunDetails

EXTERNAL: Final = "external_id"
_SHORTEST_PHONE: Final = 7
"""Digits of a phone without its country that still tell it from other numbers."""
_COUNTRY: Final = 3
"""Digits of the longest country code."""


@dataclass
class Person:
    """Who is looked for. ``given``, ``known``: name → key (:func:`etl.identity.opt_out_key`) → value as it was seen.

    ``identities``: of their records; ``klaviyo_ids``: of their profiles. ``lines``: run → lines whose cells or records
    go; ``unfinished``: runs that still hold them and cannot let go yet; ``half_staged``: runs that come to nothing.
    """

    given: dict[str, dict[str, str]]
    known: dict[str, dict[str, str]] = field(init=False)
    identities: set[bytes] = field(default_factory=set)
    klaviyo_ids: set[str] = field(default_factory=set)
    lines: dict[str, set[int]] = field(default_factory=dict)
    unfinished: list[str] = field(default_factory=list)
    half_staged: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin with what was given."""
        self.known = {name: dict(self.given.get(name, {})) for name in IDENTIFIERS}

    @classmethod
    def of(cls, identifiers: Iterable[tuple[str, str]]) -> Person:
        """Return a person by identifiers, as (name, value)."""
        given: dict[str, dict[str, str]] = {}
        for name, value in identifiers:
            given.setdefault(name, {})[opt_out_key(name, value)] = value
        return cls(given)

    @property
    def identifiers(self) -> list[tuple[str, str]]:
        """All that they are known by, as (name, value)."""
        return [(name, value) for name in IDENTIFIERS for value in self.known[name].values()]

    def owns(self, keys: Mapping[str, str]) -> bool:
        """Whether a record with these identifiers (name → key) is theirs.

        Who shares no more than an address or a phone that was learnt of them, and has an id or an address of their
        own, is another person: families share phones.
        """
        if any(keys[name] in self.given.get(name, ()) for name in keys):
            return True
        if keys.get(EXTERNAL) in self.known[EXTERNAL]:
            return True
        if not any(keys[name] in self.known[name] for name in keys):
            return False
        return not any(
            self.known[name] and keys[name] not in self.known[name] for name in (EXTERNAL, EMAIL) if name in keys
        )

    def learn(self, attributes: Mapping[str, Any]) -> None:
        """Note what a record of theirs says of them."""
        for name in IDENTIFIERS:
            if value := attributes.get(name):
                self.known[name].setdefault(opt_out_key(name, str(value)), str(value))


class People(Table):
    """Looks for single people in every run."""

    def find(self, identifiers: Iterable[tuple[str, str]]) -> Person:
        """Return a person with all that state knows of them. Reads every block that may hold them."""
        person = Person.of(identifiers)
        with self._db.read() as connection:
            runs = connection.execute(sa.select(schema.runs).order_by(schema.runs.c.seq)).all()
            count = -1
            # What one record says of them may lead to another one.
            while count != len(person.identifiers):
                count = len(person.identifiers)
                for run in runs:
                    self._in_records(connection, run, person)
            for run in runs:
                self._in_cells(connection, run, person)
                self._beside(connection, run, person)
            for run in runs:
                if person.lines.get(run.id):
                    staging = run.status == RunStatus.STAGING
                    if staging:
                        person.half_staged.append(run.id)
                    elif is_unfinished(run.status, run.command):
                        person.unfinished.append(run.id)
            self._klaviyo_ids(connection, runs, person)
        return person

    def accounts(self) -> list[str]:
        """Return the accounts that any run was of."""
        account = schema.runs.c.account
        query = sa.select(account).where(account.is_not(None)).distinct().order_by(account)
        with self._db.read() as connection:
            return [str(name) for name in connection.execute(query).scalars()]

    def _in_records(self, connection: Connection, run: Row[Any], person: Person) -> None:
        """Find their records, and note what these say of them."""
        wanted = {
            name: identifier_hashes(name, _spelled(name, person.known[name].values()))
            for name in IDENTIFIERS
            if person.known[name]
        }
        mine = person.lines.setdefault(run.id, set())
        for block in read_blocks(connection, run.seq, ("hashes", "identities")):
            found = np.zeros(len(block.lines), dtype=bool)
            for name, hashes in wanted.items():
                found |= np.isin(block.hashes[IDENTIFIERS.index(name)], hashes)
            found |= np.isin(block.lines, np.fromiter(block.changed, np.int64, len(block.changed)))
            candidates = [line for line in block.lines[found].tolist() if line not in mine]
            if not candidates:
                continue
            identities = dict(zip(block.lines.tolist(), as_bytes(block.identities), strict=True))
            for line, body in read_bodies(connection, run.seq, candidates).items():
                attributes = orjson.loads(body)["attributes"]
                if person.owns(_keys(attributes)):
                    person.learn(attributes)
                    person.identities.add(identities[line])
                    mine.add(line)

    def _in_cells(self, connection: Connection, run: Row[Any], person: Person) -> None:
        """Find lines whose cells name them, those that were refused among them."""
        details = RunDetails.from_stored(orjson.loads(run.details))
        search = _CellSearch(person, details.columns)
        blocks = schema.blocks
        firsts = sa.select(blocks.c.first_line).where(blocks.c.run == run.seq).order_by(blocks.c.first_line)
        for first in connection.execute(firsts).scalars().all():
            query = sa.select(blocks.c.cells, blocks.c.ragged)
            row = connection.execute(query.where(blocks.c.run == run.seq, blocks.c.first_line == first)).one()
            named, phoned = search.lines(bytes(row.cells), bytes(row.ragged))
            if phoned:
                # Who has their phone and is another person was told by the record.
                others = {
                    line for block in read_blocks(connection, run.seq, (), phoned) for line in block.lines.tolist()
                }
                phoned -= others
            person.lines[run.id] |= named | phoned

    def _beside(self, connection: Connection, run: Row[Any], person: Person) -> None:
        """Add the other lines that were taken for the same person."""
        rows = schema.rows
        mine = person.lines[run.id]
        for part in slices(sorted(mine)):
            either = rows.c.line.in_(part) | rows.c.primary_line.in_(part)
            query = sa.select(rows.c.line, rows.c.primary_line).where(
                rows.c.run == run.seq, rows.c.primary_line.is_not(None), either
            )
            for line, primary in connection.execute(query).all():
                mine.update((line, primary))

    def _klaviyo_ids(self, connection: Connection, runs: Sequence[Row[Any]], person: Person) -> None:
        rows, known = schema.rows, schema.known_profiles
        seqs = {run.id: run.seq for run in runs}
        for run_id, lines in person.lines.items():
            for part in slices(sorted(lines)):
                query = sa.select(rows.c.klaviyo_id).where(rows.c.run == seqs[run_id], rows.c.line.in_(part))
                person.klaviyo_ids.update(filter(None, connection.execute(query).scalars()))
        for some in slices(sorted(person.identities)):
            query = sa.select(known.c.klaviyo_id).where(known.c.identity.in_(some))
            person.klaviyo_ids.update(filter(None, connection.execute(query).scalars()))


class _CellSearch:
    """Looks for a person in original cells. ``columns``: header → its targets."""

    def __init__(self, person: Person, columns: Sequence[tuple[str, tuple[str, ...]]]) -> None:
        known = person.known
        self._emails = sorted({each.lower() for each in _spelled(EMAIL, known[EMAIL].values())})
        edges = r"(?<![\w.+%-])(?:{})(?![\w-]|\.\w)"
        self._email = re.compile(edges.format("|".join(map(re.escape, self._emails)))) if self._emails else None
        numbers = {phone_key(value).lstrip("+") for value in known[PHONE].values()}
        tails = {digits[cut:] for digits in numbers for cut in range(_COUNTRY + 1)}
        tails = {tail for tail in tails if len(tail) >= _SHORTEST_PHONE}
        self._phones = sorted({zeros + tail for tail in tails for zeros in ("", "0", "00")})
        self._whole = sorted({value for name in (PHONE, EXTERNAL) for value in known[name].values()})
        self._columns = {
            target: {header for header, targets in columns if target in targets} for target in (PHONE, EXTERNAL)
        }
        self._ids = sorted(known[EXTERNAL].values())

    def lines(self, cells: bytes, ragged: bytes) -> tuple[set[int], set[int]]:
        """Return the lines of a block that name the person, and those that have their phone."""
        lines, columns = read_texts(cells)
        found, phoned = np.zeros(len(lines), dtype=bool), np.zeros(len(lines), dtype=bool)
        for header, texts in columns:
            found |= self._in_column(header, texts)
            phoned |= self._has_phone(header, texts)
        named = set(lines[found].tolist())
        for line, *row in orjson.loads(ragged):
            if any(self._in_text(str(cell)) for cell in row):
                named.add(line)
        return named, set(lines[phoned].tolist())

    def _has_phone(self, header: str, texts: Any) -> Any:
        found = np.zeros(len(texts), dtype=bool)
        phones = [value for value in self._whole if value.startswith("+")]
        if phones:
            found |= _among(pc.utf8_trim_whitespace(texts), phones)
        if self._phones and header in self._columns[PHONE]:
            found |= _among(pc.replace_substring_regex(texts, r"\D", ""), self._phones)
        return found

    def _in_column(self, header: str, texts: Any) -> Any:
        found = np.zeros(len(texts), dtype=bool)
        if self._email is not None:
            lowered = pc.utf8_lower(texts)
            for address in self._emails:
                hit = pc.fill_null(pc.match_substring(lowered, address), fill_value=False)
                for place in np.flatnonzero(hit.to_numpy(zero_copy_only=False)).tolist():
                    found[place] |= bool(self._email.search(lowered[place].as_py()))
        if self._ids and header in self._columns[EXTERNAL]:
            found |= _among(pc.utf8_trim_whitespace(texts), self._ids)
        return found

    def _in_text(self, text: str) -> bool:
        return text.strip() in self._whole or bool(self._email is not None and self._email.search(text.lower()))


def _among(texts: Any, values: Sequence[str]) -> Any:
    hit = pc.is_in(texts, value_set=pa.array(values, texts.type))
    return pc.fill_null(hit, fill_value=False).to_numpy(zero_copy_only=False)


def _spelled(name: str, values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(each for value in values for each in (value, *spellings(name, value))))


def _keys(attributes: Mapping[str, Any]) -> dict[str, str]:
    return {name: opt_out_key(name, str(attributes[name])) for name in IDENTIFIERS if attributes.get(name)}


def lines_by_run(person: Person) -> Iterator[tuple[str, set[int]]]:
    """Yield the runs that hold something of a person, with the lines."""
    yield from ((run_id, lines) for run_id, lines in person.lines.items() if lines)
