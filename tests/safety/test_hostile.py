"""Hostile cells, headers, names and messages: they stay text. And nothing personal, and no key, leaves by any way."""

from __future__ import annotations

import csv
import html.parser
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from etl import pipeline
from etl.errors import ExitCode, UsageError
from etl.report import render_html
from etl.sandbox import SANDBOX_KEY, Response, SandboxServer, SandboxSettings, parse_faults
from tests.support.command_line import told
from tests.support.expected import SAMPLES
from tests.support.importer import ImporterFixture

SCRIPT = "<script>alert(1)</script>"


class Tags(html.parser.HTMLParser):
    """Counts tags, and attributes that would run something or fetch it."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.risky: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.risky += [
            f"{name}={value}"
            for name, value in attrs
            if name.startswith("on")
            or (name in {"src", "href", "action"} and not str(value).startswith(("#", "data:image/svg+xml")))
        ]


def test_the_html_report_escapes_whatever_it_shows(tmp_path: Path) -> None:
    """A list, a header, a file, an account and a message of Klaviyo that are scripts."""
    desk = ImporterFixture(tmp_path, lists=(SCRIPT,))
    desk.source = tmp_path / "<img src=x onerror=alert(2)>.csv"
    header = ("Id", f"Mail {SCRIPT}", '"><svg onload=alert(3)>')
    desk.write([("", "no address", "x"), ("2", "a@sandbox-refused.com", "y")], header)
    desk.mapping = {
        "columns": {header[0]: "external_id", header[1]: "email", header[2]: "properties.x"},
        "load": {"list": SCRIPT, "small_run": 0},
    }
    answer = desk.sandbox.handle

    def nasty(request: Any) -> Any:
        result = answer(request)
        assert isinstance(result, Response)
        return replace(result, body=result.body.replace(b"Invalid email address", SCRIPT.encode()))

    desk.sandbox.handle = nasty  # type: ignore[method-assign]
    report = desk.run()
    desk.sandbox.close()
    assert SCRIPT in str(report.lists)
    assert any(group.detail == SCRIPT for group in report.issues)
    page = render_html(report)
    seen = Tags()
    seen.feed(page)
    assert seen.tags.count("script") == 1
    assert not {"img", "iframe", "object", "embed"} & set(seen.tags)
    assert not seen.risky
    assert "http" not in page.replace("http-equiv", "")


@pytest.mark.parametrize("formula", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1"])
def test_a_formula_cannot_run_in_a_rejects_file_and_comes_back_unchanged(formula: str, desk: ImporterFixture) -> None:
    desk.write([("", "no address", formula)])
    first = desk.run()
    rejects = desk.context.output / first.run / "rejects.csv"
    assert rejects.stat().st_mode & 0o077 == 0
    with rejects.open(encoding="utf-8-sig", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["Name"].startswith("'")
    desk.source.write_bytes(rejects.read_bytes().replace(b"no address", b"ann@mapleshop.com"))
    assert desk.run().tally.loaded == 1
    (profile,) = desk.sandbox.dump().splitlines()
    assert formula.strip().encode("unicode_escape").replace(b'"', b'\\"') in profile.replace(b"\\t", b"").replace(
        b"\\n", b""
    )


@pytest.mark.parametrize(("cell", "meant"), [("'=1", "=1"), ("''=1", "'=1"), ('="x"\n', "x"), ("'01085", "01085")])
def test_what_a_spreadsheets_mark_protects_comes_back_as_it_was_read(
    cell: str, meant: str, desk: ImporterFixture
) -> None:
    """The mark is taken off once: of a rejects file only the guard, which is ours, is taken off."""
    desk.write([("", "no address", cell)])
    first = desk.run()
    rejects = desk.context.output / first.run / "rejects.csv"
    desk.source.write_bytes(rejects.read_bytes().replace(b"no address", b"ann@mapleshop.com"))
    assert desk.run().tally.loaded == 1
    (profile,) = desk.sandbox.dump().splitlines()
    assert f'"first_name":"{meant}"'.encode() in profile


@pytest.mark.parametrize(("delimiter", "encoding"), [(";", "cp1252"), (",", "utf-16"), ("|", "utf-8")])
def test_a_rejects_file_runs_with_the_mapping_of_its_source(
    delimiter: str, encoding: str, desk: ImporterFixture
) -> None:
    """Whatever delimiter and encoding the mapping names, and whatever its headers begin with."""
    header = ("=Id", "+Email", "@Name", "_line")
    text = "\n".join(delimiter.join(row) for row in (header, ("", "no address", "José", "7"), ("2", "", "Ann", "8")))
    desk.source.write_text(text, encoding=encoding)
    desk.mapping["columns"] = {"=Id": "external_id", "+Email": "email", "@Name": "first_name", "_line": "title"}
    desk.mapping["source"] = {"delimiter": delimiter, "encoding": encoding}
    first = desk.run()
    assert (first.tally.rejected, first.tally.loaded) == (1, 1)
    rejects = desk.context.output / first.run / "rejects.csv"
    desk.source.write_bytes(rejects.read_bytes().replace(b"no address", b"jose@mapleshop.com"))
    second = desk.run()
    assert (second.parent, second.tally.read, second.tally.loaded) == (first.run, 1, 1)
    assert '"first_name":"José"' in desk.sandbox.dump().decode()
    assert '"title":"7"' in desk.sandbox.dump().decode()


@pytest.mark.parametrize("run_id", ["../../etc/passwd", "..", "/etc/passwd", "", "a/b", "x' OR '1'='1", "\0", SCRIPT])
def test_a_run_id_is_looked_up_and_never_a_path(run_id: str, desk: ImporterFixture) -> None:
    desk.write(2)
    desk.run()
    if not run_id:
        assert pipeline.get_report(run_id, context=desk.context).tally.loaded == 2
        return
    with pytest.raises(UsageError) as refused:
        pipeline.get_report(run_id, context=desk.context, folder=desk.folder / "elsewhere")
    assert refused.value.exit_code == ExitCode.USAGE
    assert not (desk.folder / "elsewhere").exists()


def test_no_output_holds_the_key_or_anybody_s_address(tmp_path: Path) -> None:
    """Every message, log and report of a run full of errors, with faults, is searched for every address and the key."""
    with (SAMPLES / "every_error.csv").open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        secrets = {cell for row in csv.reader(line.replace("\0", "") for line in file) for cell in row if "@" in cell}
    secrets |= {SANDBOX_KEY, "+442079460123", "07123 456 701", "+447123456701"}
    assert len(secrets) > 40
    mapping = (SAMPLES / "every_error.toml").read_text(encoding="utf-8")
    (tmp_path / "people.toml").write_text(mapping, encoding="utf-8")
    (tmp_path / "people.csv").write_bytes((SAMPLES / "every_error.csv").read_bytes())
    rules = [
        {"fault": "error_json", "probability": 0.2},
        {"fault": "answer_lost", "probability": 0.1},
        {"fault": "counters_null", "endpoint": "POST /api/profile-bulk-import-jobs"},
    ]
    said = ""
    with SandboxServer(SandboxSettings(lists=("Everyone", "VIP"), limits="off")) as server:
        reach = {"KLAVIYO_PRIVATE_KEY": SANDBOX_KEY, "KLAVIYO_BASE_URL": server.url}
        for arguments in (
            ("run", "people.csv", "--debug"),
            ("resume", "--debug", "--log-format", "json"),
            ("verify",),
            ("report", "--format", "json"),
            ("report", "--format", "html"),
            ("runs", "--format", "json"),
            ("rejects", "--to", "rejects.csv"),
            ("doctor", "--list", "Everyone"),
        ):
            server.sandbox.set_faults(parse_faults({"seed": 3, "rules": rules if arguments[0] == "run" else []}))
            said += told(tmp_path, *arguments, **reach)[1]
    assert "read back" in said
    for path in sorted((tmp_path / "runs").rglob("*")):
        if path.name in {"rejects.csv", "warnings.csv"}:  # people's own data, for their owner's eyes
            assert path.stat().st_mode & 0o077 == 0, path.name
        elif path.is_file():
            said += path.read_text(encoding="utf-8")
    found = sorted(secret for secret in secrets if secret in said)
    assert not found
    for name in ("klaviyo-etl.db", "rejects.csv"):
        assert (tmp_path / name).stat().st_mode & 0o077 == 0, name
