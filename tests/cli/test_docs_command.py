"""The pages travel with the program, and every code that people may see is explained in them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.error_codes import error_codes
from etl.cli.manual.pages import page, rows_about, topics
from etl.codes import CODES
from etl.errors import ExitCode
from tests.support.command_line import spoken
from tests.support.paths import ROOT


def test_a_topic_is_shown_and_the_topics_are_listed(tmp_path: Path) -> None:
    code, out, _ = spoken(tmp_path, "docs")
    assert (code, [line.split()[0] for line in out.splitlines()]) == (0, list(topics()))
    for topic in topics():
        code, out, _ = spoken(tmp_path, "docs", topic)
        assert code == 0
        assert out.startswith("# ")
        assert "<!--" not in out


def test_every_code_is_explained() -> None:
    listed = set(re.findall(r"^\| `([a-z0-9-]+)` \|", page("codes"), re.MULTILINE))
    assert listed == {*CODES, *(one.code for one in error_codes())}
    for code in ("email-invalid", "key-refused", "encoding-doubtful", "state-disk-full"):
        (topic, row), *_ = rows_about(code)
        assert (topic, row["code"]) == ("codes", f"`{code}`")


def test_an_explanation_fits_a_terminal(tmp_path: Path) -> None:
    for name in ("email-invalid", "key-refused", "text-mojibake", "query-unordered"):
        code, out, _ = spoken(tmp_path, "explain", name)
        assert code == 0
        assert "what to do" in out
        assert max(map(len, out.splitlines())) <= 80
        assert not re.search(r"`|\]\(", out)


@pytest.mark.parametrize(
    ("command", "name", "hint"),
    [
        ("docs", "maping", "Did you mean 'mapping'?"),
        ("docs", "../README", "The topics: klaviyo-etl docs"),
        ("explain", "email-invalit", "Did you mean 'email-invalid'?"),
        ("explain", "zzz", "All of them: klaviyo-etl docs codes"),
    ],
)
def test_what_is_not_there(tmp_path: Path, command: str, name: str, hint: str) -> None:
    code, _, said = spoken(tmp_path, command, name)
    assert code == ExitCode.USAGE
    assert hint in said


def test_a_page_that_a_message_names_is_there() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "etl").rglob("*.py"))
    named = set(re.findall(r"klaviyo-etl docs (\w+)", sources))
    assert len(named) > 5
    for topic in named:
        assert page(topic)
