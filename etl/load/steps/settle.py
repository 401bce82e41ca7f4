"""What settling a batch stands on: what follows for the loop, and the transitions that every way to it shares."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from etl.klaviyo import Reply, ReplyKind, error_for
from etl.klaviyo.transport.backoff import Backoff
from etl.load.options import LoadOptions
from etl.load.profiles.preflight import sent_documents
from etl.load.steps.transitions import Watch
from etl.load.task import LoadTask
from etl.model import Batch, Outcome, PlannedBatch, RowResult

CRASH: Final = Reply(ReplyKind.IN_DOUBT, note="the process ended before the answer came")


@dataclass(frozen=True, slots=True)
class Next:
    """What follows for the loop.

    ``ready``: batches to send; ``later``: one to send not before a time (epoch seconds); ``watch``: a job to look at.
    ``rows`` and ``failed``: rows that this settled, and those of them that are not in Klaviyo. ``trouble``: Klaviyo did
    not take the request; ``reached``: it may have got some of it; ``undecided``: nor did it say what is wrong, so that
    the failures before it are not forgotten, and what goes out next is better taken from elsewhere.
    """

    ready: tuple[int, ...] = ()
    later: tuple[float, int] | None = None
    watch: Watch | None = None
    rows: int = 0
    failed: int = 0
    trouble: bool = False
    reached: bool = True
    undecided: bool = False


class Settling:
    """A run that is loaded, and how what became of its batches is written. Each method ends in one transaction."""

    def __init__(self, task: LoadTask, options: LoadOptions) -> None:
        self._task = task
        self._store = task.store
        self._client = task.client
        self._run = task.run_id
        self._options = options
        self._clock = task.clock
        self._rng = task.rng
        self._pace = task.pace
        self._backoff = Backoff()

    def _stop(self, batch: Batch, reply: Reply) -> NoReturn:
        """Put the batch back and end the process: no request of its kind would be taken."""
        self._put_back(batch, reply)
        raise error_for(reply)

    def _put_back(self, batch: Batch, reply: Reply) -> None:
        self._store.batches.mark_planned_again(
            batch.id, not_before=0.0, reply=reply.kind.value, status=reply.status, detail=told(reply)
        )

    def _settle(self, batch: Batch, results: Sequence[RowResult], reply: Reply | None) -> Next:
        if reply is None:
            self._store.batches.settle(batch.id, results)
        else:
            self._store.batches.settle(
                batch.id,
                results,
                reply=reply.kind.value,
                status=reply.status,
                detail=told(reply) if reply.errors else "",
            )
        return Next(rows=len(results), failed=_lost(results))

    def _split(
        self, batch: Batch, failed: Sequence[RowResult], parts: Iterable[Sequence[int]], reply: Reply | None
    ) -> Next:
        planned = [
            PlannedBatch(
                batch.kind, tuple(part), batch.lists, batch.size * len(part) // max(len(batch.lines), 1), batch.id
            )
            for part in parts
        ]
        said, status = (reply.kind.value, reply.status) if reply is not None else ("", None)
        ready = self._store.batches.split(batch.id, failed, planned, reply=said, status=status)
        return Next(ready=tuple(ready), rows=len(failed), failed=_lost(failed))

    def _attributes(self, lines: Sequence[int]) -> dict[int, dict[str, Any]]:
        sent = sent_documents(self._store, self._run, self._options, lines)
        return {line: document["attributes"] for line, document in sent.items()}

    def _column(self, field: str | None) -> str | None:
        """Return the source column of a field of Klaviyo's pointer, such as ``location/latitude``."""
        if not field:
            return None
        target = field.replace("/", ".")
        return self._options.headers.get(target)


def told(reply: Reply) -> str:
    """Return status and codes, never Klaviyo's sentences: they may quote a cell."""
    codes = ", ".join(dict.fromkeys(error.code for error in reply.errors))
    status = f"HTTP {reply.status}" if reply.status else reply.note or reply.kind.value
    return f"{status} {codes}".strip()


def _lost(results: Sequence[RowResult]) -> int:
    return sum(result.outcome in {Outcome.FAILED, Outcome.UNKNOWN} for result in results)
