"""Where the rows of a JSON file are: lines, an array of objects, or such an array inside of an object."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from etl.errors import SourceError
from etl.extract.json.scan import JsonFault, JsonReader

LINES: Final = (".jsonl", ".ndjson")
SUFFIXES: Final = (*LINES, ".json", ".geojson")
_BEGINNING: Final = re.compile(rb'\s*(?:\[\s*)?\{\s*"(?:[^"\\]|\\.)*"\s*:', re.DOTALL)
UTF16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_BOM: Final = b"\xef\xbb\xbf"
_MAX_DEEP: Final = 5
_HEAD: Final = 1 << 20
_MAX_NAMED: Final = 10


@dataclass(frozen=True, slots=True)
class JsonTable:
    """``lines``: an object a line. Else the array that begins at byte ``start``, or, without one, values in a row.

    ``name``: the way to the array inside of an object, ``""`` where it is all there is.
    """

    lines: bool = False
    start: int | None = None
    name: str = ""


def looks_like_json(head: bytes) -> bool:
    """Whether a file that begins like this is JSON, whatever its name."""
    if head.startswith(UTF16):
        head = head.decode("utf-16", "ignore").encode()
    return _BEGINNING.match(head.removeprefix(_BOM)) is not None


def find_table(path: Path) -> JsonTable:
    """Look through a file of JSON for its rows. Raise :class:`SourceError` where there are none, or several."""
    try:
        return JsonTable(lines=True) if _is_lines(path) else _find(path)
    except JsonFault as fault:
        raise damaged(path, fault) from None


def elements(path: Path, table: JsonTable) -> Iterator[tuple[int, bytes]]:
    """Yield the values of the table with their numbers from 1. Raise :class:`SourceError` where it is cut off."""
    try:
        with path.open("rb") as file:
            if table.start is None:
                file.seek(len(_BOM) if file.read(len(_BOM)) == _BOM else 0)
                yield from enumerate(JsonReader(file).elements(b""), start=1)
                return
            file.seek(table.start)
            reader = JsonReader(file)
            reader.take(b"[")
            yield from enumerate(reader.elements(b"]"), start=1)
            if not table.name:
                reader.end()
    except JsonFault as fault:
        raise damaged(path, fault) from None


def damaged(path: Path, fault: JsonFault) -> SourceError:
    """Return the error for a file of JSON that cannot be read to its end."""
    return SourceError("source-damaged", f"{path.name} is damaged JSON: {fault}", "Copy or export it again.")


def _is_lines(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(_HEAD)
        cut = bool(file.read(1))
    first, *others = [line.strip() for line in head.removeprefix(_BOM).split(b"\n")]
    whole, more = _is_json(first), cut or any(others)
    if path.suffix.lower() not in LINES:
        return whole and more
    if first.startswith(b"[") and not (whole and more):
        return False
    return any(line.startswith(b"{") and _is_json(line) for line in (first, *others))


def _find(path: Path) -> JsonTable:
    with path.open("rb") as file:
        start = len(_BOM) if file.read(len(_BOM)) == _BOM else 0
        file.seek(start)
        reader = JsonReader(file)
        opening = reader.peek()
        if opening == b"[":
            return JsonTable(start=start + reader.position)
        if opening != b"{":
            raise _no_rows(path)
        found = dict(_arrays(reader, start, "", 1))
        if not found:
            return JsonTable()
        if len(found) > 1:
            names = ", ".join(map(repr, list(found)[:_MAX_NAMED]))
            raise SourceError(
                "source-ambiguous",
                f"{path.name} holds {len(found)} arrays of objects: {names}",
                f"Save the one you mean as a file of its own, for example: jq '.{next(iter(found))}' {path.name}",
            )
        ((name, at),) = found.items()
        return JsonTable(start=at, name=name)


def _arrays(reader: JsonReader, base: int, way: str, deep: int) -> Iterator[tuple[str, int]]:
    """Walk through an object and yield the way to each array of objects in it, and the byte where that begins."""
    reader.take(b"{")
    while reader.peek() != b"}":
        key = orjson.loads(text) if (text := reader.value()).startswith(b'"') and _is_json(text) else ""
        reader.take(b":")
        name = f"{way}.{key}" if way else str(key)
        opening = reader.peek()
        if opening == b"[":
            at = base + reader.position
            reader.take(b"[")
            first = reader.peek()
            for _ in reader.elements(b"]"):
                pass
            if first == b"{":
                yield name, at
        elif opening == b"{" and deep < _MAX_DEEP:
            yield from _arrays(reader, base, name, deep + 1)
        else:
            reader.value()
        if reader.peek() == b",":
            reader.take(b",")
    reader.take(b"}")


def _is_json(text: bytes) -> bool:
    with suppress(orjson.JSONDecodeError, RecursionError):
        orjson.loads(text)
        return True
    return False


def _no_rows(path: Path) -> SourceError:
    return SourceError(
        "source-binary",
        f"{path.name} is called JSON and is none",
        "Export it again, as JSON, CSV (UTF-8) or .xlsx.",
    )
