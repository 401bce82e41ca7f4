"""Requests that were not taken: again, in halves, or row by row until the one at fault stands alone."""

from __future__ import annotations

from dataclasses import replace

from etl.klaviyo import Reply, ReplyKind, error_for
from etl.load.batching import halves
from etl.load.options import LoadOptions
from etl.load.steps.probing import Move, after_refusal, divide
from etl.load.steps.settle import CRASH, Next, Settling, told
from etl.load.steps.suspects import Suspects, failed_alone, words_of
from etl.load.steps.transitions import is_suspect
from etl.load.task import LoadTask
from etl.model import Batch, BatchKind, RowResult


class Refusals(Settling):
    """Decides by evidence whether a row or the request is at fault; see probing.py."""

    def __init__(self, task: LoadTask, options: LoadOptions) -> None:
        super().__init__(task, options)
        self.suspects = Suspects()

    def judge_suspects(self) -> Next:
        """Say what follows for rows that were held back, now that there is nothing left that could pass."""
        one = self.suspects.first()
        earlier = self._store.history.precedents(one.batch).earlier
        if self.suspects.speak_for_all(one.batch, earlier=earlier, last=True):
            return self._refused_as_a_whole(one.batch, one.reply)
        if one.reply.kind is ReplyKind.UNAVAILABLE and not earlier:
            raise error_for(one.reply)
        return self._fail_suspects(one.batch)

    def _with_released(self, batch: Batch, reply: Reply, following: Next) -> Next:
        """Add what was held back until something like it would pass."""
        if reply.kind is not ReplyKind.OK or not self.suspects:
            return following
        return replace(following, ready=(*following.ready, *self.suspects.release(batch)))

    def _isolate(self, batch: Batch, reply: Reply) -> Next:
        """Go on with the search for the row that holds the others; see probing.py."""
        known = self._store.history.precedents(batch)
        words = words_of(reply, self._attributes(batch.lines[:1])[batch.lines[0]]) if len(batch.lines) == 1 else ""
        match after_refusal(len(batch.lines), beside=known.beside):
            case Move.FAIL:
                return self._settle(batch, [self._failed_alone(batch, reply, words)], reply)
            case Move.HOLD:
                self._put_back(batch, reply)
                self.suspects.hold(batch, reply, f"{told(reply)} {words}")
                if self.suspects.speak_for_all(batch, earlier=known.earlier):
                    return self._refused_as_a_whole(batch, reply)
                return Next(undecided=True, reached=False)
            case Move.PROBE if batch.parent is None and self._list_is_gone(batch):
                return self._stop(batch, reply)
            case move:
                parts = divide(batch.lines, move, known.probes)
                return replace(self._split(batch, [], parts, reply), undecided=True, reached=False)

    def _refused_as_a_whole(self, batch: Batch, reply: Reply) -> Next:
        """Stop, resumable. Where such requests passed before, the witnesses fail: the next process gets further."""
        if self._store.history.precedents(batch).earlier:
            self._fail_suspects(batch)
        raise error_for(reply)

    def _fail_suspects(self, batch: Batch) -> Next:
        failed = 0
        for one in self.suspects.take(batch):
            words = words_of(one.reply, self._attributes(one.batch.lines)[one.batch.lines[0]])
            self._settle(one.batch, [self._failed_alone(one.batch, one.reply, words)], None)
            failed += 1
        return Next(rows=failed, failed=failed)

    def _failed_alone(self, batch: Batch, reply: Reply, words: str) -> RowResult:
        column = self._column(reply.errors[0].field) if reply.errors else None
        return failed_alone(batch, reply, words, column)

    def _list_is_gone(self, batch: Batch) -> bool:
        return batch.kind is BatchKind.IMPORT and any(self._client.get_list(one) is None for one in batch.lists)

    def _halve(self, batch: Batch, reply: Reply) -> Next:
        if len(batch.lines) == 1:
            return self._isolate(batch, reply)
        parts = halves(batch.kind, batch.lines, batch.lists, batch.id, batch.size)
        return Next(
            ready=tuple(self._store.batches.split(batch.id, [], parts, reply=reply.kind.value, status=reply.status))
        )

    def _again_or_suspect(self, batch: Batch, reply: Reply, failures: int) -> Next:
        """Send the batch again, unless Klaviyo meets an error with it each time, and with others none."""
        if reply.kind is ReplyKind.UNAVAILABLE:
            known = self._store.history.precedents(batch)
            # The attempt in hand has no end yet.
            known = replace(known, errors=known.errors + 1)
            if is_suspect(len(batch.lines), known, searching=batch.parent is not None):
                return self._isolate(batch, reply)
        return self._again(batch, reply, failures, resent=reply.kind.is_uncertain)

    def _again(self, batch: Batch, reply: Reply, failures: int, *, resent: bool) -> Next:
        delay = self._backoff.delay(failures + 1, self._rng.random(), reply.retry_after)
        not_before = self._clock.now() + (0.0 if reply is CRASH else delay)
        if resent and self._options.patches and batch.kind is BatchKind.UPSERT:
            # An item that was added is found there before it is added again; Klaviyo needs a moment to show it.
            not_before = max(not_before, self._task.sent_at(batch) + self._pace.visible_after)
        self._store.batches.mark_planned_again(
            batch.id,
            not_before=not_before,
            reply=reply.kind.value,
            status=reply.status,
            detail=told(reply),
            resent=resent,
        )
        return Next(later=(not_before, batch.id), trouble=reply is not CRASH, reached=reply.kind.is_uncertain)
