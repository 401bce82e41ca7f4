"""What people type for yes and no, in the languages of those who use this, and how a question is asked."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import click

from etl.cli.signals import Signals
from etl.errors import InterruptedRunError
from etl.printable import printable

_YES_WORDS = "y yes yep j ja jo o oui s si sí sì sim d da да t tak a ano kyllä igen evet はい 是 1"
_NO_WORDS = "n no nope nein non não nee nej ne nie nem hayir ei нет いいえ 否 0"
_YES: Final = frozenset(_YES_WORDS.split())
_NO: Final = frozenset(_NO_WORDS.split())
_NARROWEST: Final = 40
_WIDEST: Final = 100


def agreed(text: str) -> bool | None:
    """Return whether an answer says yes or no, ``None`` where it says neither."""
    said = text.strip().casefold()
    return True if said in _YES else False if said in _NO else None


def confirm(question: str, signals: Signals) -> bool:
    """Ask for yes or no; Enter is no. The end of the input raises :class:`click.Abort`."""
    return bool(asked(f"{printable(question)} [y/N]", "", _yes_or_no, signals))


def asked(question: str, default: str, read: Callable[[str], object], signals: Signals) -> object:
    """Ask until ``read`` takes the answer; it raises ``click.UsageError`` for one that it does not understand.

    A signal ends it at once. Raise :class:`click.Abort` for that and where there is nobody to answer.
    """
    reads: Any = partial(_read, read)  # click's own type wants what the default is, and returns what this does
    with signals.questioning():
        return click.prompt(
            question, default=default, show_default=bool(default), value_proc=reads, prompt_suffix=": ", err=True
        )


def interrupted(what: str) -> InterruptedRunError:
    """Return the error for a question that a signal ended. ``what``: what did not happen."""
    return InterruptedRunError("interrupted", f"Stopped at the question: nothing was {what}", "Run it again.")


def width() -> int:
    """Return how many columns the terminal has, within reason; 80 where that is not known."""
    return max(_NARROWEST, min(shutil.get_terminal_size((80, 24)).columns, _WIDEST))


def wrapped(text: str, first: str = "", rest: str = "") -> str:
    """Break a sentence into lines of the terminal. ``first``, ``rest``: what stands before its lines."""
    return textwrap.fill(text, width(), initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)


def _yes_or_no(text: str) -> bool:
    if not text.strip():
        return False
    if (said := agreed(text)) is None:
        raise click.UsageError("type y or n")
    return said


def _read(read: Callable[[str], object], text: str) -> object:
    return read(str(text))
