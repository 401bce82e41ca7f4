"""Records: what each row would send."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import orjson
import sqlalchemy as sa

from etl.deferred import np
from etl.errors import InternalError
from etl.model import (
    IDENTIFIERS,
    Issue,
    Outcome,
    Record,
)
from etl.state.db import schema
from etl.state.db.database import Table
from etl.state.records.blocks import identifier_hashes
from etl.state.records.identifier_set import IdentifierSet
from etl.state.records.read import (
    read_blocks,
    read_bodies,
    read_records,
    replace_records,
)
from etl.state.runs.issues import insert_issues


@dataclass(frozen=True, slots=True)
class Identifiers:
    """What a row can be found by in Klaviyo."""

    email: str | None
    phone_number: str | None
    external_id: str | None


class Records(Table):
    """Records of a run."""

    def read(self, run_id: str, lines: Sequence[int]) -> list[Record]:
        """Return the records of these lines, in line order."""
        with self._db.read() as connection:
            return read_records(connection, self._db.seq(run_id), set(lines))

    def rewrite(self, run_id: str, records: Sequence[Record], issues: Sequence[Issue]) -> None:
        """Write records over those of the same lines, and why. One transaction."""
        seq = self._db.seq(run_id)
        with self._db.write() as connection:
            replace_records(connection, seq, records)
            insert_issues(connection, seq, issues)

    def lines_carrying(self, run_id: str, identifiers: Mapping[str, Sequence[str]]) -> dict[str, dict[str, list[int]]]:
        """Return identifier → value → the lines that carry it, whatever became of them; rejected ones have no record.

        Values are compared as hashes: by chance, once in a million million, a line is named that does not carry it.
        """
        seq = self._db.seq(run_id)
        found: dict[str, dict[str, list[int]]] = {
            name: {value: [] for value in identifiers[name]} for name in identifiers
        }
        with self._db.read() as connection:
            for block in read_blocks(connection, seq, ("hashes",)):
                for name, values in identifiers.items():
                    here = block.hashes[IDENTIFIERS.index(name)]
                    for value, hashed in zip(values, identifier_hashes(name, values).tolist(), strict=True):
                        found[name][value] += block.lines[np.flatnonzero(here == hashed)].tolist()
        return found

    def bodies(self, run_id: str, lines: Sequence[int]) -> list[bytes]:
        """Return the records' bodies in the order of ``lines``."""
        with self._db.read() as connection:
            found = read_bodies(connection, self._db.seq(run_id), set(lines))
        missing = [line for line in lines if line not in found]
        if missing:
            raise InternalError("records-missing", f"{len(missing)} rows have no record, line {missing[0]} first")
        return [found[line] for line in lines]

    def identifiers(self, run_id: str, lines: Sequence[int]) -> dict[int, Identifiers]:
        """Return what each line can be found by."""
        result = {}
        for line, body in zip(lines, self.bodies(run_id, lines), strict=True):
            attributes = orjson.loads(body)["attributes"]
            result[line] = Identifiers(
                attributes.get("email"), attributes.get("phone_number"), attributes.get("external_id")
            )
        return result

    def row_lists(self, run_id: str, lines: Sequence[int]) -> dict[int, tuple[str, ...]]:
        """Return the names or ids in the list column of these lines; lines without any are left out."""
        wanted = set(lines)
        with self._db.read() as connection:
            return {
                line: names
                for block in read_blocks(connection, self._db.seq(run_id), ("extras",), wanted)
                for line, names in block.lists.items()
                if line in wanted
            }

    def named_lists(self, run_id: str) -> list[str]:
        """Return every name or id in the list column of rows that wait to be sent, sorted."""
        seq = self._db.seq(run_id)
        rows = schema.rows
        found: set[str] = set()
        with self._db.read() as connection:
            for block in read_blocks(connection, seq, ("extras",)):
                new = {line: names for line, names in block.lists.items() if not found.issuperset(names)}
                if not new:
                    continue
                waiting = sa.select(rows.c.line).where(rows.c.run == seq, rows.c.outcome.is_(None))
                there = rows.c.line.between(min(new), max(new))
                for line in connection.execute(waiting.where(there)).scalars():
                    found.update(new.get(line, ()))
        return sorted(found)

    def amounts(self, run_id: str) -> Iterator[tuple[Outcome | None, str, bytes]]:
        """Yield (outcome, code, body) of every record of a run, in line order."""
        seq = self._db.seq(run_id)
        rows = schema.rows
        with self._db.read() as connection:
            for block in read_blocks(connection, seq, ("sizes", "bodies")):
                first, last = int(block.lines[0]), int(block.lines[-1])
                query = sa.select(rows.c.line, rows.c.outcome, rows.c.code).where(
                    rows.c.run == seq, rows.c.line.between(first, last)
                )
                ended = {row.line: (row.outcome, row.code or "") for row in connection.execute(query)}
                for line, body in block.bodies(block.chosen).items():
                    outcome, code = ended[line]
                    yield Outcome(outcome) if outcome else None, code, body

    def identify(self, run_id: str, records: Sequence[Record]) -> None:
        """Write these records of a staging run over those of the same lines."""
        seq = self._db.seq(run_id)
        with self._db.write() as connection:
            replace_records(connection, seq, records)

    def lines_not_among(self, run_id: str, people: IdentifierSet) -> list[int]:
        """Return the lines of a run whose people are not among these, by any identifier."""
        with self._db.read() as connection:
            return [
                int(line)
                for block in read_blocks(connection, self._db.seq(run_id), ("hashes",))
                for line in block.lines[~people.contains(tuple(block.hashes))]
            ]

    def identifier_set(self, run_id: str) -> IdentifierSet:
        """Return who is in a run, whatever became of the row; rejected ones have no record and are not among them."""
        seq = self._db.seq(run_id)
        with self._db.read() as connection:
            return IdentifierSet.of([tuple(block.hashes) for block in read_blocks(connection, seq, ("hashes",))])
