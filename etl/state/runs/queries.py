"""Reading for reports: plain questions, no change, the same answer for the same state."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Row

from etl.model import Outcome, Severity, Stage
from etl.state.db import schema
from etl.state.db.database import Database

_SURELY_REFUSED: Final = ("not_sent", "throttled", "auth", "gone", "not_found", "refused", "row_errors", "too_large")
"""Replies, as the client names them, after which Klaviyo has done nothing of what was asked."""


@dataclass(frozen=True, slots=True)
class IssueSummary:
    """All issues of one code in one column. ``lines``: the first few; ``detail``: of the first."""

    stage: Stage
    code: str
    column: str | None
    severity: Severity
    count: int
    lines: tuple[int, ...]
    detail: str


@dataclass(frozen=True, slots=True)
class BatchSummary:
    """Batches of one kind, counted. ``rows`` and ``bytes`` are those of settled batches."""

    kind: str
    settled: int
    open: int
    superseded: int
    rows: int
    bytes: int
    attempts: int
    resent: int


class Reading(Database):
    """Questions to state."""

    def counts(self, run_id: str) -> dict[Outcome | None, int]:
        """Return rows per outcome; ``None`` counts the pending ones."""
        rows = schema.rows
        query = (
            sa.select(rows.c.outcome, sa.func.count()).where(rows.c.run == self._seq(run_id)).group_by(rows.c.outcome)
        )
        with self._read() as connection:
            return {Outcome(name) if name else None: int(count) for name, count in connection.execute(query)}

    def has_loaded(self, account: str) -> bool:
        """Whether any run has sent something to this account."""
        batches, runs = schema.batches, schema.runs
        sent = sa.select(batches.c.id).join(runs, runs.c.seq == batches.c.run)
        query = sa.select(sent.where(runs.c.account == account, batches.c.attempts > 0).exists())
        with self._read() as connection:
            return bool(connection.execute(query).scalar())

    def has_sent(self, run_id: str) -> bool:
        """Whether Klaviyo may have taken anything of a run: whether one of its requests was not surely refused."""
        batches, attempts = schema.batches, schema.attempts
        mine = sa.select(attempts.c.batch).join(batches, batches.c.id == attempts.c.batch)
        mine = mine.where(batches.c.run == self._seq(run_id))
        # A request without an end, or with an end nobody foresaw, may have got through.
        perhaps = attempts.c.reply.is_(None) | attempts.c.reply.not_in(_SURELY_REFUSED)
        with self._read() as connection:
            return bool(connection.execute(sa.select(mine.where(perhaps).exists())).scalar())

    def issue_groups(self, run_id: str, first: int = 5) -> list[IssueSummary]:
        """Return the issues grouped by code and column, the most frequent errors first."""
        issues = schema.issues
        keys = (issues.c.stage, issues.c.code, issues.c.column_name, issues.c.severity)
        mine = issues.c.run == self._seq(run_id)
        groups = sa.select(*keys, sa.func.count().label("total")).where(mine).group_by(*keys)
        found = []
        with self._read() as connection:
            for row in connection.execute(groups).all():
                same_column = (
                    issues.c.column_name.is_(None)
                    if row.column_name is None
                    else issues.c.column_name == row.column_name
                )
                sample = (
                    sa.select(issues.c.line, issues.c.detail)
                    .where(mine, issues.c.code == row.code, issues.c.severity == row.severity)
                    .where(issues.c.stage == row.stage, same_column)
                    .order_by(issues.c.line, issues.c.id)
                    .limit(first)
                )
                samples = connection.execute(sample).all()
                found.append(
                    IssueSummary(
                        stage=Stage(row.stage),
                        code=row.code,
                        column=row.column_name,
                        severity=Severity(row.severity),
                        count=int(row.total),
                        lines=tuple(sorted({sample.line for sample in samples})),
                        detail=samples[0].detail,
                    )
                )
        return sorted(found, key=lambda group: (group.severity, -group.count, group.code, group.column or ""))

    def batch_summary(self, run_id: str) -> list[BatchSummary]:
        """Return the batches counted by kind."""
        columns = schema.batches.c
        query = sa.select(
            columns.kind,
            columns.status,
            sa.func.count().label("total"),
            sa.func.sum(columns.row_count).label("rows"),
            sa.func.sum(columns.size).label("bytes"),
            sa.func.sum(columns.attempts).label("attempts"),
            sa.func.sum(columns.resent).label("resent"),
        )
        query = query.where(columns.run == self._seq(run_id)).group_by(columns.kind, columns.status)
        with self._read() as connection:
            found = connection.execute(query).all()
        return [
            _summary(kind, [row for row in found if row.kind == kind]) for kind in sorted({row.kind for row in found})
        ]

    def job_ids(self, run_id: str) -> list[str]:
        """Return the ids of Klaviyo's jobs of this run, in order."""
        columns = schema.batches.c
        query = sa.select(columns.job_id).where(columns.run == self._seq(run_id), columns.job_id.is_not(None))
        with self._read() as connection:
            return [str(job) for job in connection.execute(query.order_by(columns.id)).scalars()]

    def outcomes(self, run_id: str) -> Iterator[tuple[int, Outcome | None, str | None]]:
        """Yield (line, outcome, code) of every row in line order."""
        rows = schema.rows
        query = sa.select(rows.c.line, rows.c.outcome, rows.c.code).where(rows.c.run == self._seq(run_id))
        with self._read() as connection:
            for line, outcome, code in connection.execute(query.order_by(rows.c.line)):
                yield line, Outcome(outcome) if outcome else None, code

    def primaries(self, run_id: str) -> Iterator[tuple[int, int]]:
        """Yield (line, the line it was merged into) of every duplicate, in line order."""
        rows = schema.rows
        query = sa.select(rows.c.line, rows.c.primary_line).where(
            rows.c.run == self._seq(run_id), rows.c.primary_line.is_not(None)
        )
        with self._read() as connection:
            yield from (tuple(found) for found in connection.execute(query.order_by(rows.c.line)))

    def issues_with(self, run_id: str, codes: Sequence[str]) -> tuple[str, ...]:
        """Return the issues with these codes as code and detail, each once."""
        issues = schema.issues
        query = (
            sa.select(issues.c.code, issues.c.detail)
            .where(issues.c.run == self._seq(run_id), issues.c.code.in_(codes))
            .distinct()
            .order_by(issues.c.code, issues.c.detail)
        )
        with self._read() as connection:
            return tuple(f"{row.detail} [{row.code}]" for row in connection.execute(query))


def _summary(kind: str, found: Sequence[Row[tuple[object, ...]]]) -> BatchSummary:
    def total(name: str, *statuses: str) -> int:
        return sum(int(getattr(row, name)) for row in found if not statuses or row.status in statuses)

    return BatchSummary(
        kind=kind,
        settled=total("total", "settled"),
        open=total("total", "planned", "sending", "submitted"),
        superseded=total("total", "superseded"),
        rows=total("rows", "settled"),
        bytes=total("bytes", "settled"),
        attempts=total("attempts"),
        resent=total("resent"),
    )
