"""Which styles of a workbook (.xlsx) show numbers as identifiers. Parts are searched as bytes, not parsed."""

from __future__ import annotations

import html
import re
import zipfile
from typing import Final

from etl.extract.spreadsheet.formats.number_format import NumberFormat, identifier_format

_MAX_BYTES: Final = 1 << 26
_MAX_STYLES: Final = 65_536
_FORMATS: Final = re.compile(rb"<(?:\w+:)?numFmts\b[^<>]*>(.*?)</(?:\w+:)?numFmts\s*>", re.DOTALL)
_FORMAT: Final = re.compile(rb"<(?:\w+:)?numFmt\b((?:[^<>\"']|\"[^\"]*\"|'[^']*')*)>")
_STYLES: Final = re.compile(rb"<(?:\w+:)?cellXfs\b[^<>]*>(.*?)</(?:\w+:)?cellXfs\s*>", re.DOTALL)
_STYLE: Final = re.compile(rb"<(?:\w+:)?xf\b([^<>]*)>")
_NUMBER: Final = re.compile(rb"\bnumFmtId\s*=\s*[\"']([0-9]{1,9})[\"']")
_CODE: Final = re.compile(rb"\bformatCode\s*=\s*(?:\"([^\"]*)\"|'([^']*)')")


def identifier_styles(archive: zipfile.ZipFile, place: str) -> dict[int, NumberFormat]:
    """Return the styles, by their number in a cell, under which numbers are identifiers. ``place``: of the part."""
    if place not in archive.namelist():
        return {}
    with archive.open(place) as part:
        text = part.read(_MAX_BYTES)
    formats = {}
    for block in _FORMATS.findall(text)[:1]:
        for attributes in _FORMAT.findall(block):
            number, code = _NUMBER.search(attributes), _CODE.search(attributes)
            if number and code and (found := identifier_format(_text(code[1] or code[2] or b""))):
                formats[int(number[1])] = found
    if not formats:
        return {}
    styles = {}
    for block in _STYLES.findall(text)[:1]:
        for style, attributes in enumerate(_STYLE.findall(block)[:_MAX_STYLES]):
            if (number := _NUMBER.search(attributes)) and int(number[1]) in formats:
                styles[style] = formats[int(number[1])]
    return styles


def _text(value: bytes) -> str:
    return html.unescape(value.decode("utf-8", "replace"))
