"""Looking at a source for init: read once, in bounded memory; of a workbook, the sheet that is meant."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pandas as pd

from etl.config import SourceRule
from etl.discover import Advice, Ask, ColumnFacts, Probes, Profiler, Question, identifier_strength, recognise
from etl.errors import ConfigError, InterruptedRunError, SourceError
from etl.extract import ScratchSource, Source, is_single_use, visible_sheets
from etl.model import Progress, SourceInfo
from etl.pipeline.context import Context
from etl.pipeline.lifecycle.readings import show_words
from etl.pipeline.staging.rejects_source import open_file

_MOST_SHEETS: Final = 30
_PACKED: Final = re.compile(r"\.(?:zip|(?:xlsx|xlsm|xlsb|xls|ods)\.(?:gz|xz|zst))$")
_NAMED_COLUMNS: Final = 6


@dataclass(frozen=True, slots=True)
class Looked:
    """What was learnt. ``beginning``: the first rows, whole. ``said``: what there is to say of the source itself."""

    info: SourceInfo
    facts: list[ColumnFacts]
    beginning: pd.DataFrame
    said: tuple[Advice, ...] = ()


def look(opened: Source, context: Context) -> Looked:
    """Read a source through. Raise SourceError, InterruptedRunError."""
    profiler = Profiler(opened.info.columns)
    for chunk in opened.chunks():
        if context.should_stop():
            raise InterruptedRunError("interrupted", "Stopped while reading: nothing was written", "Run it again.")
        profiler.add(chunk.frame)
        context.progress(Progress("look", chunk.position, opened.info.size, "B", f"{profiler.rows:,} rows"))
    said = tuple(Advice(opened.info.name, note, sure=True) for note in opened.info.notes)
    return Looked(opened.info, profiler.facts(), profiler.beginning, said)


def sheet_of(
    paths: Sequence[Path | str], rule: SourceRule, probes: Probes, ask: Ask, context: Context
) -> tuple[str, Looked] | None:
    """Return the sheet of a workbook that holds people, and what was learnt of it.

    Where several do, somebody is asked, and the first is the safe choice. ``None``: the source is no workbook of
    several sheets, or its sheet is given. Raise ConfigError where no sheet identifies anybody.
    """
    if len(paths) != 1 or rule.sheet is not None or is_single_use(paths[0]):
        return None
    names = _sheets(Path(paths[0]), rule)[:_MOST_SHEETS]
    if len(names) < 2:  # noqa: PLR2004 - several
        return None
    found: dict[str, Looked] = {}
    faults: dict[str, str] = {}
    for name in names:
        try:
            with open_file(paths[0], rule.model_copy(update={"sheet": name})) as opened:
                found[name] = look(opened, context)
        except SourceError as error:
            faults[name] = error.message
    ranks = {
        name: identifier_strength(seen.facts, recognise(seen.info.columns), probes) for name, seen in found.items()
    }
    best = max(ranks.values(), default=0)
    fitting = [name for name in found if best and ranks[name] == best]
    if not fitting:
        raise _nobody(Path(paths[0]).name, names, found, faults)
    chosen = fitting[0] if len(fitting) == 1 else ask(_which(fitting, found))
    others = ", ".join(repr(name) for name in names if name != chosen)
    seen = found[chosen]
    kept = [advice for advice in seen.said if not advice.text.startswith("read from sheet ")]
    if len(fitting) == 1:
        text = f"Sheet {chosen!r} is read: it alone says who somebody is. Not read: {others}."
        kept.insert(0, Advice("sheet", text, sure=True))
    else:
        taken = f"{', '.join(map(repr, fitting))} hold people. Taken: {chosen!r}; name another with --sheet."
        kept.insert(0, Advice("sheet", f"Several sheets, {taken}", sure=False))
    show_words(context, seen.info)
    return chosen, Looked(seen.info, seen.facts, seen.beginning, tuple(kept))


def _sheets(path: Path, rule: SourceRule) -> tuple[str, ...]:
    """Return the sheets of a workbook, also of one that is packed."""
    names = visible_sheets(path)
    if names or not _PACKED.search(path.name.lower()):
        return names
    try:
        with open_file(path, rule) as opened:
            return visible_sheets(opened.path) if isinstance(opened, ScratchSource) else ()
    except SourceError:
        return ()  # said where it is opened in earnest


def _which(names: Sequence[str], found: dict[str, Looked]) -> Question:
    choices = {name: f"{name!r}: {_rows(found[name]):,} rows with {_columns(found[name])}" for name in names}
    cells = {
        name: "; ".join(", ".join(column.cells[:1]) for column in found[name].facts[:_NAMED_COLUMNS] if column.cells)
        for name in names
    }
    return Question("sheet", "Several sheets hold people. Which one is read?", choices, names[0], cells=cells)


def _rows(seen: Looked) -> int:
    return seen.facts[0].rows if seen.facts else 0


def _columns(seen: Looked) -> str:
    names = list(seen.info.columns)
    more = len(names) - _NAMED_COLUMNS
    return ", ".join(names[:_NAMED_COLUMNS]) + (f" and {more} more" if more > 0 else "")


def _nobody(file: str, names: Sequence[str], found: dict[str, Looked], faults: dict[str, str]) -> ConfigError:
    sheets = "; ".join(
        f"{number} {name!r}: {_columns(found[name]) if name in found else faults[name]}"
        for number, name in enumerate(names, start=1)
    )
    return ConfigError(
        "nobody-identified",
        f"{file}: no sheet has a column that holds an e-mail, a phone or an id, and Klaviyo needs one of them",
        f"Sheets there: {sheets}. Name one with --sheet, or export one of them too.",
    )
