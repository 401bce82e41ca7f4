"""Number formats of spreadsheets that make an identifier of a number: ``00000`` shows 01040, ``000-00`` 010-40.

Formats of amounts (decimals, thousands, per cent, currencies, units) change nothing of what is meant: of those the
number itself is the cell. The language is that of ECMA-376, part 1, 18.8.31.
"""

from __future__ import annotations

import operator
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_TOKEN: Final = re.compile(
    r"""\[(?P<bracket>[^\[\]]*)\]|"(?P<text>[^"]*)"|\\(?P<escaped>.)|[_*].|(?P<digit>[0\#?])|(?P<sign>.)""", re.DOTALL
)
_CONDITION: Final = re.compile(r"(<=|>=|<>|<|>|=)\s*(-?[0-9]+(?:\.[0-9]+)?)")
_COMPARE: Final[dict[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "<>": operator.ne,
}
_LITERAL: Final = frozenset(" -+()$:!^&'~{}<>=\u00a0\u202f")
_OF_THOUSANDS: Final = frozenset(" '.,\u00a0\u202f\u2019")
_GROUP: Final = 3
_PREFIX: Final = re.compile(r"\w(?:[\w./#]|-)*|#|№|\+")
_CURRENCY_CODE: Final = re.compile(r"[A-Z]{3}|[A-Z]?[a-z]{1,2}|Fr|Rs")
_MIN_PHONE: Final = 1_000_000
_LONGEST: Final = 255
_DIGITS: Final = re.compile(r"[0-9]")
_ASCII_DIGITS: Final = frozenset("0123456789")
_MAX_SECTIONS: Final = 4

Parts = tuple[str | tuple[str], ...]
"""Of a format: texts, and ``0``, ``#``, ``?`` for digits as ``(sign,)``."""


@dataclass(frozen=True, slots=True)
class _Section:
    """What holds for some of the numbers."""

    parts: Parts
    condition: tuple[str, float] | None
    is_identifier: bool

    @property
    def is_padded(self) -> bool:
        digits = [part[0] for part in self.parts if isinstance(part, tuple)]
        return "0" in digits and len(digits) - digits.index("0") > 1

    def rendered(self, number: int) -> str | None:
        """Return what is shown of a number without its sign; ``None`` where its digits do not fill the form."""
        digits = list(str(number)) if number else []
        places = [place for place, part in enumerate(self.parts) if isinstance(part, tuple)]
        signs = [self.parts[place][0] for place in places]
        zeros = signs.index("0") if "0" in signs else len(signs)
        shown = [part if isinstance(part, str) else "" for part in self.parts]
        for order in range(len(places) - 1, -1, -1):
            if digits:
                shown[places[order]] = digits.pop()
            elif order >= zeros:
                shown[places[order]] = "0"
        shown[places[0]] = "".join(digits) + shown[places[0]]
        first = next((place for place in places if shown[place]), None)
        if first is None or any(part.strip() for part in shown[places[0] : first]):
            return None
        return "".join(shown).strip()


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """A format under which at least some numbers are identifiers."""

    code: str
    sections: tuple[_Section, ...]

    def shown(self, number: float) -> str | None:
        """Return what a sheet shows of a whole number where that is an identifier; ``None`` where it is an amount."""
        if number != int(number):
            return None
        section, is_signed = self._section(number)
        if section is None or not section.is_identifier:
            return None
        if _prefix(section.parts) == "+" and not section.is_padded and abs(number) < _MIN_PHONE:
            return None
        text = section.rendered(abs(int(number)))
        return f"-{text}" if text is not None and is_signed else text

    def _section(self, number: float) -> tuple[_Section | None, bool]:
        """Return the section of a number, and whether a minus stands before it."""
        if any(section.condition for section in self.sections):
            for section in self.sections:
                if section.condition is None or _COMPARE[section.condition[0]](number, section.condition[1]):
                    return section, number < 0
            return None, False
        if number < 0 and len(self.sections) > 1:
            return self.sections[1], False
        if number == 0 and len(self.sections) > 2:  # noqa: PLR2004 - positive; negative; zero
            return self.sections[2], False
        return self.sections[0], number < 0


def identifier_format(code: str) -> NumberFormat | None:
    """Return a format under which numbers are identifiers, ``None`` for all others: General, amounts, dates, texts."""
    if len(code) > _LONGEST:
        return None
    split = _sections(code)
    if len(split) > _MAX_SECTIONS:
        return None
    has_minus = any("-" in _texts(parts) for parts, _ in split[1:])
    sections = tuple(
        _Section(parts, _condition(brackets), _is_identifier(parts, brackets, has_minus=has_minus))
        for parts, brackets in split
    )
    return NumberFormat(code, sections) if any(section.is_identifier for section in sections) else None


def _sections(code: str) -> list[tuple[Parts, list[str]]]:
    found: list[tuple[list[str | tuple[str]], list[str]]] = [([], [])]
    for token in _TOKEN.finditer(code):
        parts, brackets = found[-1]
        if token["bracket"] is not None:
            brackets.append(token["bracket"])
        elif token["digit"]:
            parts.append((token["digit"],))
        elif token["sign"] == ";":
            found.append(([], []))
        elif (sign := token["sign"]) and sign not in _LITERAL and sign.isascii():
            parts.append(f"\0{sign}")  # it means something: a decimal point, a fraction, a date
        else:
            parts.append(token["text"] or token["escaped"] or token["sign"] or "")
    return [(tuple(part for part in parts if part), brackets) for parts, brackets in found]


def _texts(parts: Parts) -> str:
    return "".join(part for part in parts if isinstance(part, str))


def _prefix(parts: Parts) -> str:
    first = next((place for place, part in enumerate(parts) if isinstance(part, tuple)), 0)
    return _texts(parts[:first]).strip()


def _condition(brackets: list[str]) -> tuple[str, float] | None:
    for bracket in brackets:
        if found := _CONDITION.fullmatch(bracket.strip()):
            return found[1], float(found[2])
    return None


def _is_identifier(parts: Parts, brackets: list[str], *, has_minus: bool) -> bool:
    texts = _texts(parts)
    places = [place for place, part in enumerate(parts) if isinstance(part, tuple)]
    if not places or "\0" in texts or any(unicodedata.category(sign) == "Sc" for sign in texts):
        return False
    if any(bracket.startswith("$") and not bracket.startswith("$-") for bracket in brackets):
        return False  # a currency
    section = _Section(parts, None, is_identifier=False)
    if section.is_padded:
        return True
    inner = [part for part in parts[places[0] : places[-1]] if isinstance(part, str)]
    if inner:
        return not _are_thousands(parts[places[0] : places[-1] + 1])
    prefix = _prefix(parts)
    if prefix == "+" and has_minus:
        return False
    ends_with_blank = _texts(parts[: places[0]])[-1:].isspace()
    return (
        bool(_PREFIX.fullmatch(prefix))
        and not ends_with_blank
        and not _CURRENCY_CODE.fullmatch(prefix)
        and not _texts(parts[places[-1] + 1 :]).strip()
    )


def _are_thousands(parts: Parts) -> bool:
    """Whether texts stand between digits as they do in amounts: ``# ##0``."""
    groups = [0]
    for part in parts:
        if isinstance(part, tuple):
            groups[-1] += 1
        elif set(part) <= _OF_THOUSANDS:
            groups.append(0)
        else:
            return False
    return all(group == _GROUP for group in groups[1:])


def is_identifier(shown: str, number: float) -> bool:
    """Whether a text shows a whole number as an identifier: ``01040``, ``ID-42``, and not ``1,040`` or ``42 km``."""
    digits = "".join(_DIGITS.findall(shown))
    if number < 0 or number != int(number) or not digits or int(digits) != int(number) or len(shown) > _LONGEST:
        return False
    parts: list[str | tuple[str]] = []
    for sign in shown.strip():
        if sign in _ASCII_DIGITS:
            parts.append(("0",) if sign == "0" and digits[0] == "0" else ("#",))
        else:
            parts.append(f"\0{sign}" if sign in ".,%" else sign)
    return _is_identifier(tuple(parts), [], has_minus=False)
