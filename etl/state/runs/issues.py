"""Issues: what was found in the rows of a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from etl.model import Issue, Outcome, Severity, Stage
from etl.state.db import schema
from etl.state.db.database import Table, slices
from etl.state.db.engine import bulk_insert
from etl.state.records.chunks import IssueValues, issue_values


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


_STAGES: Final = {stage.value: stage for stage in Stage}
_SEVERITIES: Final = {severity.value: severity for severity in Severity}
_NAMES: Final = ("line", "stage", "code", "column_name", "detail", "severity", "suggestion", "left_out")
ISSUE_COLUMNS: Final = tuple(schema.issues.c[name] for name in _NAMES)
"""What :func:`issue_of` reads."""


class Issues(Table):
    """Issues of a run."""

    def add(self, run_id: str, found: Iterable[Issue]) -> None:
        """Record issues that belong to no chunk."""
        seq = self._db.seq(run_id)
        with self._db.write() as connection:
            insert_issues(connection, seq, found)

    def add_once(self, run_id: str, found: Sequence[Issue]) -> None:
        """Record issues of rows but for those whose line has one of the same code and detail already."""
        seq = self._db.seq(run_id)
        issues = schema.issues
        with self._db.write() as connection:
            there: set[tuple[int, str, str]] = set()
            for part in slices([one.line for one in found]):
                query = sa.select(issues.c.line, issues.c.code, issues.c.detail)
                mine = query.where(issues.c.run == seq, issues.c.line.in_(part))
                there.update((row.line, row.code, row.detail) for row in connection.execute(mine))
            insert_issues(connection, seq, [one for one in found if (one.line, one.code, one.detail) not in there])

    def count_rows(self, run_id: str, code: str) -> int:
        """Return how many issues of one code there are."""
        issues = schema.issues
        query = sa.select(sa.func.count()).where(issues.c.run == self._db.seq(run_id), issues.c.code == code)
        with self._db.read() as connection:
            return int(connection.execute(query).scalar_one())

    def lines_with(self, run_id: str, code: str) -> Iterator[Issue]:
        """Yield the issues of one code in line order."""
        issues = schema.issues
        mine = sa.select(*ISSUE_COLUMNS).where(issues.c.run == self._db.seq(run_id), issues.c.code == code)
        with self._db.read() as connection:
            for row in connection.execute(mine.order_by(issues.c.line, issues.c.id)):
                yield issue_of(row)

    def tally(self, run_id: str, outcome: Outcome, ranked: Sequence[Sequence[str]]) -> list[int]:
        """Count the rows that ended so by the first of these groups of codes that they have an issue of.

        Return one count a group; rows with none of them are in no group.
        """
        issues, rows = schema.issues, schema.rows
        ranks = [(issues.c.code.in_(codes), rank) for rank, codes in enumerate(ranked)]
        best = (
            sa.select(sa.func.min(sa.case(*ranks)).label("rank"))
            .join(rows, (rows.c.run == issues.c.run) & (rows.c.line == issues.c.line))
            .where(issues.c.run == self._db.seq(run_id), rows.c.outcome == outcome.value)
            .where(issues.c.code.in_([code for codes in ranked for code in codes]))
            .group_by(issues.c.line)
            .subquery()
        )
        with self._db.read() as connection:
            query = sa.select(best.c.rank, sa.func.count()).group_by(best.c.rank)
            found = {int(rank): int(count) for rank, count in connection.execute(query)}
        return [found.get(rank, 0) for rank in range(len(ranked))]

    def groups(self, run_id: str, first: int = 5) -> list[IssueSummary]:
        """Return the issues grouped by code and column, the most frequent errors first."""
        issues = schema.issues
        keys = (issues.c.stage, issues.c.code, issues.c.column_name, issues.c.severity)
        mine = issues.c.run == self._db.seq(run_id)
        groups = sa.select(*keys, sa.func.count().label("total")).where(mine).group_by(*keys)
        found = []
        with self._db.read() as connection:
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

    def with_codes(self, run_id: str, codes: Sequence[str]) -> tuple[str, ...]:
        """Return the issues with these codes as code and detail, each once."""
        issues = schema.issues
        query = (
            sa.select(issues.c.code, issues.c.detail)
            .where(issues.c.run == self._db.seq(run_id), issues.c.code.in_(codes))
            .distinct()
            .order_by(issues.c.code, issues.c.detail)
        )
        with self._db.read() as connection:
            return tuple(f"{row.detail} [{row.code}]" for row in connection.execute(query))

    def all(self, run_id: str) -> Iterator[Issue]:
        """Yield every issue in line order."""
        issues = schema.issues
        query = (
            sa.select(*ISSUE_COLUMNS).where(issues.c.run == self._db.seq(run_id)).order_by(issues.c.line, issues.c.id)
        )
        with self._db.read() as connection:
            for row in connection.execute(query):
                yield issue_of(row)

    def first(self, run_id: str, most: int) -> list[Issue]:
        """Return the first issues of single rows, errors before warnings, each in line order."""
        issues = schema.issues
        mine = sa.select(*ISSUE_COLUMNS).where(issues.c.run == self._db.seq(run_id), issues.c.line > 0)
        found: list[Issue] = []
        with self._db.read() as connection:
            for severity in (Severity.ERROR, Severity.WARNING):
                query = mine.where(issues.c.severity == severity.value).order_by(issues.c.line, issues.c.id)
                found += map(issue_of, connection.execute(query.limit(most - len(found))))
        return found

    def count(self, run_id: str) -> int:
        """Return how many issues of single rows there are."""
        issues = schema.issues
        query = sa.select(sa.func.count()).where(issues.c.run == self._db.seq(run_id), issues.c.line > 0)
        with self._db.read() as connection:
            return int(connection.execute(query).scalar_one())


def insert_issues(connection: Connection, seq: int, found: Iterable[Issue]) -> None:
    """Insert issues, in the order given."""
    insert_issue_values(connection, seq, issue_values(found))


def insert_issue_values(connection: Connection, seq: int, values: Iterable[IssueValues]) -> None:
    """Insert issues given as values of their table."""
    bulk_insert(connection, schema.issues, ("run", *_NAMES), [(seq, *issue) for issue in values])


def issue_of(row: Sequence[Any]) -> Issue:
    """Return the issue of a row of the table."""
    line, stage, code, column, detail, severity, suggestion, left_out = row
    return Issue(line, _STAGES[stage], code, column, detail, _SEVERITIES[severity], suggestion, bool(left_out))
