"""What verify saw in Klaviyo, and which rows it shall look at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import orjson
import sqlalchemy as sa

from etl.model import Observation, Outcome, Verdict
from etl.state import schema
from etl.state.base import Database, slices
from etl.state.engine import bulk_insert

_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class ObservationSummary:
    """All observations of one verdict. ``fields``: name of a differing field → rows; ``lines``: the first few."""

    verdict: Verdict
    count: int
    fields: tuple[tuple[str, int], ...]
    lines: tuple[int, ...]


class ObservationTable(Database):
    """Observations of a run; a later look replaces an earlier one."""

    def loaded_lines(self, run_id: str, sample: int | None = None) -> list[int]:
        """Return the lines that were loaded, in order; with ``sample`` about so many, half of them with a phone.

        A sample is spread evenly over the file, and the same each time. Phones have their own half, because Klaviyo
        is known to drop them in silence (reference 4.7).
        """
        rows = schema.rows
        mine = (rows.c.run == self._seq(run_id)) & (rows.c.outcome == Outcome.LOADED.value)
        if sample is None:
            with self._read() as connection:
                return list(connection.execute(sa.select(rows.c.line).where(mine).order_by(rows.c.line)).scalars())
        chosen: set[int] = set()
        for stratum in (rows.c.phone_hash.is_not(None), rows.c.phone_hash.is_(None)):
            chosen.update(self._spread(mine & stratum, max(1, sample // 2)))
        return sorted(chosen)

    def _spread(self, condition: sa.ColumnElement[bool], most: int) -> Sequence[int]:
        rows = schema.rows
        with self._read() as connection:
            total = connection.execute(sa.select(sa.func.count()).select_from(rows).where(condition)).scalar_one()
            if total <= most:
                return list(connection.execute(sa.select(rows.c.line).where(condition)).scalars())
            number = sa.func.row_number().over(order_by=rows.c.line).label("number")
            numbered = sa.select(rows.c.line, number).where(condition).subquery()
            # One of each stretch of the file: its share of the stretches before it grows at exactly this row.
            stretch = (numbered.c.number * most) / total
            before = ((numbered.c.number - 1) * most) / total
            query = sa.select(numbered.c.line).where(sa.func.floor(stretch) > sa.func.floor(before))
            return list(connection.execute(query).scalars())

    def observe(self, run_id: str, seen: Iterable[Observation]) -> None:
        """Write what was seen, in one transaction."""
        seq, now = self._seq(run_id), self._clock.now()
        values = [(seq, one.line, one.verdict.value, orjson.dumps(one.fields).decode(), now) for one in seen]
        table = schema.observations
        with self._write() as connection:
            for part in slices([line for _, line, *_ in values]):
                connection.execute(table.delete().where(table.c.run == seq, table.c.line.in_(part)))
            bulk_insert(connection, table, ("run", "line", "verdict", "fields", "observed_at"), values)

    def observations(self, run_id: str) -> Iterator[Observation]:
        """Yield what was seen, in line order."""
        table = schema.observations
        query = sa.select(table).where(table.c.run == self._seq(run_id)).order_by(table.c.line)
        with self._read() as connection:
            for row in connection.execute(query):
                yield Observation(row.line, Verdict(row.verdict), tuple(orjson.loads(row.fields)))

    def observation_summary(self, run_id: str, first: int = 5) -> list[ObservationSummary]:
        """Return the observations counted by verdict, in the order of the enum; verdicts without any are left out."""
        counts: dict[Verdict, int] = dict.fromkeys(Verdict, 0)
        fields: dict[Verdict, dict[str, int]] = {verdict: {} for verdict in Verdict}
        lines: dict[Verdict, list[int]] = {verdict: [] for verdict in Verdict}
        for one in self.observations(run_id):
            counts[one.verdict] += 1
            if len(lines[one.verdict]) < first:
                lines[one.verdict].append(one.line)
            for name in one.fields:
                fields[one.verdict][name] = fields[one.verdict].get(name, 0) + 1
        return [
            ObservationSummary(verdict, counts[verdict], tuple(sorted(fields[verdict].items())), tuple(lines[verdict]))
            for verdict in Verdict
            if counts[verdict]
        ]
