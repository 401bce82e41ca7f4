"""What a file's bytes mean: a mark at its start, UTF-8 if it holds up, else the likeliest older encoding."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from charset_normalizer import from_bytes

from etl.errors import SourceError

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8 with a byte order mark"),
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)
_BLOCK: Final = 4 * 1024 * 1024
_SAMPLE: Final = 65_536
# The encodings that exports really come in; the guesser is not asked about EBCDIC.
_CANDIDATES: Final = (
    "cp1252",
    "cp1250",
    "cp1251",
    "cp1253",
    "cp1254",
    "cp1255",
    "cp1256",
    "cp1257",
    "shift_jis",
    "gb18030",
    "big5",
    "euc_kr",
)
_NAMES: Final = {"cp1252": "Windows-1252", "cp1250": "Windows-1250", "cp1251": "Windows-1251", "utf-8": "UTF-8"}
_WESTERN: Final = frozenset(
    "àáâãäåæçèéêëìíîïñòóôõöøùúûüýÿßœšžÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜÝŸŒŠŽ€£§°ªº«»·—“”„…•¿¡¨"
    "\u2013\u2018\u2019\u00b4"  # dash, single quotes, accent: too like their ASCII cousins to be read safely
    "\u00a0\u00ad"  # no-break space and soft hyphen: every encoding of the family has them there
)
_WIDE_SHARE: Final = 0.3
_STRAY_SHARE: Final = 0.001


@dataclass(frozen=True, slots=True)
class Encoding:
    """``codec`` is Python's name; ``note`` a sentence for the report, empty for plain UTF-8."""

    codec: str
    note: str


def detect(path: Path) -> Encoding:
    """Read through a file and tell its encoding. Raise :class:`SourceError` for bytes that are no text."""
    with path.open("rb") as file:
        head = file.read(_SAMPLE)
        for mark, codec, name in _MARKS:
            if head.startswith(mark):
                return Encoding(codec, f"read as {name}")
        if b"\0" in head:
            return _wide(head, path)
        file.seek(0)
        decoder = codecs.getincrementaldecoder("utf-8")()
        suspicious = bytearray()
        good = bad = 0
        while block := file.read(_BLOCK):
            try:
                decoder.decode(block)
            except UnicodeDecodeError:
                decoder.reset()
                block += file.readline()
                counted = _count(block, suspicious)
                good, bad = good + counted[0], bad + counted[1]
        if not bad:
            return Encoding("utf-8", "")
    if good > bad:
        # Mostly UTF-8: the few lines that are not are refused one by one, rather than all others being misread.
        return Encoding("utf-8", f"read as UTF-8, but {bad:,} lines hold bytes of another encoding")
    codec = _guess(bytes(suspicious))
    return Encoding(
        codec, f"read as {_NAMES.get(codec, codec)} (detected; set [source] encoding if letters look wrong)"
    )


def named(name: str) -> Encoding:
    """Return the encoding the user names. Raise :class:`SourceError` if Python has none of that name."""
    try:
        codec = codecs.lookup(name).name
        "a".encode(codec)
    except (LookupError, TypeError, UnicodeError):
        raise SourceError(
            "encoding-unknown", f"There is no text encoding {name!r}", "Write it like utf-8, cp1252 or utf-16."
        ) from None
    return Encoding(codec, f"read as {codec}, as the mapping says")


def _guess(sample: bytes) -> str:
    western = sample.decode("cp1252", "replace")
    if all(letter.isascii() or letter in _WESTERN for letter in western):
        # Too little text tells a guesser nothing; this says that every letter fits Western Europe.
        return "cp1252"
    guess = from_bytes(sample, cp_isolation=list(_CANDIDATES)).best()
    return guess.encoding if guess else "cp1252"


def _count(block: bytes, suspicious: bytearray) -> tuple[int, int]:
    """Count lines with letters beyond ASCII that are, and are not, UTF-8; keep some of the latter."""
    good = bad = 0
    for line in block.split(b"\n"):
        if line.isascii():
            continue
        try:
            line.decode()
            good += 1
        except UnicodeDecodeError:
            bad += 1
            if len(suspicious) < _SAMPLE:
                suspicious += line + b"\n"
    return good, bad


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
