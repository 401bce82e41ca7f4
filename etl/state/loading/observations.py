"""What verify saw in Klaviyo, and which rows it shall look at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from etl.model import Issue, Observation, Outcome, Stage, VerifyResult
from etl.state.db import schema
from etl.state.db.database import Table, slices
from etl.state.db.engine import bulk, bulk_insert
from etl.state.loading.confirmed import forget, forget_membership
from etl.state.records.read import as_bytes, read_blocks
from etl.state.runs.issues import insert_issues

_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class ObservationSummary:
    """All observations of one verdict. ``fields``: name of a differing field → rows; ``lines``: the first few."""

    verdict: VerifyResult
    count: int
    fields: tuple[tuple[str, int], ...]
    lines: tuple[int, ...]


_OUTCOMES: Final = {
    VerifyResult.MISSING: (Outcome.FAILED, "verify-missing"),
    VerifyResult.UNSEEN: (Outcome.UNKNOWN, "verify-unseen"),
    VerifyResult.DIFFERS: (Outcome.DIFFERENT, "verify-differs"),
}
_MEMBERSHIP: Final = "list "


class Observations(Table):
    """Observations of a run; a later look replaces an earlier one."""

    def add(self, run_id: str, seen: Sequence[Observation], *, decides: bool = False) -> None:
        """Write what was seen, in one transaction.

        ``decides``: what is not as it was sent gets the outcome that says so, and is forgotten where it is known, so
        that the next run sends it; what is seen as it should be is loaded again. Fields of the form ``list ID`` are
        memberships that are not there. What was confirmed has to be folded by then (:meth:`fold_known`).
        """
        seq, now = self._db.seq(run_id), self._db.clock.now()
        values = [(seq, one.line, one.verdict.value, orjson.dumps(one.fields).decode(), now) for one in seen]
        table = schema.observations
        with self._db.write() as connection:
            if decides:
                _decide(connection, seq, seen)
            for part in slices([line for _, line, *_ in values]):
                connection.execute(table.delete().where(table.c.run == seq, table.c.line.in_(part)))
            bulk_insert(connection, table, ("run", "line", "verdict", "fields", "observed_at"), values)

    def all(self, run_id: str) -> Iterator[Observation]:
        """Yield what was seen, in line order."""
        table = schema.observations
        query = sa.select(table).where(table.c.run == self._db.seq(run_id)).order_by(table.c.line)
        with self._db.read() as connection:
            for row in connection.execute(query):
                yield Observation(row.line, VerifyResult(row.verdict), tuple(orjson.loads(row.fields)))

    def summary(self, run_id: str, first: int = 5) -> list[ObservationSummary]:
        """Return the observations counted by verdict, in the order of the enum; verdicts without any are left out."""
        counts: dict[VerifyResult, int] = dict.fromkeys(VerifyResult, 0)
        fields: dict[VerifyResult, dict[str, int]] = {verdict: {} for verdict in VerifyResult}
        lines: dict[VerifyResult, list[int]] = {verdict: [] for verdict in VerifyResult}
        for one in self.all(run_id):
            counts[one.verdict] += 1
            if len(lines[one.verdict]) < first:
                lines[one.verdict].append(one.line)
            for name in one.fields:
                fields[one.verdict][name] = fields[one.verdict].get(name, 0) + 1
        return [
            ObservationSummary(verdict, counts[verdict], tuple(sorted(fields[verdict].items())), tuple(lines[verdict]))
            for verdict in VerifyResult
            if counts[verdict]
        ]

    def events_that_prove(self, run_id: str, lines: Sequence[int], event_ids: Sequence[str]) -> frozenset[str]:
        """Return those of Klaviyo's events that were seen as proof of other events than these lines', in any run."""
        if not event_ids:
            return frozenset()
        seq = self._db.seq(run_id)
        known, confirmed, runs = schema.known_profiles, schema.confirmed_profiles, schema.runs
        found: set[str] = set()
        with self._db.read() as connection:
            account = sa.select(runs.c.account).where(runs.c.seq == seq).scalar_subquery()
            blocks = read_blocks(connection, seq, ("identities",), lines)
            mine = {identity for block in blocks for identity in as_bytes(block.identities[block.chosen])}
            here = sa.select(runs.c.seq).where(runs.c.account == account)
            for part in slices(event_ids):
                for query in (
                    sa.select(known.c.identity, known.c.klaviyo_id).where(
                        known.c.account == account, known.c.klaviyo_id.in_(part)
                    ),
                    sa.select(confirmed.c.identity, confirmed.c.klaviyo_id).where(
                        confirmed.c.run.in_(here), confirmed.c.klaviyo_id.in_(part)
                    ),
                ):
                    found.update(row.klaviyo_id for row in connection.execute(query) if bytes(row.identity) not in mine)
        return frozenset(found)


def _decide(connection: Connection, seq: int, seen: Sequence[Observation]) -> None:
    """Let what was seen be the outcome of its rows, and of what is known."""
    seen_before = "coalesce(code, '') IN ('verify-missing', 'verify-unseen', 'verify-differs')"
    bulk(
        connection,
        f"DELETE FROM issues WHERE run = ? AND line = ? AND {seen_before}",  # noqa: S608 - texts of ours
        [(seq, one.line) for one in seen],
    )
    bulk(
        connection,
        "UPDATE rows SET outcome = CASE unchanged WHEN 1 THEN 'unchanged' ELSE 'loaded' END, code = NULL "  # noqa: S608
        f"WHERE run = ? AND line = ? AND {seen_before}",
        [(seq, one.line) for one in seen if one.verdict not in _OUTCOMES or one.foretold],
    )
    wrong = [(one, *_OUTCOMES[one.verdict]) for one in seen if one.verdict in _OUTCOMES and not one.foretold]
    bulk(
        connection,
        "UPDATE rows SET outcome = ?, code = ? WHERE run = ? AND line = ? "  # noqa: S608 - texts of ours
        f"AND (outcome IN ('loaded', 'unchanged') OR {seen_before})",
        [(outcome.value, code, seq, one.line) for one, outcome, code in wrong],
    )
    issues = [Issue(one.line, Stage.VERIFY, code, None, ", ".join(one.fields[:5])) for one, _, code in wrong]
    insert_issues(connection, seq, issues)
    forget(connection, seq, [one.line for one, outcome, _ in wrong if outcome is not Outcome.DIFFERENT])
    changed = [one.line for one, outcome, _ in wrong if outcome is Outcome.DIFFERENT and not _only_lists(one)]
    forget(connection, seq, changed, as_sent=True)
    absent: dict[str, list[int]] = {}
    for one, *_ in wrong:
        for name in one.fields:
            if name.startswith(_MEMBERSHIP):
                absent.setdefault(name.removeprefix(_MEMBERSHIP), []).append(one.line)
    for list_id, lines in absent.items():
        forget_membership(connection, seq, lines, list_id)


def _only_lists(one: Observation) -> bool:
    return all(name.startswith(_MEMBERSHIP) for name in one.fields)
