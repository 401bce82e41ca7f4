"""The batches that are held back while a search for the row at fault goes on: what they said, and what it comes to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from etl.klaviyo import Reply, ReplyKind
from etl.load.profiles.proof import scrub
from etl.load.steps.probing import gist, speak_for_all
from etl.model import Batch, BatchKind, Outcome, RowResult


@dataclass(frozen=True, slots=True)
class Suspect:
    """A batch of one row that was refused while nothing like it had passed."""

    batch: Batch
    reply: Reply
    words: str


class Suspects:
    """Suspects by batch. They live as long as the process: another one asks Klaviyo once more."""

    def __init__(self) -> None:
        self._held: dict[int, Suspect] = {}

    def __bool__(self) -> bool:
        return bool(self._held)

    def hold(self, batch: Batch, reply: Reply, words: str) -> None:
        """Keep a batch back."""
        self._held[batch.id] = Suspect(batch, reply, gist(words))

    def speak_for_all(self, batch: Batch, *, earlier: bool, last: bool = False) -> bool:
        """Whether those like this one prove that the request as a whole is refused."""
        return speak_for_all([one.words for one in self._like(batch)], earlier=earlier, last=last)

    def release(self, batch: Batch) -> tuple[int, ...]:
        """Let go of those like a batch that has passed: now they can be judged."""
        return tuple(one.batch.id for one in self.take(batch))

    def take(self, batch: Batch) -> list[Suspect]:
        """Return those like a batch, and forget them."""
        found = self._like(batch)
        for one in found:
            del self._held[one.batch.id]
        return found

    def first(self) -> Suspect:
        """Return the one that was held first."""
        return next(iter(self._held.values()))

    def _like(self, batch: Batch) -> list[Suspect]:
        return [one for one in self._held.values() if (one.batch.kind, one.batch.lists) == (batch.kind, batch.lists)]


def words_of(reply: Reply, sent: dict[str, Any]) -> str:
    """Return Klaviyo's words about one row, without its values or anything else that looks like a person's."""
    details = [scrub(error.detail, sent) for error in reply.errors if error.detail]
    return details[0] if details else ""


def failed_alone(batch: Batch, reply: Reply, words: str, column: str | None = None) -> RowResult:
    """Return what becomes of the one row of a batch that was refused, though others pass."""
    said = f"HTTP {reply.status}{f': {words}' if words else ''}" if reply.status else words
    match batch.kind:
        case BatchKind.LIST_ADD:
            return RowResult(batch.lines[0], Outcome.FAILED, "list-add-failed", said)
        case BatchKind.LIST_REMOVE:
            return RowResult(batch.lines[0], Outcome.FAILED, "list-remove-failed", said)
    if reply.kind is ReplyKind.TOO_LARGE:
        return RowResult(batch.lines[0], Outcome.FAILED, "klaviyo-too-large")
    if reply.kind is ReplyKind.UNAVAILABLE:
        return RowResult(batch.lines[0], Outcome.FAILED, "klaviyo-error", said)
    code = "klaviyo-duplicate" if reply.status == 409 else "klaviyo-invalid"  # noqa: PLR2004 - conflict
    return RowResult(batch.lines[0], Outcome.FAILED, code, words or said, column)
