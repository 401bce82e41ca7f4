"""What every kind of request has in common: the protocol that the runner drives, and what it is answered with.

A step plans batches, makes the request of one, turns the reply into what follows, and proves what was accepted. The
runner does everything else: marks, waits, counts, polls. See ``docs/architecture.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from etl.klaviyo import Reply, ReplyKind
from etl.load.steps.transitions import JobPoll
from etl.model import Batch, BatchKind
from etl.state import BeforeValue

PROCESS_DIED: Final = Reply(ReplyKind.IN_DOUBT, note="the process ended before the answer came")

Request = Callable[[], Reply]
"""One exchange, ready to leave."""


@dataclass(frozen=True, slots=True)
class Followup:
    """What follows from a reply, or from a look at what was accepted.

    ``send_now``: batches to send; ``send_after``: one to send not before a time (epoch seconds); ``poll``: what to look
    at later. ``rows`` and ``failed``: rows that this settled, and those of them that are not in Klaviyo. ``backoff``:
    Klaviyo did not take the request, and ``tolerance`` times as many failures in a row as usual are borne;
    ``may_have_arrived``: it may have got some of it; ``inconclusive``: nor did it say what is wrong, so that the
    failures before it are not forgotten, and what goes out next is better taken from elsewhere.
    """

    send_now: tuple[int, ...] = ()
    send_after: tuple[float, int] | None = None
    poll: JobPoll | None = None
    rows: int = 0
    failed: int = 0
    backoff: bool = False
    tolerance: int = 1
    may_have_arrived: bool = True
    inconclusive: bool = False


@dataclass(frozen=True, slots=True)
class Planned:
    """``operations``: of rows, that were planned. ``failed``: rows that cannot be planned, and have failed."""

    operations: int = 0
    failed: int = 0


class Step(Protocol):
    """One kind of work of a load. Every method that changes state ends in one transaction."""

    @property
    def name(self) -> str:
        """As progress calls it: ``load``, ``lists``, ``consent``."""
        ...

    @property
    def kinds(self) -> frozenset[BatchKind]:
        """The batches that this step makes and answers for."""
        ...

    @property
    def sends_all_first(self) -> bool:
        """Whether nothing is looked at before everything has left: a look at much costs as little as one at a bit."""
        ...

    @property
    def is_holding(self) -> bool:
        """Whether rows are held back until something like them passes."""
        ...

    def plan(self) -> Iterator[Planned]:
        """Plan batches for the rows that wait, window by window."""
        ...

    def request(self, batch: Batch) -> Request | Followup:
        """Return the request of a batch, or what follows where there is none to make. Nothing leaves yet."""
        ...

    def look_ahead(self, batch: Batch) -> bool:
        """Read what the request of a batch needs to know, while it may not leave yet; whether anything was read."""
        ...

    def before(self, batch: Batch) -> Sequence[BeforeValue] | None:
        """Return what Klaviyo has of what the request just made will change; ``None`` where that is not kept."""
        ...

    def on_reply(self, batch: Batch, reply: Reply) -> Followup:
        """Write what the reply says of a batch. Raise :class:`etl.errors.KlaviyoError` where no such request passes."""
        ...

    def recover(self, batch: Batch) -> Followup:
        """Say what follows for a batch whose request may have left before the process ended."""
        ...

    def prove(self, polls: Sequence[JobPoll]) -> Iterator[tuple[JobPoll, Followup]]:
        """Look at what was accepted, one of which is due at least; yield what follows for each that was looked at."""
        ...

    def judge_held(self) -> Followup:
        """Say what follows for rows held back, now that there is nothing left that could pass."""
        ...
