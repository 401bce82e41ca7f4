"""What a file's bytes mean: a mark at its start, UTF-8 if it holds up, else the likeliest older encoding.

The guess is chardet's, weighed with how the letters stand together (:mod:`etl.extract.delimited.alphabets`): a wrong
code page makes words that no language has. Where two readings differ and are about as good, it is said to be doubtful.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import chardet

from etl.errors import SourceError
from etl.extract.delimited.alphabets import has_kana, plausibility, well_formed
from etl.extract.delimited.buffer import end_of_text

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8 with a byte order mark"),
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)
_LONGEST_MARK: Final = 4
_BLOCK: Final = 4 * 1024 * 1024
_SAMPLE: Final = 65_536
# The encodings that exports really come in (Windows, DOS, Mac, Unix, East Asia); nobody is asked about EBCDIC.
_CANDIDATES: Final = (
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258", "cp874"),
    *("iso8859-2", "iso8859-5", "iso8859-7", "iso8859-9", "iso8859-15", "koi8-r", "koi8-u"),
    *("mac-roman", "mac-latin2", "mac-cyrillic", "cp850", "cp852", "cp866"),
    *("cp932", "euc_jis_2004", "gb18030", "big5hkscs", "cp949"),
)
_NAMES: Final = {
    **{f"cp{page}": f"Windows-{page}" for page in range(1250, 1259)},
    "cp850": "DOS 850",
    "cp852": "DOS 852",
    "cp866": "DOS 866",
    "cp874": "Windows-874 (Thai)",
    "utf-8": "UTF-8",
    "cp932": "Shift JIS",
    "euc_jis_2004": "EUC-JP",
    "iso2022_jp": "ISO-2022-JP",
    "big5hkscs": "Big5",
    "gb18030": "GB 18030",
    "cp949": "Korean (CP949)",
    "mac-roman": "Mac Roman",
    "mac-latin2": "Mac Central European",
    "mac-cyrillic": "Mac Cyrillic",
}
_ISO_2022_JP: Final = (b"\x1b$B", b"\x1b$@", b"\x1b(J")
_WEIGHED: Final = 8_000
"""Letters whose neighbours are looked at for each reading."""
_CLOSE: Final = 0.85
"""Share of the best reading's weight from which another one is about as good."""
_KANA_IN_CHINESE: Final = 0.5
_MAX_WORDS: Final = 6
_LONGEST_WORD: Final = 24
_WORD: Final = re.compile(r"[^\W\d_]{2,}")
_WIDE_SHARE: Final = 0.3
_STRAY_SHARE: Final = 0.001


@dataclass(frozen=True, slots=True)
class Encoding:
    """What bytes mean.

    ``codec`` is Python's name; ``note`` a sentence for the report, empty for plain UTF-8. ``fallback``: of lines that
    are no UTF-8, where a file is of both. ``guessed``: nothing says so but the letters; ``doubtful``: another reading
    is about as good. ``words``: some as they were read, for eyes on a terminal only, never for a file.
    """

    codec: str
    note: str
    fallback: str = ""
    guessed: bool = False
    doubtful: bool = False
    words: tuple[str, ...] = ()


@dataclass
class _Lines:
    """Lines beyond ASCII, counted, with some of them: UTF-8, and not."""

    good: int = 0
    bad: int = 0
    utf8: bytearray = field(default_factory=bytearray)
    other: bytearray = field(default_factory=bytearray)

    def add(self, block: bytes) -> None:
        for line in block.split(b"\n"):
            if line.isascii():
                continue
            try:
                line.decode()
            except UnicodeDecodeError:
                self.bad += 1
                kept = self.other
            else:
                self.good += 1
                kept = self.utf8
            if len(kept) < _SAMPLE:
                kept += line + b"\n"


def detect(path: Path) -> Encoding:
    """Read through a file and tell its encoding. Raise :class:`SourceError` for bytes that are no text."""
    with path.open("rb") as file:
        end = end_of_text(path)
        head = file.read(_SAMPLE)[:end]
        for mark, codec, name in _MARKS:
            if head.startswith(mark):
                return Encoding(codec, f"read as {name}")
        if b"\0" in head:
            return _wide(head, path)
        file.seek(0)
        decoder = codecs.getincrementaldecoder("utf-8")()
        lines = _Lines()
        shifted = False
        # What stands behind the text is no letter of it.
        while block := file.read(_BLOCK if end is None else min(_BLOCK, max(end - file.tell(), 0))):
            shifted = shifted or (b"\x1b" in block and any(mark in block for mark in _ISO_2022_JP))
            try:
                decoder.decode(block)
            except UnicodeDecodeError:
                decoder.reset()
                block += file.readline()
                lines.add(block)
        if shifted and not lines.bad:
            return _describe("iso2022_jp", head.decode("iso2022_jp", "replace"), doubtful=False)
    if not lines.bad:
        return Encoding("utf-8", "")
    if lines.good > lines.bad:
        # Mostly UTF-8: the few lines that are not are refused one by one, rather than all others being misread.
        return Encoding("utf-8", f"read as UTF-8, but {lines.bad:,} lines hold bytes of another encoding")
    guess = _guess(bytes(lines.other))
    if lines.good and _is_utf8_indeed(bytes(lines.utf8), guess.codec):
        name = _NAMES.get(guess.codec, guess.codec)
        note = f"of two encodings: {lines.good:,} lines read as UTF-8, {lines.bad:,} as {name} (detected)"
        return replace(guess, codec="utf-8", note=note, fallback=guess.codec)
    return guess


def given(name: str, path: Path) -> Encoding:
    """Return the encoding the user names, unless the file's own mark says another one.

    Raise :class:`SourceError` if Python has none of that name.
    """
    try:
        codec = codecs.lookup(name).name
        "a".encode(codec)
    except (LookupError, TypeError, UnicodeError):
        raise SourceError(
            "encoding-unknown", f"There is no text encoding {name!r}", "Write it like utf-8, cp1252 or utf-16."
        ) from None
    with path.open("rb") as file:
        head = file.read(_LONGEST_MARK)
    for mark, marked, title in _MARKS:
        if head.startswith(mark):
            if codec.replace("_", "-").startswith(marked.removesuffix("-sig")):
                break
            return Encoding(
                marked, f"read as {title}, although the mapping says {codec}: the file begins with its mark"
            )
    return Encoding(codec, f"read as {codec}, as the mapping says")


def _guess(sample: bytes) -> Encoding:
    """Return the likeliest reading of lines beyond ASCII."""
    ranked = chardet.detect_all(
        sample, ignore_threshold=True, prefer_superset=False, compat_names=False, include_encodings=_CANDIDATES
    )
    readings = []
    for found in ranked:
        if found["encoding"] is None:
            continue
        codec = str(found["encoding"])
        text = sample.decode(codec, "replace")
        weight = float(found["confidence"]) * _likeliness(text)
        if codec == "gb18030" and has_kana(text):
            weight *= _KANA_IN_CHINESE  # the bytes of Japanese EUC are Chinese letters too, but for the kana
        readings.append((weight, codec, text))
    readings.sort(key=lambda reading: -reading[0])
    if not readings:
        return _describe("cp1252", sample.decode("cp1252", "replace"), doubtful=True)
    weight, _, text = readings[0]
    # Of code pages in which these letters lie in the same place, the commonest is named.
    codec = min((codec for _, codec, read in readings if read == text), key=_CANDIDATES.index)
    rival = next((other for other, _, read in readings if read != text), 0.0)
    return _describe(codec, text, doubtful=rival > _CLOSE * weight)


def _likeliness(text: str) -> float:
    looked_at = text[:_WEIGHED]
    return plausibility(looked_at) ** 4 * well_formed(looked_at)


def _describe(codec: str, text: str, *, doubtful: bool) -> Encoding:
    name = _NAMES.get(codec, codec)
    how = "detected, but another encoding is about as likely" if doubtful else "detected"
    note = f"read as {name} ({how}; set [source] encoding if letters look wrong)"
    return Encoding(codecs.lookup(codec).name, note, guessed=True, doubtful=doubtful, words=_words(text))


def _words(text: str) -> tuple[str, ...]:
    """Return a few different words with letters beyond ASCII: enough for a person to see what is wrong."""
    found: dict[str, None] = {}
    for word in _WORD.findall(text):
        if not word.isascii() and len(word) <= _LONGEST_WORD:
            found.setdefault(word)
        if len(found) == _MAX_WORDS:
            break
    return tuple(found)


def _is_utf8_indeed(lines: bytes, codec: str) -> bool:
    """Whether lines that can be read as UTF-8 are it, and not by chance letters of the file's other encoding."""
    return _likeliness(lines.decode()) > _likeliness(lines.decode(codec, "replace"))


def _wide(head: bytes, path: Path) -> Encoding:
    even, odd = head[0::2].count(0), head[1::2].count(0)
    half = max(len(head) // 2, 1)
    if odd / half > _WIDE_SHARE and even < odd / 4:
        return Encoding("utf-16-le", "read as UTF-16 (detected, there is no byte order mark)")
    if even / half > _WIDE_SHARE and odd < even / 4:
        return Encoding("utf-16-be", "read as UTF-16 (detected, there is no byte order mark)")
    if (even + odd) / len(head) < _STRAY_SHARE:
        return Encoding("utf-8", "it holds NUL characters")
    raise SourceError("source-binary", f"{path.name} is not a text file", "Give a CSV file.")
