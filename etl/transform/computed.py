"""Cells changed before they are judged: the steps of ``transform``, and the columns of ``[computed]``.

Whole columns at a time; what needs Python (title case, country names, a function of the user's) is asked once per
different cell of a chunk.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import pandas as pd

from etl.config import CONSENT_PREFIX, Computed, ConfigMapping, Step, computed_header
from etl.errors import ConfigError
from etl.model import Issue, Severity, Stage
from etl.user_code import Code, CodeError
from schemas.consent_words import YES

Text = Callable[[str], str]

_PARTICLES: Final = frozenset(
    {"de", "da", "di", "du", "des", "del", "della", "la", "le", "van", "von", "der", "den", "zu", "y", "e", "af", "av"}
)
_MAC: Final = re.compile(r"\bMc([a-z])")
_WORDS: Final = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")
_NUMBER: Final = re.compile(r"\s*([0-9]+)(-[0-9]+)?\s*")
_BLANKS: Final = re.compile(r"\s+")


class CellTransformer:
    """Changes chunks as a mapping says. ``countries``: cell → ISO code, and → English name, or ``None``."""

    def __init__(
        self, mapping: ConfigMapping, countries: tuple[Callable[[str], str | None], Callable[[str], str | None]]
    ) -> None:
        self._code = mapping.code
        self._consents = {
            header for target, (header, _) in mapping.by_target.items() if target.startswith(CONSENT_PREFIX)
        }
        self._steps = {
            header: [self._prepared(step, header, countries) for step in rule.transform]
            for header, rule in mapping.by_target.values()
            if rule.transform
        }
        self._computed = {computed_header(target): computed for target, computed in mapping.computed.items()}
        self._every_row = {header for header, rule in mapping.by_target.values() if rule.every_row}
        self._required = {header for header, rule in mapping.by_target.values() if rule.required}

    @property
    def headers(self) -> tuple[str, ...]:
        """The headers of computed columns."""
        return tuple(self._computed)

    @property
    def changes_anything(self) -> bool:
        """Whether the mapping asks for any of this."""
        return bool(self._steps or self._computed or self._every_row)

    def transform_cells(self, frame: pd.DataFrame) -> tuple[pd.DataFrame, tuple[Issue, ...]]:
        """Return the frame with changed cells and computed columns; what it was given stays as it is."""
        if not self.changes_anything:
            return frame, ()
        shaped = frame.copy(deep=False)
        issues: list[Issue] = []
        # Computed columns are made of the source's own cells, then changed by steps of their own.
        for header, computed in self._computed.items():
            shaped[header] = _made(computed, frame)
        for header in self._every_row:
            # A cell that is missing belongs to a file without the column; an empty one to a file of such people.
            shaped[header] = frame[header].mask(frame[header].str.strip() == "", YES)
        for header, steps in self._steps.items():
            column = shaped[header].fillna("")
            for step in steps:
                column = step(column, issues)
            shaped[header] = column.astype("str")
        return shaped, tuple(issues)

    def _severity(self, header: str) -> Severity:
        """Return what a failing function costs: the cell, but the row where the cell says what may be sent to whom."""
        return Severity.ERROR if header in self._consents else Severity.WARNING

    def _prepared(self, step: Step, header: str, countries: Any) -> Callable[[Any, list[Issue]], Any]:
        if step.function is not None:
            return _safely(find_function(step.function, self._code), header, self._severity(header))
        change = _change(step, countries)
        return lambda column, _issues: change(column)


def find_function(reference: str, code: Code) -> Callable[[str], object]:
    """Return the function ``module:name``. Raise :class:`ConfigError` where there is none, or none that is trusted."""
    module_name, _, name = reference.partition(":")
    try:
        found = getattr(code.module(module_name), name)
    except CodeError as error:
        raise ConfigError(
            "code-not-trusted", f"transform: {reference}: {error}", "See klaviyo-etl docs security."
        ) from None
    except Exception as error:  # whatever the user's module does while it is imported
        raise ConfigError(
            "function-not-found",
            f"transform: {reference} cannot be loaded ({type(error).__name__})",
            f"Try: python -c 'from {module_name} import {name}'",
        ) from error
    if not callable(found):
        raise ConfigError(
            "function-not-found", f"transform: {reference} is not a function", "Name a function of one text."
        )
    return found  # type: ignore[no-any-return]  # what it returns is looked at when it does


def title(text: str) -> str:
    """Return a name with capitals as people write them: ``O'Neil``, ``McDonald``, ``Ludwig van Beethoven``."""

    def word(found: re.Match[str]) -> str:
        lowered = found[0].casefold() if found[0].isupper() else found[0].lower()
        if lowered in _PARTICLES and found.start():
            return lowered
        pieces = re.split(r"(['\u2019])", lowered)
        joined = "".join(piece[:1].upper() + piece[1:] for piece in pieces)
        if len(pieces) > 1 and len(pieces[-1]) == 1:
            joined = joined[:-1] + joined[-1].lower()  # "Anna's"
        return _MAC.sub(lambda mac: f"Mc{mac[1].upper()}", joined)

    return _WORDS.sub(word, text)


def _change(step: Step, countries: Any) -> Callable[[Any], Any]:
    if step.default is not None:
        default = step.default
        return lambda column: column.where(column.str.strip() != "", default)
    if step.replace is not None:
        table = step.replace
        return lambda column: _each(column, lambda text: table.get(text, text))
    if step.split is not None:
        sign, part = step.split, step.part or 1
        return lambda column: _each(column, lambda text: _part(text, sign, part))
    if step.pad is not None:
        width = step.pad
        return lambda column: _each(column, lambda text: _padded(text, width))
    code, name = countries
    changes: Mapping[str, Callable[[Any], Any]] = {
        "strip": lambda column: column.str.strip(),
        "collapse": lambda column: _each(column, lambda text: _BLANKS.sub(" ", text).strip()),
        "lower": lambda column: column.str.lower(),
        "upper": lambda column: column.str.upper(),
        "title": lambda column: _each(column, title),
        "country_code": lambda column: _each(column, lambda text: code(text) or text),
        "country_name": lambda column: _each(column, lambda text: name(text) or text),
    }
    return changes[step.do or "strip"]


def _part(text: str, sign: str, part: int) -> str:
    pieces = text.split(sign)
    place = part - 1 if part > 0 else len(pieces) + part
    return pieces[place].strip() if 0 <= place < len(pieces) else ""


def _padded(text: str, width: int) -> str:
    found = _NUMBER.fullmatch(text)
    return f"{found[1].zfill(width)}{found[2] or ''}" if found else text


def _each(column: Any, change: Text) -> Any:
    """Apply a function once per different cell."""
    replacements = {text: change(text) for text in column.unique().tolist()}
    return column.map(replacements)


def _safely(function: Callable[[str], object], header: str, severity: Severity) -> Callable[[Any, list[Issue]], Any]:
    def apply(column: Any, issues: list[Issue]) -> Any:
        replacements: dict[str, str] = {}
        failed: dict[str, str] = {}
        for text in column.unique().tolist():
            try:
                result = function(text)
            except Exception as error:  # noqa: BLE001 - a function of the user's may raise anything
                failed[text], replacements[text] = type(error).__name__, ""
                continue
            if result is None or isinstance(result, str):
                replacements[text] = result or ""
            else:
                failed[text], replacements[text] = f"it returned {type(result).__name__}, not text", ""
        if failed:
            spares_row = severity is Severity.WARNING
            issues += [
                Issue(
                    int(line), Stage.TRANSFORM, "transform-failed", header, failed[text], severity, left_out=spares_row
                )
                for line, text in zip(column.index.tolist(), column.tolist(), strict=True)
                if text in failed
            ]
        return column.map(replacements)

    return apply


def _made(computed: Computed, frame: pd.DataFrame) -> Any:
    if computed.constant is not None:
        return pd.Series(computed.constant, index=frame.index, dtype="str")
    cells = {header: frame[header].fillna("").str.strip() for header in computed.headers}
    if computed.join is not None:
        rows = zip(*(cells[header].tolist() for header in computed.join), strict=True)
        return pd.Series([computed.by.join(filter(None, row)) for row in rows], index=frame.index, dtype="str")
    text, *rest = computed.pieces
    made = pd.Series(text, index=frame.index, dtype="str")
    for header, following in zip(rest[0::2], rest[1::2], strict=True):
        made = made + cells[header] + following
    # Where every field is empty there is nothing to say.
    said = pd.Series(data=False, index=frame.index)
    for column in cells.values():
        said |= column != ""
    return made.str.strip().where(said, "")
