"""The commands as people use them: over real HTTP against the sandbox, in a folder of their own."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from etl.cli import _main
from etl.cli.signals import Signals
from etl.console import Console
from etl.errors import ExitCode
from etl.model import Progress
from etl.sandbox import SANDBOX_KEY, SandboxServer, SandboxSettings

MAPPING = '[columns]\n"Email" = "email"\n"Name" = "first_name"\n[load]\nlist = "Newsletter"\nsmall_run = 0\n'
ROWS = [
    ["ann@mapleshop.com", "Ann"],
    ["bob@mapleshop.com", "=Bob"],
    ["no address", "Cat"],
    ["ann@mapleshop.com", "Anna"],
]


@pytest.fixture
def server() -> Iterator[SandboxServer]:
    with SandboxServer(SandboxSettings(lists=("Newsletter",), job_seconds=0.05)) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: SandboxServer) -> Path:
    """A folder whose .env has the key, where the environment reaches the sandbox."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("KLAVIYO_"):
            monkeypatch.delenv(name)
    (tmp_path / ".env").write_text(f"KLAVIYO_PRIVATE_KEY={SANDBOX_KEY}\n", encoding="utf-8")
    monkeypatch.setenv("KLAVIYO_BASE_URL", server.url)
    with (tmp_path / "people.csv").open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([["Email", "Name"], *ROWS])
    (tmp_path / "people.toml").write_text(MAPPING, encoding="utf-8")
    return tmp_path


def only_run(folder: Path) -> Path:
    (run,) = (folder / "runs").iterdir()
    return run


def test_run_prints_the_sum_and_leaves_its_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _main(["run", "people.csv"]) == ExitCode.ROWS_NOT_LOADED
    said = capsys.readouterr()
    assert "= 4  rows read: every row is accounted for" in said.out
    assert "flows triggered by 'Added to list' may fire" in said.err
    files = {path.name for path in only_run(folder).iterdir()}
    assert files == {"report.html", "report.json", "report.txt", "rejects.csv", "manifest.json"}
    assert (only_run(folder) / "report.txt").read_text(encoding="utf-8") == said.out
    manifest = orjson.loads((only_run(folder) / "manifest.json").read_bytes())
    assert manifest["counts"] == {
        "read": 4, "loaded": 2, "unchanged": 0, "duplicate": 1, "rejected": 1, "failed": 0, "different": 0,
        "unknown": 0, "pending": 0,
    }  # fmt: skip
    assert len(manifest["source_facts"]["sha256"]) == 64
    assert len(manifest["jobs"]) == 1


def test_the_report_is_the_same_again_and_comes_in_three_forms(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _main(["run", "people.csv", "--quiet"])
    assert capsys.readouterr().out == ""
    for form, name in (("text", "report.txt"), ("json", "report.json"), ("html", "report.html")):
        assert _main(["report", "--format", form]) == ExitCode.OK
        assert capsys.readouterr().out == (only_run(folder) / name).read_text(encoding="utf-8")
    assert _main(["report", only_run(folder).name, "--format", "html", "--to", "again.html"]) == ExitCode.OK
    again = (folder / "again.html").read_text(encoding="utf-8")
    assert f'href="runs/{only_run(folder).name}/rejects.csv"' in again, "a link leads to the folder from anywhere"
    at_home = again.replace(f"runs/{only_run(folder).name}/", "")
    assert at_home == (only_run(folder) / "report.html").read_text(encoding="utf-8")


def test_rejects_are_corrected_and_run_as_they_are(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _main(["run", "people.csv", "--quiet"])
    assert _main(["rejects", "--to", "fix.csv"]) == ExitCode.OK
    with Path("fix.csv").open(encoding="utf-8-sig", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["Email"], row["Name"], row["_line"]) == ("no address", "Cat", "4")
    assert {"email-invalid", "identifier-missing"} == set(row["_code"].split(" | "))
    Path("fix.csv").write_text(
        Path("fix.csv").read_text(encoding="utf-8-sig").replace("no address", "cat@mapleshop.com"), encoding="utf-8"
    )
    capsys.readouterr()
    assert _main(["run", "fix.csv", "-m", "people.toml", "--format", "json"]) == ExitCode.OK
    report = orjson.loads(capsys.readouterr().out)
    assert (report["tally"]["loaded"], report["parent"]) == (1, only_run_before(folder, report["run"]))


def only_run_before(folder: Path, run: str) -> str:
    (earlier,) = (path.name for path in (folder / "runs").iterdir() if path.name != run)
    return earlier


def test_runs_lists_them_newest_first(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert folder
    _main(["check", "people.csv", "--quiet"])
    _main(["run", "people.csv", "--quiet"])
    capsys.readouterr()
    assert _main(["runs"]) == ExitCode.OK
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines[2:]] == ["run", "check"]
    assert _main(["runs", "--format", "json", "-n", "1"]) == ExitCode.OK
    assert orjson.loads(capsys.readouterr().out)["command"] == "run"


def test_check_needs_no_key_and_touches_no_network(
    folder: Path, server: SandboxServer, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / ".env").unlink()
    assert _main(["check", "people.csv"]) == ExitCode.ROWS_NOT_LOADED
    assert "klaviyo-etl rejects" in capsys.readouterr().out
    assert not server.sandbox.requests


def test_a_flag_wins_over_the_environment_and_that_over_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / ".env").write_text("KLAVIYO_ETL_STATE=file.db\n", encoding="utf-8")
    _main(["check", "people.csv", "--quiet"])
    monkeypatch.setenv("KLAVIYO_ETL_STATE", "environment.db")
    _main(["check", "people.csv", "--quiet"])
    _main(["check", "people.csv", "--quiet", "--state", "flag.db"])
    assert capsys.readouterr().out == ""
    assert {path.name for path in folder.glob("*.db")} == {"file.db", "environment.db", "flag.db"}


def test_a_rehearsal_needs_nothing_and_keeps_its_account(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / ".env").unlink()
    with (folder / "people.toml").open("a", encoding="utf-8") as mapping:
        mapping.write('[guards]\nexpect_account = "AbC123"\n')
    assert _main(["run", "people.csv", "--sandbox"]) == ExitCode.ROWS_NOT_LOADED
    assert "Nothing leaves here" in capsys.readouterr().err
    assert _main(["verify", "--sandbox"]) == ExitCode.ROWS_NOT_LOADED
    assert re.search(r"confirmed +2\b", capsys.readouterr().out)


def test_doctor_says_of_each_thing_whether_it_is_well(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert folder
    assert _main(["doctor", "--list", "Newsletter"]) == ExitCode.OK
    said = capsys.readouterr().out
    for name in (
        "key",
        "account",
        "state",
        "revision",
        "scope lists",
        "scope profiles",
        "scope imports",
        "clock",
        "list",
    ):
        assert re.search(rf"ok +{name} ", said), name
    assert _main(["doctor", "--list", "Newsleter"]) == ExitCode.NOT_STARTED
    assert re.search(r"problem +list .*\n +-> \S", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("variable", "value", "name"),
    [("KLAVIYO_PRIVATE_KEY", "AbC123", "key"), ("KLAVIYO_REVISION", "2024-10-15", "revision")],
)
def test_doctor_names_a_public_key_and_a_retired_revision(
    *,
    variable: str,
    value: str,
    name: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert folder
    monkeypatch.setenv(variable, value)
    assert _main(["doctor"]) == ExitCode.NOT_STARTED
    said = capsys.readouterr().out
    assert re.search(rf"problem +{name} .*\n +-> \S", said)
    assert ("public API key" in said) == (name == "key")


def test_the_first_write_to_an_account_is_asked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a terminal, once, after what plan would print; a no sends nothing and gives the run up."""
    asked: list[str] = []

    def no(question: str, **_: object) -> bool:
        asked.append(question)
        return False

    monkeypatch.setattr("click.prompt", no)
    monkeypatch.setattr(Console, "interactive", property(lambda _self: True))
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": staticmethod(lambda: True)})())
    monkeypatch.setattr(Console, "progress", lambda _self, _progress: None)
    assert _main(["run", "people.csv"]) == ExitCode.USAGE
    assert len(asked) == 1
    assert "Send 2 rows to account SBX001 (Sandbox Store)" in asked[0]
    assert "2  would be created" in capsys.readouterr().err
    assert _main(["run", "people.csv", "--yes", "--quiet"]) == ExitCode.ROWS_NOT_LOADED
    assert _main(["run", "people.csv"]) == ExitCode.ROWS_NOT_LOADED
    assert len(asked) == 1
    assert "would be created" not in capsys.readouterr().err
    assert len(list((folder / "runs").iterdir())) >= 2


def test_a_pilot_reads_the_first_rows_only(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert folder
    assert _main(["run", "people.csv", "--limit", "2", "--format", "json"]) == ExitCode.OK
    assert orjson.loads(capsys.readouterr().out)["tally"]["read"] == 2


def test_progress_is_silent_without_a_terminal_and_json_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    Console().progress(Progress("load", 5, 10, "rows"))
    assert capsys.readouterr().err == ""
    console = Console(log_format="json")
    for done in range(101):
        console.progress(Progress("load", done, 100, "rows"))
    lines = [orjson.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["done"] for line in lines] == list(range(0, 101, 10))


def test_a_second_signal_does_not_wait(capsys: pytest.CaptureFixture[str]) -> None:
    import signal  # noqa: PLC0415

    signals = Signals(Console())
    signals._take(signal.SIGTERM, None)
    assert signals.should_stop()
    assert signals.exit_code == ExitCode.SIGTERM
    assert "finished first" in capsys.readouterr().err
    with pytest.raises(KeyboardInterrupt):
        signals._take(signal.SIGTERM, None)
