"""Files that are no table, told by how they begin: what each is, and what to do. Nothing that stands there is said."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from etl.errors import SourceError

BEGINNING: Final = 4096
"""How many bytes of a file are looked at."""
_TABLE: Final = "Export the table as CSV (UTF-8) or as .xlsx, and run that."
_SAVE: Final = "Open it in a spreadsheet program and save it as .xlsx or as CSV (UTF-8)."
_WEB: Final = (
    "If it opens as a table in a spreadsheet program, save it there as .xlsx; "
    "if it is a page of a web site, such as its login, log in and export the file again."
)
_TOOL: Final = "Open it with the program that wrote it and export the table as CSV (UTF-8)."
_DUMP: Final = "Restore it and query the database: [source] url and query, see klaviyo-etl docs sources."
_BYTES: Final = (
    (b"BZh", "bzip2-compressed", "Unpack it first: bunzip2 FILE."),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "Unpack it and run the file that is inside."),
    (b"Rar!", "a RAR archive", "Unpack it and run the file that is inside."),
    (b"%PDF", "a PDF", _TABLE),
    (b"{\\rtf", "a text document (RTF)", _TABLE),
    (b"SQLite format 3\x00", "a SQLite database", "Query it: [source] url and query, see klaviyo-etl docs sources."),
    (b"\x89PNG", "an image", _TABLE),
    (b"\xff\xd8\xff", "an image", _TABLE),
    (b"GIF8", "an image", _TABLE),
    (b"II*\x00", "an image", _TABLE),
    (b"MM\x00*", "an image", _TABLE),
    (b"\x00\x01\x00\x00Standard Jet DB", "an Access database", _TOOL),
    (b"\x00\x01\x00\x00Standard ACE DB", "an Access database", _TOOL),
    (b"!BDN", "an Outlook data file", "Export the contacts in Outlook as CSV."),
    (b"ARROW1\x00\x00", "an Arrow (Feather) file", "Write it as Parquet or CSV (UTF-8), and run that."),
    (b"Obj\x01", "an Avro file", "Write it as Parquet or CSV (UTF-8), and run that."),
    (b"$FL2", "an SPSS file", _TOOL),
    (b"<stata_dta>", "a Stata file", _TOOL),
    (b"bplist00", "an Apple property list", _TABLE),
    (b"PGDMP\x01", "a dump of PostgreSQL", _DUMP),
    (b"MZ\x90\x00", "a program", _TABLE),
    (b"\x7fELF", "a program", _TABLE),
)
_GOOGLE: Final = "Open the sheet and choose File, Download, Comma-separated values."
_SQL: Final = (
    r"(?:(?:--[^\n]*|/\*.*?\*/;?|(?:SET|PRAGMA|USE)\b[^;\n]*;|BEGIN(?: TRANSACTION)?;)\s*)*"
    r"(?:CREATE (?:TABLE|DATABASE)|DROP TABLE|INSERT INTO)\b"
)
_TAR_AT: Final = 257
_TEXTS: Final = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), kind, hint)
    for pattern, kind, hint in (
        (
            r"<\?xml\b.*(?:urn:schemas-microsoft-com:office:spreadsheet|progid=\"Excel)",
            "a workbook in XML (2003)",
            _SAVE,
        ),
        (
            r"(?:<!--.*?-->\s*)*(?:<\?xml[^>]*>\s*)?<(?:!doctype\s+html|html|head|body|meta|table|script)\b",
            "HTML",
            _WEB,
        ),
        (r"<\?xml\b|<!DOCTYPE\b", "XML", _TABLE),
        (r"BEGIN:VCARD\s", "a file of vCards", "Import it into an address book and export that as CSV."),
        (r"BEGIN:VCALENDAR\s", "a calendar (iCalendar)", _TABLE),
        (r"MIME-Version:\s*1\.0\s", "a mail or a web archive (MIME)", _WEB),
        (r"(?:Received|Return-Path|Delivered-To): [^\n]*\n(?:[\w-]+: |[ \t])", "an e-mail", _TABLE),
        (r"%!PS", "PostScript", _TABLE),
        (
            _SQL,
            "SQL",
            _DUMP,
        ),
        (r"(?:version: 1\s+)?dn: [^\n]*=", "a directory (LDIF)", _TABLE),
        (r"\[InternetShortcut\]", "a link to a web page", _WEB),
        (
            r"\{\s*\"(?:\"\s*:\s*\"WARNING! DO NOT EDIT|url\"\s*:\s*\"https://docs\.google\.com/)",
            "a link to a Google document",
            _GOOGLE,
        ),
    )
)


def refuse_foreign(path: Path, head: bytes) -> None:
    """Raise :class:`SourceError` for a file that is known to be something other than a table.

    ``head``: its first :data:`BEGINNING` bytes.
    """
    for magic, kind, hint in _BYTES:
        if head.startswith(magic):
            raise no_table(path, kind, hint)
    if head[_TAR_AT : _TAR_AT + 5] == b"ustar":
        raise no_table(path, "a tar archive", "Unpack it and run the file that is inside.")
    text = _text(head)
    for pattern, kind, hint in _TEXTS:
        if pattern.match(text):
            raise no_table(path, kind, hint)


def _text(head: bytes) -> str:
    codec = "utf-16" if head.startswith((b"\xff\xfe", b"\xfe\xff")) else "latin-1"
    return head.removeprefix(b"\xef\xbb\xbf").decode(codec, "replace").lstrip()


def no_table(path: Path, kind: str, hint: str) -> SourceError:
    """Return the error for a file that is something else."""
    return SourceError("source-binary", f"{path.name} is {kind}, not a table", hint)
