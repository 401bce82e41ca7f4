"""Finding the row at which a request fails when nobody names it: halving, as arithmetic. Pure.

A refusal without a pointer to a row, a server error that comes back with the same body, a body that is too large even
alone: each half is sent on its own, until the row at fault stands alone. A request of n rows with one bad row costs
about 2 log2(n) more; the other rows arrive.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from etl.klaviyo import Reply, ReplyKind

TRIES: Final = 3
"""Server errors to the same body before it is taken for the cause."""
LONE_TRIES: Final = 5
"""And to the body of a single row, which then fails."""
_INTERNAL: Final = 500
_ABOUT_REQUEST: Final = frozenset({402, 405, 406, 415, 451})


class Blame(StrEnum):
    """What a refusal, or a server error, is laid to."""

    REQUEST = "request"  # key, address, revision, form: every other request would fare the same
    ROWS = "rows"  # one or some of them, nobody says which
    ROW = "row"  # the only one there is
    NOBODY = "nobody"  # it may pass


def blame(reply: Reply, rows: int) -> Blame:
    """Return what to blame for the refusal of a request of so many rows."""
    match reply.kind:
        case ReplyKind.REFUSED if reply.status in _ABOUT_REQUEST or any(error.parameter for error in reply.errors):
            return Blame.REQUEST
        case ReplyKind.REFUSED | ReplyKind.TOO_LARGE | ReplyKind.ROW_ERRORS:
            return Blame.ROW if rows == 1 else Blame.ROWS
    return Blame.REQUEST


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


def halved(rows: Sequence[int]) -> list[tuple[int, ...]]:
    """Return two halves of at least two rows, in order."""
    middle = len(rows) // 2
    return [tuple(rows[:middle]), tuple(rows[middle:])]
