"""Damaged text, a chunk at a time: bytes that cannot be part of any damage settle a column, most of the time.

What is left is searched as bytes, all cells of a column at once, and only the different cells that match are judged.
Damage is held back: the likelier text is a suggestion, until ``repair`` in the mapping says which is right.

Reference: ``etl/validate/damage/reference.py``, cell by cell. Held to it by
``tests/unit/validate/test_damage_differential.py``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from etl.config import (
    ATTRIBUTES,
    CONSENT_PREFIX,
    LIST_TARGET,
    LOCATION_PREFIX,
    ColumnRule,
    ConfigMapping,
    computed_header,
)
from etl.model import IDENTIFIERS
from etl.validate.cells import TEXT, Finding
from etl.validate.damage.null_words import EVERYWHERE, OF_PEOPLE
from etl.validate.damage.reference import LOST, repaired

Mask = npt.NDArray[np.bool_]

_SPACE: Final = 0x20
_BEYOND: Final = 0xC2
"""Where the first byte of a character beyond ASCII begins."""
_LINES: Final = (0x09, 0x0A, 0x0D)
# A byte that a column must hold → the bytes of damage that begins with it, or stands around it.
_SIGNS: Final = tuple(
    (sign, re.compile(pattern))
    for sign, pattern in (
        (b"&", rb"&(?:#[0-9]|#[xX][0-9a-fA-F]|[A-Za-z][A-Za-z0-9]+;)"),
        (b"%", rb"%[0-9A-Fa-f]{2}"),
        (b"=", rb"=(?:\?[\w-]+\?[BbQq]\?|[CDEF][0-9A-F]=[89AB][0-9A-F])"),
        (b"_x", rb"_x[0-9A-Fa-f]{4}_"),
        (b"\\", rb"\\(?:u[0-9A-Fa-f]{4}|x[89A-Fa-f][0-9A-Fa-f]|['\"])"),
        (b"\x7f", rb"\x7f"),
        (b"\xc2", rb"\xc2[\x80-\x9f]"),
        (b"\xef", rb"\xef(?:\xbf[\xb9-\xbf]|\xbb\xbf)"),
    )
)
_ASKED: Final = re.compile(rb"[A-Za-z\x80-\xff]\?[A-Za-z\xc3-\xff]")


@cache
def _pairs() -> re.Pattern[str]:
    """Return the pattern of characters that stand behind one another where UTF-8 was read in another encoding."""
    wide = ("latin-1", "cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1257", "iso8859-2")
    # In the pages of DOS and of the Macintosh the later bytes are letters of their own alphabets.
    narrow = ("macroman", "cp437", "cp850", "cp866")
    shapes = ["[ãåä][\u00a1-\u00bf\u0152-\u0178\u2013-\u2122]"]  # somebody may have changed the case since
    for page in (*wide, *narrow):
        second = _signs(page, range(0x80, 0xC0))
        two = [lead for lead in range(0xC2, 0xE0) if page != "macroman" or lead not in {0xCB, 0xCC, 0xCD}]
        three = range(0xE0, 0xF0) if page in wide else (0xE2, 0xE3)
        shapes.append(f"[{_signs(page, two)}][{second}]|[{_signs(page, three)}][{second}]{{2}}")
        if page in wide:
            shapes.append(f"[{_signs(page, range(0xF0, 0xF5))}][{second}]{{3}}")
    # The look ahead spares twelve looks at most places.
    return re.compile(rf"(?=[^\x00-\x7f]{{2}})(?:{'|'.join(shapes)})")


def _signs(page: str, some: Iterable[int]) -> str:
    signs = {bytes([byte]).decode(page, "ignore") for byte in some}
    return "".join(re.escape(sign) for sign in sorted(filter(None, signs)) if not sign.isascii())


# Words all in Russian, Ukrainian, Belarusian or Greek, or in alphabets that no such encoding has.
_PLAIN: Final = re.compile(
    "[\x00-\x40\x5b-\x60\x7b-\x7f\u0410-\u044f\u0386-\u03ce\u0401\u0451\u0406\u0456\u0407\u0457\u0404\u0454\u0490\u0491\u040e\u045e\u0590-\u1fff\u3000-\uf8ff]*"
)


@dataclass(frozen=True, slots=True)
class Damage:
    """What a chunk holds of damaged text. ``held``: header → rows whose cell is refused; ``findings``: what to say."""

    held: Mapping[str, Mask] = field(default_factory=dict)
    findings: Mapping[str, Sequence[Finding]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Column:
    header: str
    repair: bool | None
    words: Mapping[str, str]
    listed: Any
    is_name: bool
    is_surname: bool


class DamageJudge:
    """Judges the source's own cells, before anything changes them. Keeps nothing between chunks."""

    def __init__(self, mapping: ConfigMapping) -> None:
        """Take the mapping: it says what a column is for, and whether damage is mended."""
        usual = mapping.source.repair
        columns: dict[str, _Column] = {}
        for target, (header, rule) in mapping.by_target.items():
            repair = rule.repair if rule.repair is not None else usual
            judged = not target.startswith(CONSENT_PREFIX) and not _holds_json(rule)
            # Phones and consent have judges of their own, who know these signs.
            if judged and repair is not False and not (target == "phone_number" and not repair):
                columns[header] = _column(header, target, repair=repair)
        self._computed: dict[str, tuple[str, ...]] = {}
        for target, computed in mapping.computed.items():
            columns.pop(computed_header(target), None)
            self._computed[computed_header(target)] = computed.headers
            for header in computed.headers:
                if usual is not False:
                    columns.setdefault(header, _column(header, target, repair=usual))
        self._columns = tuple(columns.values())

    def repairs_any(self, headers: Collection[str]) -> bool:
        """Whether any of these columns is mended."""
        return any(column.repair and column.header in headers for column in self._columns)

    def judge(self, frame: pd.DataFrame) -> tuple[pd.DataFrame, Damage]:
        """Return the frame with what was to be mended, and the damage. ``frame``: source cells, index ``line``."""
        held: dict[str, Mask] = {}
        findings: dict[str, list[Finding]] = {}
        better: dict[str, Any] = {}
        damaged = [
            (column, texts, found)
            for column in self._columns
            if (texts := _texts(frame[column.header])) is not None and (found := _judged(texts, column))
        ]
        for column, texts, found in damaged:
            surnames = set[str]()
            if column.is_surname:
                elsewhere = {word for other, _, its in damaged if other is not column for word in its}
                surnames = _surnames(texts, [text for text in found if text not in elsewhere])
            rows = np.flatnonzero(pc.is_in(texts, value_set=pa.array(list(found), TEXT)).to_numpy(zero_copy_only=False))
            become = texts.to_numpy(zero_copy_only=False).copy() if column.repair else None
            mask = np.zeros(len(frame), dtype=bool)
            told = findings.setdefault(column.header, [])
            for row, text in zip(rows.tolist(), texts.take(pa.array(rows)).to_pylist(), strict=True):
                code, suggestion = found[text]
                if text in surnames:
                    told.append(Finding(row, code, _SURNAME))
                elif become is not None and code != LOST:
                    become[row] = suggestion
                    told.append(Finding(row, "text-repaired", _SAID[code]))
                else:
                    mask[row] = True
                    told.append(Finding(row, code, suggestion=suggestion, fatal=True))
            if mask.any():
                held[column.header] = mask
            if become is not None:
                better[column.header] = pd.Series(become, index=frame.index, dtype="str")
        for header, parts in self._computed.items():
            masks = [held[part] for part in parts if part in held]
            if masks:
                held[header] = np.logical_or.reduce(masks)
        return (frame.assign(**better) if better else frame), Damage(held, findings)


_SURNAME: Final = "sent as a surname: its column is in capitals, and the word stands in no other column"
_IN_CAPITALS: Final = 0.9
"""Of the cells of a column of names, where one all in capitals stands out from none."""
_RARE: Final = 0.01

_LOST_LETTERS: Final = "letters that are lost"
_SAID: Final = {
    "text-mojibake": "letters that were read in a wrong encoding",
    "text-entities": "HTML entities",
    "text-escaped": "escapes of a URL, a mail, a workbook or a program",
    "text-control": "control characters",
    "null-word": "a word for nothing, now empty",
    "cell-error": "an error of a formula, now empty",
}


def damage_told(cells: Sequence[str], target: str) -> str:
    """Say how many cells of a column have which damage, most first; ``""`` where there is none."""
    found = damage_of(cells, target).most_common()
    named = [(_SAID.get(code, _LOST_LETTERS).removesuffix(", now empty"), count) for code, count in found]
    return "; ".join(f"{name} ({count:,})" for name, count in named)


def damage_of(cells: Sequence[str], target: str) -> Counter[str]:
    """Return how many cells of a column have which damage, by code. ``target``: where the column goes."""
    texts = pa.array(cells, TEXT)
    found = _judged(texts, _column("", target, repair=None))
    return Counter(found[cell][0] for cell in cells if cell in found)


def _holds_json(rule: ColumnRule) -> bool:
    """Whether escapes in a column are those of JSON."""
    return rule.type == "json" or (rule.type == "list" and rule.separator is None)


def _column(header: str, target: str, *, repair: bool | None) -> _Column:
    place = target.partition("#")[0]
    own = place in ATTRIBUTES or place.startswith(LOCATION_PREFIX) or place in {"external_id", LIST_TARGET}
    words: Mapping[str, str] = OF_PEOPLE if own else EVERYWHERE
    if place in IDENTIFIERS and place != "external_id":
        words = {}
    is_name = own and place not in {"external_id", "image", LIST_TARGET}
    return _Column(header, repair, words, pa.array(list(words), TEXT), is_name, place == "last_name")


def _surnames(texts: Any, words: Sequence[str]) -> set[str]:
    """Return those of these words for nothing that are surnames: people are called ``NULL``.

    A program that writes ``NULL`` for nothing does so in many cells, and among names of any spelling.
    """
    words = [word for word in words if word.strip().isalpha() and word.isupper()]
    if not words:
        return set()
    filled = texts.filter(pc.greater(pc.utf8_length(texts), 0))
    hits = pc.sum(pc.is_in(filled, value_set=pa.array(words, TEXT))).as_py()
    capitals = pc.sum(pc.utf8_is_upper(filled)).as_py() - hits
    others = len(filled) - hits
    few = hits <= max(1, _RARE * len(filled))
    return set(words) if few and others and capitals >= _IN_CAPITALS * others else set()


def _texts(cells: pd.Series[Any]) -> Any:
    array = pa.array(cells, TEXT, from_pandas=True)
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _judged(texts: Any, column: _Column) -> dict[str, tuple[str, str]]:
    """Return the damaged cells of a column: text → code and suggestion."""
    data, ends = _bytes(texts)
    if not data:
        return {}
    found: dict[str, tuple[str, str]] = {}
    for text in _suspects(texts, data, ends, column):
        code, suggestion = repaired(text, name=column.is_name)
        if code:
            found[text] = code, suggestion
    if column.words:
        bare = pc.utf8_trim_whitespace(texts) if _has_blanks(data, ends) else texts
        hits = pc.is_in(bare, value_set=column.listed)
        if hits.true_count:
            for text in pc.unique(texts.filter(hits)).to_pylist():
                found[text] = column.words[text.strip()], ""
    return found


def _suspects(texts: Any, data: bytes, ends: npt.NDArray[np.int64], column: _Column) -> set[str]:
    """Return the cells that may be damaged."""
    letters = np.frombuffer(data, np.uint8)
    places = [match.start() for sign, pattern in _SIGNS if sign in data for match in pattern.finditer(data)]
    if column.is_name and b"?" in data:
        places += [match.start() for match in _ASKED.finditer(data)]
    low = letters < _SPACE
    if low.any():
        for line in _LINES:
            low &= letters != line
        places += np.flatnonzero(low).tolist()
    suspects = set(_cells_at(texts, ends, np.array(places, np.int64)))
    if not data.isascii():
        wide = letters >= _BEYOND
        # Characters beyond ASCII have two bytes or three; one behind another is rare in Latin letters.
        behind = np.concatenate([wide[:-2] & wide[2:], [False, False]])
        behind[:-3] |= wide[:-3] & wide[3:]
        doubled = _cells_at(texts, ends, np.flatnonzero(behind))
        suspects.update(text for text in doubled if not _PLAIN.fullmatch(text) and _pairs().search(text))
    return suspects


def _has_blanks(data: bytes, ends: npt.NDArray[np.int64]) -> bool:
    """Whether some cell begins or ends with a blank."""
    letters = np.frombuffer(data, np.uint8)
    last = letters[np.maximum(ends - 1, 0)]
    first = letters[np.minimum(ends, len(data) - 1)]  # of the cell behind
    return bool(letters[0] <= _SPACE or (last <= _SPACE).any() or (first <= _SPACE).any())


def _cells_at(texts: Any, ends: npt.NDArray[np.int64], places: npt.NDArray[np.int64]) -> list[str]:
    """Return the different cells that hold these bytes. ``ends``: where each cell ends."""
    if not len(places):
        return []
    rows = np.searchsorted(ends, np.sort(places), side="right")
    rows = rows[np.concatenate([[True], rows[1:] != rows[:-1]])]
    return [text for text in pc.unique(texts.take(pa.array(rows))).to_pylist() if text]


def _bytes(texts: Any) -> tuple[bytes, npt.NDArray[np.int64]]:
    """Return the bytes of all cells, one behind the other, and where each ends."""
    _, offsets, data = texts.buffers()
    if data is None or not len(texts):
        return b"", np.zeros(0, np.int64)
    places = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    return memoryview(data)[places[0] : places[-1]].tobytes(), places[1:] - places[0]
