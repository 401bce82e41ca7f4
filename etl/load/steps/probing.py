"""Finding the row that holds the others: what to do about a error_for that names none. Pure.

A request was refused and no row is named. Either one of its rows is poison, or the request as a whole is (a list that
is gone, a right that is missing), and then every row alone would be refused too. Evidence decides, never the words:

* one row of the batch goes out alone, as a probe, until something passes;
* once something has passed, batches are halved, and a row that stands alone and is refused has failed;
* as long as nothing has passed, a row that is refused alone is held back as a witness. Enough witnesses in the same
  words, or nothing left to try: the error_for is of the whole request.

k poison rows among N cost about 2 k log2(N) requests; a error_for of everything costs a handful, and no row.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from etl.klaviyo import Reply

WITNESSES: Final = 8
"""Rows refused alone in the same words that speak for the whole request, where nothing like it has ever passed."""
MOST_WITNESSES: Final = 100
"""The same, where something like it has passed earlier in the run."""
_FEWEST: Final = 3
"""Of fewer rows nobody can tell whether they or the request are at fault: they fail, and may be sent again."""
_GOLDEN: Final = 0.6180339887498949
_VARYING: Final = re.compile(r"[0-9]+|…|\(hidden\)|\"[^\"]*\"|'[^']*'|\s+")


class Move(StrEnum):
    """What to do about a refused batch."""

    PROBE = "probe"  # one row goes alone, before the rest
    HALVE = "halve"
    FAIL = "fail"  # it stands alone: it has failed
    HOLD = "hold"  # it stands alone, but nothing has passed: it waits for evidence


def after_refusal(rows: int, *, beside: bool) -> Move:
    """Return what to do about a batch of so many rows that was refused without a word about which.

    ``beside``: something like it has passed since the search began.
    """
    if rows > 1:
        return Move.HALVE if beside else Move.PROBE
    return Move.FAIL if beside else Move.HOLD


def divide(lines: Sequence[int], move: Move, probes: int) -> list[tuple[int, ...]]:
    """Return the batches that a batch of several rows goes on as.

    Probes are spread over it: bad rows of a source often stand together.
    """
    if move is Move.PROBE:
        place = int(len(lines) * ((probes + 0.5) * _GOLDEN % 1.0))
        return [(lines[place],), (*lines[:place], *lines[place + 1 :])]
    return halves(lines)


def halves(lines: Sequence[int]) -> list[tuple[int, ...]]:
    """Return two halves of at least two lines, in order."""
    middle = len(lines) // 2
    return [tuple(lines[:middle]), tuple(lines[middle:])]


def speak_for_all(words: Sequence[str], *, earlier: bool, last: bool) -> bool:
    """Whether rows that were refused alone, in these words, prove that the request as a whole is refused.

    ``last``: there is nothing else that could pass. ``earlier``: something like it has passed before, in this run.
    """
    alike = max(map(words.count, words), default=0)
    if alike >= (MOST_WITNESSES if earlier else WITNESSES):
        return True
    return last and not earlier and len(words) >= _FEWEST and alike == len(words)


def gist(words: str) -> str:
    """Return a error_for's words without what may differ from row to row."""
    return _VARYING.sub(" ", words).strip()


TRIES: Final = 3
"""Errors to the same body before it is taken for the cause, where nothing else can be told from the answers."""
LONE_TRIES: Final = 5
"""And to the body of a single row, which then fails."""
_INTERNAL: Final = 500


class Blame(StrEnum):
    """What errors to the same body are laid to."""

    ROWS = "rows"  # one or some of them, nobody says which
    ROW = "row"  # the only one there is
    NOBODY = "nobody"  # it may pass


def blame_failure(reply: Reply, rows: int, tries: int, *, others_pass: bool) -> Blame:
    """Return what to blame for a body that has met nothing but server errors and lost answers.

    ``tries``: so often. ``others_pass``: Klaviyo has taken other requests meanwhile. Without that a single row is
    blamed for an internal error (500) only: any other may be the weather.
    """
    if tries < (LONE_TRIES if rows == 1 else TRIES):
        return Blame.NOBODY
    if rows > 1:
        return Blame.ROWS
    return Blame.ROW if others_pass or reply.status == _INTERNAL else Blame.NOBODY
