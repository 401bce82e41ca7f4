"""What is said of imports that nobody watches: the condition of each source, and how bad that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from etl.errors import GUARD_CODES


class Level(IntEnum):
    """How bad it is, as monitors count: the exit code of ``status``."""

    OK = 0
    WARNING = 1
    CRITICAL = 2


class Condition(StrEnum):
    """How a source does."""

    WELL = "well"
    RUNNING = "running"
    PARTLY = "partly"  # finished, and some rows were not loaded
    OVERDUE = "overdue"  # nothing finished for longer than agreed
    GUARD = "guard"  # a guard stopped it, or objected at its end
    UNFINISHED = "unfinished"  # stopped part-way, and nobody is at work
    FAILED = "failed"  # the last command ended with an error

    @property
    def level(self) -> Level:
        """How bad that is."""
        if self in {Condition.WELL, Condition.RUNNING}:
            return Level.OK
        return Level.WARNING if self in {Condition.PARTLY, Condition.OVERDUE} else Level.CRITICAL


@dataclass(frozen=True, slots=True)
class LastRun:
    """The newest run of a source. ``rows``: outcome → count, without what is nothing; times: epoch seconds."""

    id: str
    command: str
    status: str
    started_at: float
    finished_at: float | None
    rows: Mapping[str, int]
    objection: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """What a command ended with: code, words without people's data, and the next thing to do."""

    code: str
    message: str
    hint: str
    at: float

    @property
    def condition(self) -> Condition:
        """What it means for a source of which nothing was sent: a guard did its work, or something failed."""
        return Condition.GUARD if self.code in GUARD_CODES else Condition.FAILED


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """One source of one account. ``kind``: profiles, events or suppressions.

    ``since``: when the condition began; ``success_at``: when something of it last finished; ``max_age``: seconds that
    may pass until the next one does, ``None`` where nobody said; ``next_step``: a command. ``rule``: ``[notify]`` of
    its mapping, as it is written. ``label``: what the account is called, empty where it has no name.
    """

    account: str
    account_name: str
    source: str
    kind: str
    condition: Condition
    since: float
    last: LastRun | None = None
    success_at: float | None = None
    problem: Problem | None = None
    max_age: float | None = None
    next_step: str = ""
    rule: Mapping[str, object] = field(default_factory=dict)
    label: str = ""

    @property
    def level(self) -> Level:
        """How bad it is."""
        return self.condition.level

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from every other: account, source, kind."""
        return self.account or unknown_account(self.label), self.source, self.kind


def unknown_account(label: str) -> str:
    """Return what stands for the account of a name whose id nobody knows yet; no id of Klaviyo's looks like it."""
    return f"name:{label}" if label else ""


@dataclass(frozen=True, slots=True)
class OptOuts:
    """Opt-outs that webhooks told of an account; ``last_at``: when the last one was received. ``label``: its name."""

    account: str
    count: int
    last_at: float
    label: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """A state as a watchman sees it. ``state``: where it is, without its password; ``at``: when it was looked at.

    ``outbox``: requests of forms and checkouts that wait, the oldest since ``outbox_since``; ``alerts_waiting``: alerts
    that could not be delivered yet.
    """

    state: str
    at: float
    sources: tuple[SourceStatus, ...] = ()
    opt_outs: tuple[OptOuts, ...] = ()
    outbox: int = 0
    outbox_since: float | None = None
    alerts_waiting: int = 0

    @property
    def outbox_late(self) -> bool:
        """Whether a request waits for so long that something must be wrong."""
        return self.outbox_since is not None and self.at - self.outbox_since > LATE_SECONDS

    @property
    def level(self) -> Level:
        """The worst of all."""
        late = Level.WARNING if self.outbox_late or self.alerts_waiting else Level.OK
        return max((late, *(source.level for source in self.sources)))


LATE_SECONDS = 3_600.0
"""Seconds after which a request in the outbox is late: a form's profile is there within seconds."""
