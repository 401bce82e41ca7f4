"""How requests ended, as the table of attempts names it."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from etl.state.db import schema

_SURELY_REFUSED: Final = ("not_sent", "throttled", "auth", "gone", "not_found", "refused", "row_errors", "too_large")
"""Replies, as the client names them, after which Klaviyo has done nothing of what was asked."""


def may_have_arrived() -> sa.ColumnElement[bool]:
    """Return the condition for attempts that Klaviyo may have carried out.

    A request without an end, or with an end nobody foresaw, may have got through.
    """
    reply = schema.attempts.c.reply
    return reply.is_(None) | reply.not_in(_SURELY_REFUSED)
