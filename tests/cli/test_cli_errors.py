"""A user's mistakes: one clear message with a code and a hint, the right exit code, never a traceback."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from etl.cli import _main
from etl.errors import ExitCode
from etl.sandbox import SANDBOX_KEY, SandboxServer, SandboxSettings
from tests.support.command_line import FastClock
from tests.support.paths import ROOT

MAPPING = '[columns]\n"Email" = "email"\n"Name" = "first_name"\n'
SOURCE = "Email,Name\nann@mapleshop.com,Ann\n"


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxServer]:
    with SandboxServer(SandboxSettings(lists=("Newsletter",))) as running:
        yield running


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: SandboxServer) -> Path:
    """A folder with a source, its mapping, and a key that works."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("KLAVIYO_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("KLAVIYO_PRIVATE_KEY", SANDBOX_KEY)
    monkeypatch.setenv("KLAVIYO_BASE_URL", server.url)
    (tmp_path / "people.csv").write_text(SOURCE, encoding="utf-8")
    (tmp_path / "people.toml").write_text(MAPPING, encoding="utf-8")
    return tmp_path


def without_key(_desk: Path, patch: pytest.MonkeyPatch) -> None:
    patch.delenv("KLAVIYO_PRIVATE_KEY")


def with_key(key: str) -> Callable[[Path, pytest.MonkeyPatch], object]:
    return lambda _desk, patch: patch.setenv("KLAVIYO_PRIVATE_KEY", key)


def source(data: bytes) -> Callable[[Path, pytest.MonkeyPatch], object]:
    return lambda desk, _patch: (desk / "people.csv").write_bytes(data)


def mapping(text: str) -> Callable[[Path, pytest.MonkeyPatch], object]:
    return lambda desk, _patch: (desk / "people.toml").write_text(text, encoding="utf-8")


def missing(name: str) -> Callable[[Path, pytest.MonkeyPatch], object]:
    return lambda desk, _patch: (desk / name).unlink()


def unreadable(_desk: Path, patch: pytest.MonkeyPatch) -> None:
    """Refuse to open it: permissions would not stop a test that runs as root."""
    real = Path.open

    def refusing(self: Path, *rest: Any, **options: Any) -> Any:
        if self.name == "people.csv":
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(self, *rest, **options)

    patch.setattr(Path, "open", refusing)


def unreachable(_desk: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("KLAVIYO_BASE_URL", "https://127.0.0.1:9")
    patch.setattr("etl.pipeline.context.SystemClock", FastClock)


def plain_http(_desk: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("KLAVIYO_BASE_URL", "http://klaviyo.example")


def foreign_state(desk: Path, _patch: pytest.MonkeyPatch) -> None:
    (desk / "klaviyo-etl.db").write_bytes(b"this is no database at all, but long enough" * 20)


RUN = ["run", "people.csv"]
CHECK = ["check", "people.csv"]
LIST = '[load]\nlist = "{}"\n'
CASES = {
    "missing key": (RUN, without_key, ExitCode.NOT_STARTED, "key-missing"),
    "public key": (RUN, with_key("AbC123"), ExitCode.NOT_STARTED, "key-public"),
    "no key at all": (RUN, with_key("hunter2-hunter2"), ExitCode.NOT_STARTED, "key-malformed"),
    "wrong key": (RUN, with_key("pk_ffffffffffffffffffffffffffffffffff"), ExitCode.NOT_STARTED, "key-refused"),
    "unreachable": (RUN, unreachable, ExitCode.NOT_STARTED, "klaviyo-unavailable"),
    "plain http": (RUN, plain_http, ExitCode.USAGE, "base-url"),
    "unknown list": (RUN, mapping(MAPPING + LIST.format("Newsleter")), ExitCode.USAGE, "list-unknown"),
    "unexpected account": (
        RUN,
        mapping(MAPPING + '[guards]\nexpect_account = "ZZZ999"\n'),
        ExitCode.GUARD,
        "account-unexpected",
    ),
    "missing column": (CHECK, source(b"Mail,Name\na@b.co,Ann\n"), ExitCode.USAGE, "column-missing"),
    "empty file": (CHECK, source(b""), ExitCode.NOT_STARTED, "source-empty"),
    "binary file": (CHECK, source(bytes(range(256)) * 40), ExitCode.NOT_STARTED, "source-binary"),
    "missing file": (CHECK, missing("people.csv"), ExitCode.NOT_STARTED, "source-not-found"),
    "a folder": (["check", ".", "-m", "people.toml"], None, ExitCode.NOT_STARTED, "source-is-directory"),
    "no file of a pattern": (["check", "*.tsv", "-m", "people.toml"], None, ExitCode.NOT_STARTED, "source-not-found"),
    "several files, no mapping": (["check", "people.csv", "other.csv"], None, ExitCode.USAGE, "mapping-missing"),
    "a pattern, no mapping": (["check", "*.csv"], None, ExitCode.USAGE, "mapping-missing"),
    "unreadable file": (CHECK, unreadable, ExitCode.NOT_STARTED, "source-unreadable"),
    "missing mapping": (CHECK, missing("people.toml"), ExitCode.USAGE, "mapping-missing"),
    "bad TOML": (CHECK, mapping("[columns\nEmail = email"), ExitCode.USAGE, "mapping-not-toml"),
    "unknown target": (CHECK, mapping('[columns]\n"Email" = "emial"\n'), ExitCode.USAGE, "mapping-invalid"),
    "unknown key": (CHECK, mapping(MAPPING + "[guards]\nmin_row = 3\n"), ExitCode.USAGE, "mapping-invalid"),
    "no database": (CHECK, foreign_state, ExitCode.STATE, None),
    "nothing to resume": (["resume"], None, ExitCode.STATE, "state-missing"),
    "unknown run": (["report", "20200101-000000-aaaa"], None, ExitCode.STATE, "state-missing"),
    "unknown command": (["frobnicate"], None, ExitCode.USAGE, None),
    "unknown option": (["run", "--frobnicate"], None, ExitCode.USAGE, None),
    "unknown fault": (["sandbox", "--faults", "people.toml"], None, ExitCode.USAGE, "faults-invalid"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_mistake_gets_a_message_a_code_and_a_hint(
    name: str, desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, spoil, expected, code = CASES[name]
    if spoil is not None:
        spoil(desk, monkeypatch)
    assert _main(arguments) == expected
    said = capsys.readouterr()
    assert "Traceback" not in said.err + said.out
    assert SANDBOX_KEY not in said.err + said.out
    if code is not None:
        assert f"error [{code}]: " in said.err
        assert re.search(r"\nhint: \S", said.err), said.err


def test_a_near_miss_is_named(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (desk / "people.toml").write_text(MAPPING + LIST.format("Newsleter"), encoding="utf-8")
    assert _main(RUN) == ExitCode.USAGE
    assert "'Newsletter'" in capsys.readouterr().err
    (desk / "people.toml").write_text('[columns]\n"Email" = "emial"\n', encoding="utf-8")
    assert _main(RUN) == ExitCode.USAGE
    assert "did you mean 'email'" in capsys.readouterr().err


def test_errors_can_be_json_lines(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (desk / "people.csv").unlink()
    assert _main([*CHECK, "--log-format", "json"]) == ExitCode.NOT_STARTED
    assert capsys.readouterr().err.startswith('{"level":"error","code":"source-not-found"')


def test_a_bug_shows_its_trace_only_when_asked(
    desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_arguments: object, **_options: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("etl.pipeline.check", broken)
    assert _main(CHECK) == ExitCode.BUG
    assert "Traceback" not in capsys.readouterr().err
    assert _main([*CHECK, "--debug"]) == ExitCode.BUG
    assert "Traceback" in capsys.readouterr().err


def test_the_module_is_the_command(desk: Path) -> None:
    """``python -m etl`` and ``klaviyo-etl`` are the same program, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "etl", "check", "people.csv"],
        cwd=desk,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "1  rows read: every row is accounted for" in done.stdout
