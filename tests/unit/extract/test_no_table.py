"""Files that are no table: named as what they are, with what to do, exit 3; nothing that stands there is printed."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest

from etl.cli import _main
from etl.errors import ExitCode, SourceError
from etl.extract import open_source

TABLE = "<table><tr><th>Email</th></tr><tr><td>ann@mapleshop.com</td></tr></table>"
OFFICE = "urn:schemas-microsoft-com:office:spreadsheet"


def zipped(*names: str, **contents: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, contents.get(name, "ann@mapleshop.com"))
    return out.getvalue()


def compound(*names: str) -> bytes:
    """Return the smallest compound file with these streams at its top, as a tree that leans to the right."""
    none = 0xFFFFFFFF
    head = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<HHHH", 0x3E, 3, 0xFFFE, 9) + bytes(12)
    head += struct.pack("<6I", 1, 1, 0, 4096, 0xFFFFFFFE, 0) + struct.pack("<2I", 0xFFFFFFFE, 0)
    head += struct.pack("<109I", 0, *[none] * 108)
    table = struct.pack("<128I", 0xFFFFFFFD, 0xFFFFFFFE, *[none] * 126)
    entries = b""
    for place, name in enumerate(("Root Entry", *names)):
        text = name.encode("utf-16-le")
        right = place + 1 if 0 < place < len(names) else none
        links = struct.pack("<HBB3I", len(text) + 2, 5 if place == 0 else 2, 1, none, right, none if place else 1)
        entries += text.ljust(64, b"\0") + links + bytes(48)
    return head + table + entries.ljust(512, b"\0") + b"ann@mapleshop.com".ljust(512, b"\0")


def tarred() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("ann@mapleshop.com.csv"))
    return out.getvalue()


OPEN_DOCUMENT = "application/vnd.oasis.opendocument."
FOREIGN = {
    "a page named .xls": ("a.xls", f"<html><body>{TABLE}</body></html>".encode(), "HTML"),
    "a table alone": ("a.xls", TABLE.encode(), "HTML"),
    "a login page": ("a.csv", b"\xef\xbb\xbf\r\n<!DOCTYPE html>\n<title>ann@mapleshop.com</title>", "HTML"),
    "a page of UTF-16": ("a.csv", f"<html>{TABLE}</html>".encode("utf-16"), "HTML"),
    "XHTML": ("a.xls", f'<?xml version="1.0"?>\n<html>{TABLE}</html>'.encode(), "HTML"),
    "a page behind a comment": ("a.xls", f"<!-- by us --><html>{TABLE}</html>".encode(), "HTML"),
    "XML 2003": (
        "a.xls",
        f'<?xml version="1.0"?>\n<Workbook xmlns="{OFFICE}">ann@mapleshop.com'.encode(),
        "XML (2003)",
    ),
    "other XML": ("a.csv", b'<?xml version="1.0"?>\n<people><p mail="ann@mapleshop.com"/></people>', "XML"),
    "vCards": ("a.csv", b"BEGIN:VCARD\r\nVERSION:3.0\r\nEMAIL:ann@mapleshop.com\r\nEND:VCARD\r\n", "vCards"),
    "a calendar": ("a.csv", b"BEGIN:VCALENDAR\nATTENDEE:ann@mapleshop.com\n", "iCalendar"),
    "an e-mail": ("a.csv", b"Return-Path: <ann@mapleshop.com>\nTo: bob@mapleshop.com\n\nHi", "e-mail"),
    "a web archive": ("a.xls", b"MIME-Version: 1.0\nContent-Type: text/html\n\nann@mapleshop.com", "MIME"),
    "a PDF": ("a.csv", b"%PDF-1.7\nann@mapleshop.com", "PDF"),
    "an image": ("a.csv", b"GIF89a ann@mapleshop.com", "image"),
    "Numbers": ("a.numbers", zipped("Index/Document.iwa", "Index/Tables/DataList.iwa"), "a Numbers document"),
    "Numbers named .xlsx": ("a.xlsx", zipped("Index.zip", "preview.jpg"), "an iWork document"),
    "Pages": ("a.pages", zipped("Index/Document.iwa"), "a Pages document"),
    "Word": ("a.docx", zipped("[Content_Types].xml", "word/document.xml"), "a Word document"),
    "Word named .xlsx": ("a.xlsx", zipped("[Content_Types].xml", "word/document.xml"), "a Word document"),
    "PowerPoint": ("a.pptx", zipped("[Content_Types].xml", "ppt/presentation.xml"), "a PowerPoint presentation"),
    "OpenDocument": ("a.odt", zipped("mimetype", mimetype=f"{OPEN_DOCUMENT}text"), "a text document (OpenDocument)"),
    "a book": ("a.zip", zipped("mimetype", mimetype="application/epub+zip"), "EPUB"),
    "an Outlook message": ("a.msg", compound("__nameid_version1.0", "__properties_version1.0"), "an Outlook message"),
    "old Word": ("a.xls", compound("1Table", "WordDocument"), "a Word document"),
    "old PowerPoint": ("a.csv", compound("PowerPoint Document"), "a PowerPoint presentation"),
    "an archive of tar": ("a.csv", tarred(), "a tar archive"),
    "an Access database": ("a.csv", b"\0\1\0\0Standard ACE DB\0ann@mapleshop.com", "an Access database"),
    "a dump": ("a.csv", b"-- MySQL dump 10.13\n--\nDROP TABLE IF EXISTS `c`;\nann@mapleshop.com", "SQL"),
    "inserts": ("a.csv", b"INSERT INTO c VALUES ('ann@mapleshop.com');", "SQL"),
    "a link to a sheet": (
        "a.csv",
        b'{"url": "https://docs.google.com/open?id=1", "email": "ann@mapleshop.com"}',
        "a Google document",
    ),
    "a shortcut": ("a.csv", b"[InternetShortcut]\r\nURL=https://mapleshop.com\r\n", "a link to a web page"),
    "a directory": ("a.csv", b"dn: cn=Ann,dc=mapleshop\nmail: ann@mapleshop.com\n", "LDIF"),
    "called JSON": ("a.json", b"Email,Name\nann@mapleshop.com,Ann\n", "is called JSON and is none"),
    "RTF": ("a.csv", b"{\\rtf1 ann@mapleshop.com}", "RTF"),
}


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("command", [["check", "-m", "crm.toml"], ["init", "--yes"]])
def test_what_is_no_table_is_named(
    name: str, command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    file, data, kind = FOREIGN[name]
    Path(file).write_bytes(data)
    Path("crm.toml").write_text('[columns]\n"Email" = "email"\n')
    assert _main([command[0], file, *command[1:]]) == ExitCode.NOT_STARTED
    said = capsys.readouterr()
    assert "error [source-binary]: " in said.err
    assert kind in said.err
    assert "hint: " in said.err
    assert "mapleshop" not in said.err + said.out


@pytest.mark.parametrize(
    "data",
    [
        b"<Email>,Name\nann@mapleshop.com,Ann\n",
        b"Received: ,Email\nx,ann@mapleshop.com\n",
        b"Set name;Email\nx;ann@mapleshop.com\n",
        b"[Id],Email\nx,ann@mapleshop.com\n",
    ],
)
def test_a_table_that_looks_a_little_like_it_is_read(
    data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.csv").write_bytes(data)
    column = next(name for name in data.split(b"\n")[0].decode().replace(";", ",").split(",") if "Email" in name)
    Path("crm.toml").write_text(f'[columns]\n"{column}" = "email"\n')
    assert _main(["check", "a.csv", "-m", "crm.toml"]) == ExitCode.OK


def test_an_archive_of_files_is_unpacked_whatever_its_name_is(tmp_path: Path) -> None:
    """A ZIP archive of one table reads as that, and names what else is in it; a workbook in one stays a workbook."""
    (tmp_path / "a.xlsx").write_bytes(zipped("people.csv", **{"people.csv": "Email\nann@mapleshop.com\n"}))
    with open_source(tmp_path / "a.xlsx") as source:
        assert [chunk.frame["Email"].tolist() for chunk in source.chunks()] == [["ann@mapleshop.com"]]
    word = zipped("[Content_Types].xml", "word/document.xml")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("list.docx", word)
    with pytest.raises(SourceError, match=r"list\.docx is a Word document, not a table"):
        open_source(tmp_path / "b.zip")
    broken = compound("WordDocument")[:700]
    (tmp_path / "c.doc").write_bytes(broken)
    with pytest.raises(SourceError):
        open_source(tmp_path / "c.doc")
