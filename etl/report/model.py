"""What a report says, as frozen dataclasses. No cell of the source is in here (promise 9)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from etl.errors import ExitCode
from etl.model import Merge, RunStatus, Severity, Stage, VerifyResult, format_location


@dataclass(frozen=True, slots=True)
class Tally:
    """The addition every report opens with: ``read`` is the sum of all the others, always."""

    read: int
    rejected: int
    duplicate: int
    unchanged: int
    loaded: int
    failed: int
    unknown: int
    pending: int
    different: int = 0

    @property
    def parts(self) -> tuple[tuple[str, int], ...]:
        """The summands in the order of the addition."""
        return (
            ("loaded", self.loaded),
            ("unchanged", self.unchanged),
            ("duplicate", self.duplicate),
            ("rejected", self.rejected),
            ("failed", self.failed),
            ("different", self.different),
            ("unknown", self.unknown),
            ("pending", self.pending),
        )

    @property
    def ties(self) -> bool:
        """Whether the sum is right. It is an internal error if not."""
        return self.read == sum(count for _, count in self.parts)


@dataclass(frozen=True, slots=True)
class IssueGroup:
    """All issues of one code in one column. ``lines``: the first few; ``files``: of each, where there are several."""

    code: str
    title: str
    hint: str
    stage: Stage
    severity: Severity
    column: str | None
    count: int
    lines: tuple[int, ...]
    detail: str
    files: tuple[str, ...] = ()

    @property
    def places(self) -> tuple[str, ...]:
        """The lines as people read them: ``17``, or ``orders-2.csv:17``."""
        return _places(self.lines, self.files)

    @property
    def whole_file(self) -> bool:
        """Whether it is about the file and not about rows of it."""
        return self.lines == (0,) and not any(self.files)


@dataclass(frozen=True, slots=True)
class ListedIssue:
    """One issue of one row, as pages list it. ``place``: its line as people read it; no value, no suggestion."""

    place: str
    code: str
    column: str | None
    detail: str
    severity: Severity
    left_out: bool


MAX_LISTED: Final = 5_000
"""Issues of single rows that a report lists one by one, errors first; the files of rows hold all."""


@dataclass(frozen=True, slots=True)
class ColumnUse:
    """Where a column of the source went: its targets, none for one that was not imported.

    ``left_out``: its cells that were left out of rows that were not refused.
    """

    header: str
    targets: tuple[str, ...]
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class BatchTotals:
    """What was asked of Klaviyo, by kind of batch."""

    kind: str
    settled: int
    open: int
    superseded: int
    rows: int
    bytes: int
    attempts: int
    resent: int


@dataclass(frozen=True, slots=True)
class Phase:
    """How long a phase took, in seconds; ``rows`` it went through."""

    name: str
    seconds: float
    rows: int

    @property
    def rate(self) -> float:
        """Rows per second, 0 where the time is too short to tell."""
        return self.rows / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Observed:
    """What reading rows back showed, by verdict. ``fields``: name of a differing field → rows; ``files`` as above."""

    verdict: str
    count: int
    fields: tuple[tuple[str, int], ...]
    lines: tuple[int, ...]
    files: tuple[str, ...] = ()

    @property
    def places(self) -> tuple[str, ...]:
        """The lines as people read them."""
        return _places(self.lines, self.files)


def _places(lines: tuple[int, ...], files: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(format_location, files or ("",) * len(lines), lines))


@dataclass(frozen=True, slots=True)
class FileRows:
    """One file of a source that has several, and the rows read from it."""

    name: str
    rows: int


@dataclass(frozen=True, slots=True)
class Merges:
    """Lines of one person that became one. ``people``: how many have several; ``lines``: lines that went into others.

    ``fields``: source column → people whose lines differ in it. ``shown``: the first :data:`MAX_MERGES` of them.
    """

    people: int = 0
    lines: int = 0
    fields: tuple[tuple[str, int], ...] = ()
    shown: tuple[Merge, ...] = ()


MAX_MERGES: Final = 1_000
"""Merges that a report lists one by one; its counts are of all."""


@dataclass(frozen=True, slots=True)
class ConsentTotals:
    """What became of wishes of one kind, such as subscribing to e-mail. ``asked`` is the sum of the others.

    ``open``: not settled, or the row itself came to nothing.
    """

    channel: str
    wish: str
    asked: int
    already: int
    confirmed: int
    withheld: int
    pending: int
    refused: int
    unknown: int
    open: int

    @property
    def results(self) -> tuple[tuple[str, int], ...]:
        """The summands that are not nothing."""
        names = ("confirmed", "already", "withheld", "pending", "refused", "unknown", "open")
        return tuple((name, count) for name in names if (count := getattr(self, name)))


@dataclass(frozen=True, slots=True)
class Revenue:
    """Amounts of one currency, exact, as decimal text: ``read`` is the sum of all the others, always."""

    currency: str
    read: str
    loaded: str
    unchanged: str
    duplicate: str
    rejected: str
    failed: str
    unknown: str
    pending: str
    different: str = "0"

    @property
    def parts(self) -> tuple[tuple[str, str], ...]:
        """The summands in the order of the addition."""
        names = ("loaded", "unchanged", "duplicate", "rejected", "failed", "different", "unknown", "pending")
        return tuple((name, getattr(self, name)) for name in names)

    @property
    def ties(self) -> bool:
        """Whether the sum is right. It is an internal error if not."""
        return Decimal(self.read) == sum(Decimal(amount) for _, amount in self.parts)


@dataclass(frozen=True, slots=True)
class Section:
    """A table that the report of one kind of record has beside what all have. ``right``: columns of numbers."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class KindReport:
    """What a kind of record says of a run in its own words.

    ``parts``: outcome → rows, in place of those of every run, with the same sum; empty for a kind that has none.
    """

    parts: tuple[tuple[str, int], ...] = ()
    sections: tuple[Section, ...] = ()


_LOOKING: Final = {"check": RunStatus.STAGED, "plan": RunStatus.STAGING}
"""Commands that send nothing, and how they end."""


def cells(count: int) -> str:
    """Return a number of cells in words."""
    return "1 cell" if count == 1 else f"{count:,} cells"


@dataclass(frozen=True, slots=True)
class Report:
    """Everything known about one run. A pure function of state: same state, same report.

    ``objection``: what a guard has against the run although it went to its end. ``left_out_of``: column → cells that
    were left out, most first. ``listed``: the first of ``listable`` issues of single rows.
    ``set_aside``: records that are nobody (blank rows, repeated headers, totals), by kind; they are no rows read.
    ``purged_at``: when what the run held of people was removed (epoch seconds). ``account_label``: what the account is
    called. ``outcomes`` and ``sections``: see :class:`KindReport`.
    """

    run: str
    command: str
    status: RunStatus
    tool_version: str
    source: str
    source_facts: Mapping[str, str]
    source_notes: tuple[str, ...]
    mapping_hash: str
    account: str | None
    account_name: str
    lists: tuple[str, ...]
    parent: str | None
    started_at: float
    finished_at: float | None
    tally: Tally
    issues: tuple[IssueGroup, ...]
    batches: tuple[BatchTotals, ...]
    jobs: tuple[str, ...]
    phases: tuple[Phase, ...]
    observed: tuple[Observed, ...]
    notes: tuple[str, ...]
    next_steps: tuple[str, ...]
    merges: Merges = Merges()
    consents: tuple[ConsentTotals, ...] = ()
    files: tuple[FileRows, ...] = ()
    revenue: tuple[Revenue, ...] = ()
    objection: str = ""
    set_aside: tuple[tuple[str, int], ...] = ()
    columns: tuple[ColumnUse, ...] = ()
    cells_left_out: int = 0
    left_out_of: tuple[tuple[str, int], ...] = ()
    listed: tuple[ListedIssue, ...] = ()
    listable: int = 0
    purged_at: float | None = None
    account_label: str = ""
    outcomes: tuple[tuple[str, int], ...] = ()
    sections: tuple[Section, ...] = ()

    @property
    def parts(self) -> tuple[tuple[str, int], ...]:
        """The summands of the addition, in the words of the kind of record."""
        return self.outcomes or self.tally.parts

    @property
    def headline(self) -> str:
        """What became of the rows and how many cells were left out of them: ``140 loaded, 57 cells left out``."""
        looking = self.command in _LOOKING
        always = self.parts[0][0]  # the outcome that is hoped for
        shown = [(name, count) for name, count in self.parts if count or (name == always and not looking)]
        if looking:
            shown.sort(key=lambda each: each[0] != "pending")
        words = [f"{count:,} {'to be sent' if looking and name == 'pending' else name}" for name, count in shown]
        if self.cells_left_out:
            words.append(f"{cells(self.cells_left_out)} left out")
        return ", ".join(words) or "no rows"

    @property
    def errors(self) -> int:
        """Count of issues that cost a row."""
        return sum(group.count for group in self.issues if group.severity is Severity.ERROR)

    @property
    def warnings(self) -> int:
        """Count of issues that cost at most a cell."""
        return sum(group.count for group in self.issues if group.severity is Severity.WARNING)

    @property
    def differences(self) -> int:
        """Count of rows that were read back and are not as they were sent."""
        return sum(seen.count for seen in self.observed if seen.verdict != VerifyResult.CONFIRMED)

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do: a check that staged, or a run that finished."""
        return self.status in {RunStatus.FINISHED, _LOOKING.get(self.command)}

    @property
    def exit_code(self) -> ExitCode:
        """The process's exit code: a property of the result, not of the control flow."""
        if self.status is RunStatus.REFUSED or (self.complete and self.objection):
            return ExitCode.GUARD
        if not self.complete:
            return ExitCode.STOPPED
        tally = self.tally
        if tally.rejected or tally.failed or tally.unknown or tally.different or self.differences:
            return ExitCode.ROWS_NOT_LOADED
        return ExitCode.OK
