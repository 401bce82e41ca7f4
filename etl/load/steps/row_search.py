"""Requests that were not taken: again, in halves, or row by row until the one at fault stands alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from etl.klaviyo import Reply, ReplyKind, error_for
from etl.load.profiles.proof import scrub
from etl.load.steps.probing import Move, after_refusal, divide, halves
from etl.load.steps.step import Followup
from etl.load.steps.suspects import Suspects, words_of
from etl.load.steps.transitions import is_suspect
from etl.load.steps.writer import BatchWriter, describe_reply
from etl.load.task import LoadTask
from etl.model import Batch, BatchKind, RowResult

RefusedRow = Callable[[Batch, int, str, str | None], RowResult]
"""(batch, line, Klaviyo's words, field) → what becomes of a row that Klaviyo names."""
FailedAlone = Callable[[Batch, Reply, str], RowResult]
"""(batch, reply, Klaviyo's words) → what becomes of the one row of a batch that was refused, though others pass."""
GoesOnWithout = Callable[[Batch, Reply], bool]
"""(batch, reply) → whether the load goes on where every request like this one is refused: their rows fail instead."""


class RowSearch:
    """Decides by evidence whether a row or the request is at fault; see probing.py."""

    def __init__(
        self,
        task: LoadTask,
        writer: BatchWriter,
        *,
        refused: RefusedRow,
        failed_alone: FailedAlone,
        goes_on_without: GoesOnWithout = lambda _batch, _reply: False,
    ) -> None:
        self._store = task.store
        self._client = task.client
        self._writer = writer
        self._refused = refused
        self._failed_alone = failed_alone
        self._goes_on_without = goes_on_without
        self._suspects = Suspects()

    def __bool__(self) -> bool:
        """Whether rows are held back."""
        return bool(self._suspects)

    def judge_held(self) -> Followup:
        """Say what follows for rows that were held back, now that there is nothing left that could pass."""
        one = self._suspects.first()
        earlier = self._store.history.precedents(one.batch).earlier
        if self._suspects.speak_for_all(one.batch, earlier=earlier, last=True):
            return self._refused_as_a_whole(one.batch, one.reply)
        if one.reply.kind is ReplyKind.UNAVAILABLE and not earlier:
            raise error_for(one.reply)
        return self._fail_suspects(one.batch)

    def with_released(self, batch: Batch, reply: Reply, following: Followup) -> Followup:
        """Add what was held back until something like it would pass."""
        if reply.kind is not ReplyKind.OK or not self._suspects:
            return following
        return replace(following, send_now=(*following.send_now, *self._suspects.release(batch)))

    def strip(self, batch: Batch, reply: Reply) -> Followup:
        """Fail the rows that Klaviyo names; the others are planned again."""
        named = {
            batch.lines[error.row]: error
            for error in reversed(reply.errors)
            if error.row is not None and error.row < len(batch.lines)
        }
        if not named:
            return self.isolate(batch, reply)
        sent = self._writer.attributes(sorted(named))
        failed = [
            self._refused(batch, line, scrub(error.detail, sent[line]), error.field)
            for line, error in sorted(named.items())
        ]
        return self._writer.split(batch, failed, [[line for line in batch.lines if line not in named]], reply)

    def isolate(self, batch: Batch, reply: Reply) -> Followup:
        """Go on with the search for the row that holds the others; see probing.py."""
        known = self._store.history.precedents(batch)
        words = self._words(batch, reply) if len(batch.lines) == 1 else ""
        match after_refusal(len(batch.lines), beside=known.beside):
            case Move.FAIL:
                return self._writer.settle(batch, [self._failed_alone(batch, reply, words)], reply)
            case Move.HOLD:
                self._writer.put_back(batch, reply)
                self._suspects.hold(batch, reply, f"{describe_reply(reply)} {words}")
                if self._suspects.speak_for_all(batch, earlier=known.earlier):
                    return self._refused_as_a_whole(batch, reply)
                return Followup(inconclusive=True, may_have_arrived=False)
            case Move.PROBE if batch.parent is None and self._list_is_gone(batch):
                return self._writer.stop(batch, reply)
            case move:
                parts = divide(batch.lines, move, known.probes)
                following = self._writer.split(batch, [], parts, reply)
                return replace(following, inconclusive=True, may_have_arrived=False)

    def halve(self, batch: Batch, reply: Reply) -> Followup:
        """Go on as two, for a request that was too large."""
        if len(batch.lines) == 1:
            return self.isolate(batch, reply)
        return self._writer.split(batch, [], halves(batch.lines), reply)

    def again_or_isolate(self, batch: Batch, reply: Reply) -> Followup:
        """Send the batch again, unless Klaviyo meets an error with it each time, and with others none."""
        if reply.kind is ReplyKind.UNAVAILABLE:
            known = self._store.history.precedents(batch)
            # The attempt in hand has no end yet.
            known = replace(known, errors=known.errors + 1)
            if is_suspect(len(batch.lines), known, searching=batch.parent is not None):
                return self.isolate(batch, reply)
        return self._writer.again(batch, reply, resent=reply.kind.is_uncertain)

    def _refused_as_a_whole(self, batch: Batch, reply: Reply) -> Followup:
        """Stop, resumable. Where such requests passed before, the witnesses fail: the next process gets further."""
        if self._goes_on_without(batch, reply):
            return self._fail_suspects(batch)
        if self._store.history.precedents(batch).earlier:
            self._fail_suspects(batch)
        raise error_for(reply)

    def _fail_suspects(self, batch: Batch) -> Followup:
        failed = 0
        for one in self._suspects.take(batch):
            words = self._words(one.batch, one.reply)
            self._writer.settle(one.batch, [self._failed_alone(one.batch, one.reply, words)])
            failed += 1
        return Followup(rows=failed, failed=failed)

    def _words(self, batch: Batch, reply: Reply) -> str:
        return words_of(reply, self._writer.attributes(batch.lines[:1])[batch.lines[0]])

    def _list_is_gone(self, batch: Batch) -> bool:
        return batch.kind is BatchKind.IMPORT and any(self._client.get_list(one) is None for one in batch.lists)
