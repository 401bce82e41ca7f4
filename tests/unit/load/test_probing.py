"""The arithmetic of the search for the row that holds the others: exactly those fail, and the requests are few."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from etl.load.steps.probing import WITNESSES, Move, after_refusal, divide, gist, speak_for_all


@dataclass
class Search:
    """Loading in small: batches in a queue, a Klaviyo that refuses what holds a poison row, in its own words."""

    poison: dict[int, str]
    whole: str = ""
    requests: int = 0
    loaded: set[int] = field(default_factory=set)
    failed: set[int] = field(default_factory=set)
    held: dict[tuple[int, ...], str] = field(default_factory=dict)

    def load(self, rows: int) -> bool:
        """Return whether it came to its end; ``False``: stopped."""
        ready: deque[tuple[int, ...]] = deque([tuple(range(rows))])
        beside = False
        probes = 0
        while ready or self.held:
            if not ready:
                if speak_for_all(list(self.held.values()), earlier=False, last=True):
                    return False
                self.failed.update(line for batch in self.held for line in batch)
                self.held.clear()
                continue
            batch = ready.popleft()
            self.requests += 1
            words = self.whole or next((self.poison[line] for line in batch if line in self.poison), "")
            if not words:
                beside = True
                self.loaded.update(batch)
                ready.extendleft(self.held)
                self.held.clear()
                continue
            move = after_refusal(len(batch), beside=beside)
            match move:
                case Move.FAIL:
                    self.failed.update(batch)
                case Move.HOLD:
                    self.held[batch] = gist(words)
                    if speak_for_all(list(self.held.values()), earlier=False, last=False):
                        return False
                    ready.rotate(len(ready) // 2)
                case _:
                    parts = divide(batch, move, probes)
                    assert sorted(line for part in parts for line in part) == list(batch) or move is Move.PROBE
                    assert {line for part in parts for line in part} == set(batch)
                    probes += move is Move.PROBE
                    ready.extendleft(reversed(parts))
        return True


def bound(rows: int, bad: int) -> int:
    return 2 * (WITNESSES + 1) + bad + 2 * bad * (math.ceil(math.log2(rows)) + 1)


@settings(max_examples=80, deadline=None)
@given(st.data(), st.integers(2, 10_000))
def test_exactly_the_poison_rows_fail_and_requests_are_few(data: st.DataObject, rows: int) -> None:
    """k poison rows among N, fewer than it takes witnesses: no row too many, none too few, O(k log N) requests."""
    most = min(WITNESSES - 1, rows - 1, 2 if rows <= WITNESSES else rows)
    bad = data.draw(st.sets(st.integers(0, rows - 1), min_size=1, max_size=max(most, 1)))
    words = data.draw(st.sampled_from(["no", "bad value 17", ""]))
    search = Search({line: words or f"row {line}" for line in bad})
    assert search.load(rows)
    assert search.failed == bad
    assert search.loaded == set(range(rows)) - bad
    assert search.requests <= bound(rows, len(bad)), (search.requests, rows, len(bad))


@settings(max_examples=30, deadline=None)
@given(st.integers(100, 10_000), st.integers(0, 99), st.integers(8, 50))
def test_a_block_of_bad_rows_is_no_refusal_of_everything(rows: int, start: int, bad: int) -> None:
    """Bad rows of a source often stand together, many more than it takes witnesses."""
    block = set(range(start, min(start + bad, rows - 20)))
    search = Search(dict.fromkeys(block, "the same words"))
    assert search.load(rows)
    assert search.failed == block
    assert search.requests <= bound(rows, max(len(block), 1))


@settings(max_examples=30, deadline=None)
@given(st.integers(3, 400_000))
def test_a_refusal_of_everything_costs_a_handful_and_no_row(rows: int) -> None:
    search = Search({}, whole="no such list")
    assert not search.load(rows)
    assert search.failed == set()
    assert search.requests <= 2 * WITNESSES + 1


@given(st.integers(1, 2))
def test_one_or_two_rows_are_at_fault_themselves(rows: int) -> None:
    search = Search({}, whole="no")
    assert search.load(rows)
    assert search.failed == set(range(rows))


def test_words_are_compared_without_what_differs_from_row_to_row() -> None:
    assert gist('HTTP 400 invalid row 17: "ann" is bad') == gist('HTTP 400 invalid row 4711: "bo" is bad')
    assert gist("HTTP 400 invalid name") != gist("HTTP 400 invalid city")
    assert not speak_for_all(["a", "b", "c"], earlier=False, last=True)
    assert not speak_for_all(["a"] * WITNESSES, earlier=True, last=True)
    assert speak_for_all(["a"] * WITNESSES, earlier=False, last=False)
