"""How a file's bytes were read: shown to a person, and held back where another reading is as likely."""

from __future__ import annotations

from etl.errors import GuardError
from etl.model import SourceInfo
from etl.pipeline.context import Context

DOUBTFUL = "encoding-doubtful"
_FACT = "encoding_doubtful"


def show_words(context: Context, info: SourceInfo) -> None:
    """Show some words with letters beyond ASCII as they were read, where nothing but the letters says how."""
    if info.words:
        context.announce(f"{info.name}: letters were read like this: {', '.join(info.words)}")


def doubts(info: SourceInfo) -> list[str]:
    """Return what would stop a run, for those who only look."""
    return [f"{_said(info)}: set encoding in [source] ({DOUBTFUL})"] if _FACT in info.details else []


def demand_certain(context: Context, info: SourceInfo) -> list[str]:
    """Ask whether the letters are right where that is doubtful. Return what was agreed to, for the report.

    Raise :class:`GuardError` for a no, and where nobody can answer and nobody said ``--yes``.
    """
    if _FACT not in info.details:
        return []
    shown = f" Letters were read like this: {', '.join(info.words)}." if info.words else ""
    if context.agreed or (context.disregard is not None and context.disregard(f"{_said(info)}.{shown} Is that right?")):
        return [f"{_said(info)}; it was agreed to"]
    raise GuardError(
        DOUBTFUL,
        f"{_said(info)}; nothing was sent",
        'Open the file and say [source] encoding, such as "cp1250"; or look at the words and say --yes.',
    )


def _said(info: SourceInfo) -> str:
    codec = info.details.get("encoding", "text of an old encoding")
    return f"{info.name} was read as {codec}, and another encoding is about as likely"
