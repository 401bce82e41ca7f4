"""ZIP and compound files: workbooks, or documents of other programs, told by what is in them."""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

from etl.extract.files.foreign import no_table

MAGICS: Final = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
"""How workbooks begin."""

UNSOUND: Final = (
    OSError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    NotImplementedError,
    RuntimeError,
    EOFError,
    LookupError,
    ValueError,
    OverflowError,
)
"""What damaged archives raise."""

WORKBOOK: Final = "a workbook"
_ZIP: Final = b"PK\x03\x04"
_COMPOUND: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_TABLE: Final = "Open it, copy the table into a spreadsheet program and save it as .xlsx or CSV (UTF-8)."
_HINTS: Final = {
    "a Numbers document": "In Numbers choose File, Export To, CSV (UTF-8) or Excel, and run that.",
    "an iWork document (Numbers, Pages or Keynote)": (
        "Open it and choose File, Export To, CSV (UTF-8) or Excel, and run that."
    ),
    "an Outlook message": "Save the table that is attached to it, and run that.",
    "a Java archive": "Export the table as CSV (UTF-8) or as .xlsx, and run that.",
    "a web page saved as a book (EPUB)": "Export the table as CSV (UTF-8) or as .xlsx, and run that.",
}
_IWORK: Final = {".numbers": "a Numbers document", ".pages": "a Pages document", ".key": "a Keynote presentation"}
_FOLDERS: Final = {"xl": WORKBOOK, "word": "a Word document", "ppt": "a PowerPoint presentation", "visio": "a drawing"}
_MIMES: Final = (
    ("opendocument.spreadsheet", WORKBOOK),
    ("opendocument.text", "a text document (OpenDocument)"),
    ("opendocument.presentation", "a presentation (OpenDocument)"),
    ("opendocument", "a document (OpenDocument)"),
    ("epub", "a web page saved as a book (EPUB)"),
)
_STREAMS: Final = (
    ("Workbook", WORKBOOK),
    ("Book", WORKBOOK),
    ("EncryptedPackage", WORKBOOK),
    ("WordDocument", "a Word document"),
    ("PowerPoint Document", "a PowerPoint presentation"),
    ("__properties_version1.0", "an Outlook message"),
    ("VisioDocument", "a drawing"),
    ("FileHeader", "a document of another program (HWP)"),
)
_MAX_SECTORS: Final = 256
_ENTRY: Final = 128
_NONE: Final = 0xFFFFFFFF
_LAST_SECTOR: Final = 0xFFFFFFFA


def container_of(path: Path, head: bytes) -> str | None:
    """Return what a ZIP or compound file is; ``None``: an archive of files, or neither of the two.

    A damaged one passes for a workbook: its reader says so.
    """
    if head.startswith(_ZIP):
        return _zipped(path)
    if head.startswith(_COMPOUND):
        with suppress(OSError, struct.error, ValueError), path.open("rb") as file:
            names = set(_top_names(file))
            return next((kind for name, kind in _STREAMS if name in names), WORKBOOK)
        return WORKBOOK
    return None


def refuse_container(path: Path, head: bytes) -> None:
    """Raise :class:`etl.errors.SourceError` for the document of another program."""
    kind = container_of(path, head)
    if kind not in {None, WORKBOOK}:
        raise no_table(path, str(kind), _HINTS.get(str(kind), _TABLE))


def _zipped(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            mime = archive.read("mimetype")[:100].decode("latin-1") if "mimetype" in names else ""
    except UNSOUND:
        return None if path.suffix.lower() == ".zip" else WORKBOOK
    tops = {name.partition("/")[0] for name in names}
    if "[Content_Types].xml" in names:
        return next((kind for folder, kind in _FOLDERS.items() if folder in tops), WORKBOOK)
    if mime:
        return next((kind for part, kind in _MIMES if part in mime), None)
    if any(name.endswith((".iwa", "Index.zip")) for name in names):
        return _IWORK.get(path.suffix.lower(), "an iWork document (Numbers, Pages or Keynote)")
    if "META-INF/MANIFEST.MF" in names:
        return "a Java archive"
    return WORKBOOK if "content.xml" in names else None


def _top_names(file: BinaryIO) -> Iterator[str]:
    """Yield the names of what lies at the top of a compound file ([MS-CFB]). Raise ValueError, struct.error."""
    header = file.read(512)
    size = 1 << min(struct.unpack_from("<H", header, 30)[0], 16)
    entries = b"".join(_sectors(file, header, size))
    children = struct.unpack_from("<I", entries, 76)[0]
    waiting, seen = [children], set()
    while waiting:
        number = waiting.pop()
        if number == _NONE or number in seen:
            continue
        seen.add(number)
        at = number * _ENTRY
        length, _, _, left, right = struct.unpack_from("<HBBII", entries, at + 64)
        yield entries[at : at + max(length - 2, 0)].decode("utf-16-le", "replace")
        waiting += [left, right]


def _sectors(file: BinaryIO, header: bytes, size: int) -> Iterator[bytes]:
    """Yield the sectors of the directory."""
    tables = [one for one in struct.unpack_from("<109I", header, 76) if one < _LAST_SECTOR]
    number = struct.unpack_from("<I", header, 48)[0]
    for _ in range(_MAX_SECTORS):
        if number >= _LAST_SECTOR:
            return
        file.seek((number + 1) * size)
        yield file.read(size)
        table, place = divmod(number, size // 4)
        if table >= len(tables):
            return
        file.seek((tables[table] + 1) * size + 4 * place)
        number = struct.unpack("<I", file.read(4))[0]
