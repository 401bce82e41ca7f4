"""What is printed and written of other people's texts: no escape sequence, nobody's address, no half file, no code."""

from __future__ import annotations

import ast
import csv
import errno
import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.errors import ExitCode
from etl.klaviyo import redact
from etl.printable import one_line, printable, printable_json
from etl.report import render_html, render_json, render_text
from etl.sandbox import SANDBOX_KEY, Response, SandboxServer, SandboxSettings
from tests.support.cli_process import start
from tests.support.command_line import spoken, told
from tests.support.importer import ImporterFixture
from tests.support.paths import ROOT

NASTY = "\x1b]0;own\x07\x1b[2J\x9b31m\u202egnp\u2028x\u2066\x85\x7f."
"""A title for the terminal, a cleared screen, a colour by C1, text that reads backwards, a line that is two."""

FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
PEOPLE = "Email,Name\nann@mapleshop.com,Ann\n"
MAPPING = '[columns]\n"Email" = "email"\n"Name" = "first_name"\n'


@pytest.fixture
def server() -> Iterator[SandboxServer]:
    with SandboxServer(SandboxSettings(limits="off", job_seconds=0.0, processing_seconds=0.0)) as running:
        yield running


@pytest.fixture
def reach(server: SandboxServer) -> dict[str, str]:
    return {"KLAVIYO_PRIVATE_KEY": SANDBOX_KEY, "KLAVIYO_BASE_URL": server.url}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    at = tmp_path / "desk"
    at.mkdir()
    (at / "people.csv").write_text(PEOPLE, encoding="utf-8")
    (at / "people.toml").write_text(MAPPING, encoding="utf-8")
    return at


def members(folder: Path, reach: dict[str, str], *people: dict[str, str]) -> None:
    """Put people on a list."""
    told(folder, "lists", "create", "News", **reach)
    for person in people:
        fields = [word for name, value in person.items() for word in ("--set", f"{name}={value}")]
        code, said = told(folder, "profile", "upsert", *fields, "--list", "News", **reach)
        assert code == ExitCode.OK, said


# --- the border


@given(st.text())
def test_nothing_unprintable_crosses_the_border(text: str) -> None:
    assert not FORBIDDEN.search(printable(text))
    assert "\n" not in one_line(text)
    assert printable(printable(text)) == printable(text)
    document = json.dumps({"x": text}, ensure_ascii=False)
    assert not FORBIDDEN.search(printable_json(document))
    assert json.loads(printable_json(document)) == {"x": text}


def test_nothing_is_printed_around_the_border() -> None:
    """Only the console writes to a terminal, and only the sandbox's log of requests to a file of its own."""
    for path in sorted((ROOT / "etl").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if name in {"etl/console.py", "etl/pipeline/staging/worker.py"}:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            assert called != "print", f"{name}:{node.lineno}"
            assert not re.search(r"click\.(echo|secho|style)|print_exc|std(out|err)\.write|logging\.warning", called), (
                f"{name}:{node.lineno} {called}"
            )


def test_a_hostile_header_file_sheet_list_and_account_stay_text(tmp_path: Path) -> None:
    desk = ImporterFixture(tmp_path, lists=(f"List{NASTY}",))
    desk.source = tmp_path / f"people{NASTY}.csv"
    header = ("Id", f"Mail{NASTY}", f"Name{NASTY}")
    desk.write([("1", "no address", "x"), ("2", "ann@mapleshop.com", f"cell{NASTY}")], header)
    desk.mapping = {
        "columns": {header[0]: "external_id", header[1]: "email", header[2]: "properties.x"},
        "load": {"list": f"List{NASTY}", "small_run": 0},
    }
    report = desk.run()
    desk.sandbox.close()
    for text in (render_text(report), render_html(report), render_json(report)):
        assert not FORBIDDEN.search(text)
        assert "own" in text
    for path in (desk.context.output / report.run).iterdir():
        if path.name.startswith(("report", "manifest")):
            assert not FORBIDDEN.search(path.read_text(encoding="utf-8"))


def test_no_command_lets_an_escape_sequence_through(folder: Path, reach: dict[str, str]) -> None:
    (folder / f"x{NASTY}.csv").write_text(f"Email,N{NASTY}\nann@mapleshop.com,x{NASTY}\n", encoding="utf-8")
    (folder / "n.toml").write_text('[columns]\n"Email" = "email"\n', encoding="utf-8")
    name = f"x{NASTY}.csv"
    bad = NASTY.replace("\x00", "")
    members(folder, reach, {"email": "ann@mapleshop.com", "first_name": f"Ann{bad}"})
    told(folder, "lists", "create", f"List{bad}", **reach)
    (folder / "m.toml").write_text('[columns]\n"Email" = "email"\n"No\\u001b[2J" = "title"\n', encoding="utf-8")
    for arguments in (
        ("check", name, "-m", "n.toml"),
        ("check", name, "-m", "m.toml"),
        ("check", f"none{bad}.csv"),
        ("check", "people.csv", "-m", f"none{bad}.toml"),
        ("init", name, "--to", "made.toml", "--yes"),
        ("run", name, "-m", "n.toml", "--yes", "--list", f"List{bad}"),
        ("run", name, "-m", "n.toml", "--yes", "--list", f"None{bad}"),
        ("plan", name, "-m", "n.toml"),
        ("plan", name, "-m", "n.toml", "--format", "json"),
        ("runs",),
        ("runs", "--format", "json"),
        ("report",),
        ("report", "--format", "html"),
        ("report", "--format", "json"),
        ("report", f"run{bad}"),
        ("lists", "find"),
        ("lists", "show", f"List{bad}"),
        ("lists", "show", f"None{bad}"),
        ("lists", "members", "News"),
        ("profile", "get", "ann@mapleshop.com"),
        ("profile", "get", f"none{bad}@x.com"),
        ("check", "people.csv", f"--no{bad}"),
        (f"nothing{bad}",),
        ("check", name, "-m", "n.toml", "--log-format", "json"),
        ("check", f"none{bad}.csv", "--log-format", "json"),
        ("doctor", "--list", f"List{bad}"),
        ("runs", "--state", f"x{bad}.db"),
    ):
        code, said = told(folder, *arguments, **reach)
        assert code != ExitCode.BUG, (arguments, said)
        assert not FORBIDDEN.search(said), (arguments, said)


def test_a_file_name_that_is_no_text_is_no_bug(folder: Path) -> None:
    name = os.fsdecode(b"people\xff.csv")
    try:
        (folder / name).write_text(PEOPLE, encoding="utf-8")
    except OSError:
        pytest.skip("this file system takes text only")
    code, said = told(folder, "check", name, "-m", "people.toml")
    assert code != ExitCode.BUG, said
    said.encode()


# --- words of Klaviyo's


@pytest.mark.parametrize(
    "quoted",
    [
        "bob.stone@othershop.com",
        "BOB+tag@Other-Shop.co.uk",
        '"bob stone"@othershop.com',
        "bob%40othershop.com",
        "bob\uff20othershop.com",
        "jörg@straße.de",
        "bob (at) othershop.com",
        "mailto:bob@othershop.com",
        "+1 (415) 555-0132",
        "415.555.0132",
        "+49 151 / 123 456 78",
        "415\u2011555\u20110132",
        "\u0664\u0661\u0665\u0665\u0665\u0665\u0660\u0661\u0663\u0662",
        "12025550143",
        "1984-02-29",
    ],
)
def test_klaviyo_s_words_name_nobody(quoted: str, tmp_path: Path) -> None:
    desk = ImporterFixture(tmp_path)
    desk.write([("1", "ann@sandbox-refused.com", "Ann")])
    answer = desk.sandbox.handle
    words = f"Invalid email address: a profile with {quoted} is in the way"

    def quoting(request: Any) -> Any:
        result = answer(request)
        assert isinstance(result, Response)
        body = result.body.replace(b"Invalid email address", json.dumps(words, ensure_ascii=False)[1:-1].encode())
        return replace(result, body=body)

    desk.sandbox.handle = quoting  # type: ignore[method-assign]
    report = desk.run()
    desk.sandbox.close()
    assert report.tally.failed == 1
    said = render_text(report) + render_html(report) + render_json(report)
    for path in (desk.context.output / report.run).iterdir():
        said += path.read_text(encoding="utf-8") if path.suffix != ".xlsx" else ""
    assert "is in the way" in said
    for part in re.split(r"\s|%40|@|\uff20", quoted.strip('"')):
        assert len(part.strip("()+/")) < 4 or part not in said, part


def test_what_names_nobody_is_left() -> None:
    words = "Revision 2024-10-15 was retired; at most 10,000 profiles of 5 MB, see field 'phone_number' (code 400)"
    assert redact(words, dates=True) == words


# --- files


def test_an_export_of_people_is_whole_private_and_harmless(folder: Path, reach: dict[str, str]) -> None:
    members(
        folder,
        reach,
        {"email": "ann@mapleshop.com", "first_name": '=HYPERLINK("http://x","y")', "last_name": "+1"},
        {"email": "bob@mapleshop.com", "first_name": "-x", "last_name": "@y"},
    )
    for name in ("members.csv", "old.csv"):
        (folder / "old.csv").write_text("old", encoding="utf-8")
        (folder / "old.csv").chmod(0o644)
        assert told(folder, "lists", "members", "News", "--to", name, **reach)[0] == ExitCode.OK
        assert (folder / name).stat().st_mode & 0o777 == 0o600
        with (folder / name).open(encoding="utf-8", newline="") as file:
            cells = [cell for row in csv.DictReader(file) for cell in row.values()]
        assert len(cells) == 14
        assert not [cell for cell in cells if cell[:1] in {"=", "+", "-", "@"}]
    out = spoken(folder, "lists", "members", "News", **reach)[1]
    assert "'=HYPERLINK" in out
    assert not list(folder.glob("*.part")) + list(folder.glob(".*.part"))


def test_an_export_that_breaks_off_leaves_what_was_there(
    folder: Path, reach: dict[str, str], server: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    members(folder, reach, {"email": "ann@mapleshop.com"}, {"email": "bob@mapleshop.com"})
    (folder / "members.csv").write_text("before", encoding="utf-8")
    seen: list[int] = []
    answer = server.sandbox.handle

    def breaking(request: Any) -> Any:
        if request.path.endswith("/profiles"):
            seen.extend(path.stat().st_mode & 0o777 for path in folder.glob(".members*"))
            return Response(403, b'{"errors":[{"detail":"no"}]}', {})
        return answer(request)

    monkeypatch.setattr(server.sandbox, "handle", breaking)
    code, _ = told(folder, "lists", "members", "News", "--to", "members.csv", **reach)
    assert code == ExitCode.NOT_STARTED
    assert seen == [0o600]
    assert (folder / "members.csv").read_text(encoding="utf-8") == "before"
    assert [path.name for path in folder.iterdir() if "members" in path.name] == ["members.csv"]


@pytest.mark.parametrize(
    "command", [("lists", "members", "News"), ("report",), ("rejects",), ("report", "--format", "html")]
)
def test_a_file_that_cannot_be_written_is_told(folder: Path, reach: dict[str, str], command: tuple[str, ...]) -> None:
    members(folder, reach, {"email": "ann@mapleshop.com"})
    told(folder, "check", "people.csv")
    for to in ("missing/file.csv", "/proc/nothing.csv", "people.csv/file.csv"):
        assert told(folder, *command, "--to", to, **reach)[0] == ExitCode.USAGE


def test_a_device_may_be_written_to(folder: Path, reach: dict[str, str]) -> None:
    members(folder, reach, {"email": "ann@mapleshop.com"})
    for to in ("/dev/null", "/dev/full"):
        mode = Path(to).stat().st_mode
        code, _ = told(folder, "lists", "members", "News", "--to", to, **reach)
        assert code == (ExitCode.OK if to == "/dev/null" else ExitCode.USAGE)
        assert Path(to).stat().st_mode == mode


@pytest.mark.parametrize("why", ["full", "read-only", "a file"])
@pytest.mark.parametrize("bad", [0, 1])
def test_the_outcome_decides_the_exit_code_and_not_the_folder(
    folder: Path, reach: dict[str, str], monkeypatch: pytest.MonkeyPatch, why: str, bad: int
) -> None:
    """A full disk after everything was loaded: the code is the import's, the folder a warning, and no part is left."""
    rows = "ann@mapleshop.com,Ann\n" + "nobody,x\n" * bad
    (folder / "people.csv").write_text(f"Email,Name\n{rows}", encoding="utf-8")
    if why == "a file":
        (folder / "runs").mkdir()
        (folder / "runs" / "sub").write_text("", encoding="utf-8")
        output = "runs/sub/below"
    else:
        output = "runs"
        number = errno.ENOSPC if why == "full" else errno.EROFS
        write = Path.write_bytes

        def failing(path: Path, data: bytes) -> int:
            if "runs" in path.parts:
                write(path, b"")
                raise OSError(number, os.strerror(number))
            return write(path, data)

        monkeypatch.setattr(Path, "write_bytes", failing)
    for command in (("check",), ("run", "--yes")):
        code, said = told(folder, *command, "people.csv", "--output", output, **reach)
        assert code == (ExitCode.ROWS_NOT_LOADED if bad else ExitCode.OK), said
        assert "folder-unwritable" in said
        assert "rows read" in said
    assert not [path for path in (folder / "runs").rglob("*") if path.name.endswith(".part")]


def test_nobody_who_takes_the_output_does_not_change_the_code(folder: Path) -> None:
    (folder / "people.csv").write_text("Email,Name\nnobody,x\n", encoding="utf-8")
    process = start(folder, "check", "people.csv")
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, err = process.communicate()
    assert (process.returncode, "Traceback" in err, "Exception" in err) == (ExitCode.ROWS_NOT_LOADED, False, False)
