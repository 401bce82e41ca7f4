"""How a source was read, its letters and its header: held back where another reading is as likely."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from etl.errors import GuardError
from etl.extract import HEADER_DOUBTFUL, HEADER_ROW
from etl.model import SourceInfo
from etl.pipeline.context import Context

_ENCODING: Final = "encoding_doubtful"


@dataclass(frozen=True, slots=True)
class _Doubt:
    """``code``: of the refusal; ``said``: the doubt; ``key``: of ``[source]``, which settles it; ``hint``: how."""

    code: str
    said: str
    key: str
    hint: str
    shown: str = ""


def show_words(context: Context, info: SourceInfo) -> None:
    """Show some words with letters beyond ASCII as they were read, where nothing but the letters says how."""
    if info.words:
        context.announce(f"{info.name}: letters were read like this: {', '.join(info.words)}")


def doubts(info: SourceInfo) -> list[str]:
    """Return what would stop a run, for those who only look."""
    return [f"{doubt.said}: set {doubt.key} in [source] ({doubt.code})" for doubt in _found(info)]


def demand_certain(context: Context, info: SourceInfo) -> list[str]:
    """Ask whether the source was read rightly where that is doubtful. Return what was agreed to, for the report.

    Raise :class:`GuardError` for a no, and where nobody can answer and nobody said ``--yes``.
    """
    agreed = []
    for doubt in _found(info):
        question = f"{doubt.said}.{doubt.shown} Is that right?"
        if not (context.agreed or (context.disregard is not None and context.disregard(question))):
            raise GuardError(doubt.code, f"{doubt.said}; nothing was sent", doubt.hint)
        agreed.append(f"{doubt.said}; it was agreed to")
    return agreed


def _found(info: SourceInfo) -> list[_Doubt]:
    found = []
    if _ENCODING in info.details:
        codec = info.details.get("encoding", "text of an old encoding")
        found.append(
            _Doubt(
                "encoding-doubtful",
                f"{info.name} was read as {codec}, and another encoding is about as likely",
                "encoding",
                'Open the file and say [source] encoding, such as "cp1250"; or look at the words and say --yes.',
                f" Letters were read like this: {', '.join(info.words)}." if info.words else "",
            )
        )
    if HEADER_DOUBTFUL in info.details:
        row = info.details.get(HEADER_ROW, "1")
        found.append(
            _Doubt(
                "header-doubtful",
                f"The header of {info.name} was found in line {row}, and another line may be it as well",
                "header_row",
                "Open the file and say [source] header_row, the number of the line with the column names.",
            )
        )
    return found
