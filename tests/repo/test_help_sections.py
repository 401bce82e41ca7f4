"""The list of commands: each stands in one section, in a line that fits a terminal of 80 columns."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from etl.cli.manual.sections import SECTIONS
from etl.cli.registry import COMMANDS
from tests.support.command_line import spoken


def test_every_command_stands_in_one_section() -> None:
    assert Counter(name for section in SECTIONS.values() for name in section) == Counter(list(COMMANDS))


def test_the_list_is_read_without_being_cut(tmp_path: Path) -> None:
    code, out, _ = spoken(tmp_path, "--help", COLUMNS="80")
    assert code == 0
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80
    for heading, section in SECTIONS.items():
        place = lines.index(f"{heading}:")
        assert [line.split()[0] for line in lines[place + 1 : place + 1 + len(section)]] == list(section)
        for name, said in section.items():
            assert any(line.startswith(f"  {name} ") and line.endswith(f"  {said}") for line in lines), name
            assert said.endswith(".")
            assert len(said) <= 62
