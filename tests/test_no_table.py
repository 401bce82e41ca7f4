"""Files that are no table: named as what they are, with what to do, exit 3; nothing that stands there is printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from etl.cli import _main
from etl.errors import ExitCode

TABLE = "<table><tr><th>Email</th></tr><tr><td>ann@mapleshop.com</td></tr></table>"
OFFICE = "urn:schemas-microsoft-com:office:spreadsheet"
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


@pytest.mark.parametrize("data", [b"<Email>,Name\nann@mapleshop.com,Ann\n", b"Received: ,Email\nx,ann@mapleshop.com\n"])
def test_a_table_that_looks_a_little_like_it_is_read(
    data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.csv").write_bytes(data)
    column = data.split(b"\n")[0].split(b",")[0 if data.startswith(b"<") else 1].decode()
    Path("crm.toml").write_text(f'[columns]\n"{column}" = "email"\n')
    assert _main(["check", "a.csv", "-m", "crm.toml"]) == ExitCode.OK
