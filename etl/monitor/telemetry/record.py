"""What a command did, noted while it does it: stages, requests, runs. Names, codes and counts; nothing of a person."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from etl.model import Clock

if TYPE_CHECKING:
    from etl.klaviyo import Exchange


@dataclass(frozen=True, slots=True)
class RunFacts:
    """How a run stands when its report is written. ``outcomes``: rows by outcome, whose sum is ``read``.

    ``ended``: nothing more will become of its rows. ``wrong``: its exit code is not 0 or 1.
    """

    run: str
    account: str | None
    label: str
    kind: str
    command: str
    status: str
    exit_code: int
    mapping_hash: str
    read: int
    outcomes: Mapping[str, int]
    ended: bool
    wrong: bool


class Observer(Protocol):
    """Who is told of the stages of runs, in the order in which they begin and end; one may lie within another."""

    def began(self, stage: str, run: str) -> None:
        """Hear that a stage of a run begins: ``stage``, ``plan``, ``load``, ``verify``, ``report``."""

    def ended(self, error: str | None) -> None:
        """Hear that the stage that began last has ended. ``error``: the code, or class, of the error that ended it."""

    def reported(self, facts: RunFacts) -> None:
        """Hear what became of a run, as far as it is."""


@dataclass(slots=True)
class StageRecord:
    """A stage of a run. ``began`` and ``ended``: seconds since the epoch. ``within``: the place of the outer one."""

    name: str
    run: str
    began: float
    ended: float
    within: int | None
    error: str | None = None


@dataclass(slots=True)
class Record:
    """A command as it was observed. Is an :class:`Observer`.

    ``account``: id of the account that is expected, ``label``: what settings call it; a report knows better.
    ``requests``: by endpoint and answer (an HTTP status, or in a word what came instead of an answer).
    """

    command: str
    clock: Clock
    account: str | None = None
    label: str = ""
    error: str | None = None
    stages: list[StageRecord] = field(default_factory=list)
    runs: dict[str, RunFacts] = field(default_factory=dict)
    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    began_at: float = field(init=False)
    ended_at: float = field(init=False)
    _open: list[int] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.began_at = self.ended_at = self.clock.now()

    def began(self, stage: str, run: str) -> None:
        """Note the begin of a stage."""
        now = self.clock.now()
        self.stages.append(StageRecord(stage, run, now, now, self._open[-1] if self._open else None))
        self._open.append(len(self.stages) - 1)

    def ended(self, error: str | None) -> None:
        """Note the end of the stage that began last."""
        stage = self.stages[self._open.pop()]
        stage.ended, stage.error = self.clock.now(), error

    def reported(self, facts: RunFacts) -> None:
        """Note what became of a run; the last word counts."""
        self.runs.pop(facts.run, None)
        self.runs[facts.run] = facts

    def requested(self, exchange: Exchange) -> None:
        """Note a request. Any thread may. Is an ``ExchangeHook`` of :mod:`etl.klaviyo`."""
        answer = str(exchange.status) if exchange.status is not None else exchange.kind
        with self._lock:
            self.requests[exchange.endpoint, answer] += 1

    def finish(self, error: str | None) -> None:
        """Note the end of the command, and the error that ended it."""
        self.error, self.ended_at = error, self.clock.now()

    @property
    def main(self) -> RunFacts | None:
        """The run that the command was about: an outer run is reported after those that it began."""
        return next(reversed(self.runs.values()), None)
