"""The registry of issue codes: what a code means and what to do about it.

A code is stable once released: users filter and script on it. ``docs/codes.md`` and the README's table are generated
from here and checked by a test.
"""

from __future__ import annotations

from typing import Final

from etl.codes import consent, dedupe, events, extract, load, transform, undo, validate, verify
from etl.codes.base import Code

__all__ = ["CODES", "Code"]

CODES: Final[dict[str, Code]] = {
    code.id: code
    for part in (extract, validate, transform, dedupe, load, consent, events, verify, undo)
    for code in part.CODES
}
