"""Letters that may be wrong are shown to a person, and nothing doubtful is sent without a word."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from etl import pipeline
from etl.errors import ExitCode, GuardError
from tests.support.importer import ImporterFixture


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[ImporterFixture]:
    at = ImporterFixture(tmp_path)
    at.mapping = {"columns": {"Email": "email", "Name": "first_name"}, "load": {"small_run": 0}}
    yield at
    at.sandbox.close()


DOUBTFUL = b"Email,Name\nann@mapleshop.com,\xb1\n"
NAMES = ("Gergő", "Győző", "Ödön", "Szűcs", "Tünde", "Ágnes")
CLEAR = "".join(["Email,Name\n", *(f"p{at}@mapleshop.com,{name}\n" for at, name in enumerate(NAMES))]).encode("cp1250")


def test_words_are_shown_on_the_terminal_and_in_no_file(desk: ImporterFixture) -> None:
    desk.source.write_bytes(CLEAR)
    said: list[str] = []
    report = pipeline.run(desk.source, desk.mapping, context=desk.process(announce=said.append))
    assert report.tally.loaded == len(NAMES)
    assert any("Gergő, Győző" in sentence for sentence in said)
    for file in (desk.folder / "runs" / report.run).iterdir():
        if not file.name.startswith("rejects"):
            assert "Gerg" not in file.read_text(encoding="utf-8")


def test_a_doubtful_reading_is_not_sent_without_a_word(desk: ImporterFixture) -> None:
    desk.source.write_bytes(DOUBTFUL)
    with pytest.raises(GuardError) as caught:
        desk.run()
    assert (caught.value.code, caught.value.exit_code) == ("encoding-doubtful", ExitCode.GUARD)
    assert not desk.writes
    assert any(
        "encoding-doubtful" in note for note in pipeline.check(desk.source, desk.mapping, context=desk.context).notes
    )
    assert any(
        "encoding-doubtful" in each
        for each in pipeline.plan(desk.source, desk.mapping, context=desk.context).objections
    )


@pytest.mark.parametrize("how", ["--yes", "an answer", "the mapping"])
def test_it_is_sent_once_somebody_says_so(how: str, desk: ImporterFixture) -> None:
    desk.source.write_bytes(DOUBTFUL)
    asked: list[str] = []

    def yes(question: str) -> bool:
        asked.append(question)
        return True

    ways: dict[str, dict[str, Any]] = {
        "--yes": {"agreed": True}, "an answer": {"disregard": yes}, "the mapping": {},
    }  # fmt: skip
    if how == "the mapping":
        desk.mapping = {**desk.mapping, "source": {"encoding": "cp1250"}}
    report = pipeline.run(desk.source, desk.mapping, context=desk.process(**ways[how]))
    assert report.tally.loaded == 1
    assert bool(asked) is (how == "an answer")


def test_a_no_sends_nothing(desk: ImporterFixture) -> None:
    desk.source.write_bytes(DOUBTFUL)
    with pytest.raises(GuardError):
        pipeline.run(desk.source, desk.mapping, context=desk.process(disregard=lambda _question: False))
    assert not desk.writes
