"""What ``init`` asks and shows on a terminal: real cells, answers in many languages, an end at once, 80 columns."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import unicodedata
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from etl.cli.answers import agreed, confirm
from etl.cli.commands.init import _answer
from etl.cli.commands.init import init as command
from etl.cli.signals import Signals
from etl.config import load_mapping
from etl.console import Console
from etl.discover import Question
from etl.errors import ExitCode
from tests.support.cli_process import start_at_terminal

TABLE = "Email,Newsletter,Joined,Umsatz\n" + "".join(
    f"p{number}@mapleshop.com,{'vielleicht' if number == 2 else ('ja', 'nein')[number % 2]},03/04/2025,1.234\n"
    for number in range(20)
)


def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("etl.console.Console.interactive", property(lambda _self: True))
    monkeypatch.setattr(sys.modules["etl.cli.commands.init"], "on_terminal", lambda: True)


@pytest.mark.parametrize("word", ["y", "Y", "yes", "j", "Ja", "o", "OUI", "s", "sí", " sim ", "tak", "да", "はい"])
def test_yes_is_understood(word: str) -> None:
    assert agreed(word) is True


@pytest.mark.parametrize("word", ["n", "no", "Nein", "NON", "não", "nee", "нет", "いいえ"])
def test_no_is_understood(word: str) -> None:
    assert agreed(word) is False


def test_a_question_of_yes_or_no_takes_no_other_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enter is no, and what is neither is asked again."""
    said = iter(["maybe", "oui", ""])
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _prompt="": next(said))
    signals = Signals(Console())
    assert confirm("Send?", signals)
    assert not confirm("Send?", signals)
    assert list(said) == []


def test_yes_takes_what_is_proposed_and_no_the_only_other_choice() -> None:
    two = Question("x", "?", {"state": "a", "nobody": "b"}, "state")
    three = Question("x", "?", {"1": "a", "2": "b", "text": "c"}, "text")
    assert [_answer(two, word) for word in ("j", "o", "s", "n", "nein", "2", "NOBODY")] == [
        *["state"] * 3,
        *["nobody"] * 4,
    ]
    assert _answer(three, "sí") == "text"
    for word in ("no", "4", "0", "", "perhaps"):
        with pytest.raises(click.UsageError, match="type a number from 1 to 3"):
            _answer(three, word)


def test_questions_show_cells_and_what_becomes_of_them_and_the_file_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("people.csv").write_text(TABLE, encoding="utf-8")
    on_a_terminal(monkeypatch)
    run = CliRunner().invoke(command, ["people.csv"], input="subscribe\nmonth\n2\n1\n")
    assert run.exit_code == 0, run.output
    asked = " ".join(run.output.split())
    assert "ja → subscribed, nein → nothing, vielleicht → nothing" in asked
    assert "ja → nothing, nein → unsubscribed, vielleicht → not understood: nobody is" in asked
    assert "03/04/2025 → 2025-04-03" in asked
    assert "03/04/2025 → 2025-03-04" in asked
    assert "1.234 → 1234" in asked
    assert "1.234 → left out" in asked
    text = Path("people.toml").read_text(encoding="utf-8")
    assert not re.search(r"vielleicht|03/04/2025|1\.234", text)
    mapping = load_mapping(Path("people.toml"))
    assert mapping.columns["Newsletter"].to == "consent.email"
    assert mapping.columns["Joined"].format == "%m/%d/%Y"
    assert mapping.columns["Umsatz"].decimal == "."


def test_where_the_input_ends_the_rest_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("people.csv").write_text(TABLE, encoding="utf-8")
    on_a_terminal(monkeypatch)
    run = CliRunner().invoke(command, ["people.csv"], input="")
    assert run.exit_code == 0, run.output
    assert run.output.count("Which") == 1
    assert load_mapping(Path("people.toml")).columns["Joined"].type == "text"


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_what_is_shown_fits_the_terminal(columns: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", str(columns))
    header = "Email,A very long name of a column that nobody gives,備考と説明の長い欄と名前,Newsletter,Empty,Joined"
    row = "ann{}@mapleshop.com,some words of some length,山田太郎様と奥様と子供たち全員,yes,,03/04/2025"
    lines = [header, *(row.format(number) for number in range(5))]
    Path("people.csv").write_text("\n".join(lines), encoding="utf-8")
    run = CliRunner().invoke(command, ["people.csv", "--yes"])
    assert run.exit_code == 0, run.output
    shown = [line for line in run.output.splitlines() if not line.startswith("Written")]
    assert len(shown) > 12
    for line in shown:
        wide = sum(1 + (unicodedata.east_asian_width(letter) in "WF") for letter in line)
        assert wide <= min(columns, 100), line
    assert "Joined" in run.output
    assert "consent.email_optout"[:8] in run.output


def test_ctrl_c_at_a_question_ends_at_once_and_writes_nothing(tmp_path: Path) -> None:
    """On a terminal of its own: exit 130, no trace, no file."""
    (tmp_path / "people.csv").write_text(TABLE, encoding="utf-8")
    child, terminal = start_at_terminal(tmp_path, "init", "people.csv")
    shown = b""
    while b"Which [" not in shown:
        shown += os.read(terminal, 65536)
    child.send_signal(signal.SIGINT)  # what Ctrl-C sends, once
    with contextlib.suppress(OSError):  # the end, once nobody is at the other end
        while part := os.read(terminal, 65536):
            shown += part
    code = child.wait()
    os.close(terminal)
    text = shown.decode()
    assert code == ExitCode.SIGINT
    assert "Stopped at the question: nothing was written" in text
    assert "Traceback" not in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["people.csv"]


def test_an_interrupt_that_python_ignored_is_raised_again() -> None:
    """What a handler raises in a finalizer is lost; the question would wait for a key that nobody presses."""
    signals = Signals(Console())
    with signals.caught(), signals.questioning():
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGALRM)
