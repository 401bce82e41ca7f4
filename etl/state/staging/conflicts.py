"""Records that change once Klaviyo was looked at, and who else in a run carries an identifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from etl.deferred import np
from etl.model import IDENTIFIERS, Issue, Record
from etl.state.db.database import Database
from etl.state.records.blocks import identifier_hashes
from etl.state.records.read import read_blocks, read_records, replace_records
from etl.state.staging.stage import insert_issues


class ConflictTable(Database):
    """What settling conflicts of identifiers needs of a run."""

    def records(self, run_id: str, lines: Sequence[int]) -> list[Record]:
        """Return the records of these lines, in line order."""
        with self._read() as connection:
            return read_records(connection, self._seq(run_id), set(lines))

    def rewrite(self, run_id: str, records: Sequence[Record], issues: Sequence[Issue]) -> None:
        """Write records over those of the same lines, and why. One transaction."""
        seq = self._seq(run_id)
        with self._write() as connection:
            replace_records(connection, seq, records)
            insert_issues(connection, seq, issues)

    def lines_carrying(self, run_id: str, identifiers: Mapping[str, Sequence[str]]) -> dict[str, dict[str, list[int]]]:
        """Return identifier → value → the lines that carry it, whatever became of them; rejected ones have no record.

        Values are compared as hashes: by chance, once in a million million, a line is named that does not carry it.
        """
        seq = self._seq(run_id)
        found: dict[str, dict[str, list[int]]] = {
            name: {value: [] for value in identifiers[name]} for name in identifiers
        }
        with self._read() as connection:
            for block in read_blocks(connection, seq, ("hashes",)):
                for name, values in identifiers.items():
                    here = block.hashes[IDENTIFIERS.index(name)]
                    for value, hashed in zip(values, identifier_hashes(name, values).tolist(), strict=True):
                        found[name][value] += block.lines[np.flatnonzero(here == hashed)].tolist()
        return found
