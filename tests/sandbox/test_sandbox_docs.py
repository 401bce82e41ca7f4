"""The page of the sandbox speaks of the sandbox as it is."""

from __future__ import annotations

import re
from typing import get_args

import orjson
import pytest

from etl.sandbox import Sandbox, Switches, parse_faults
from etl.sandbox.account.dumps import DUMPS
from etl.sandbox.account.sent_messages import Kind
from etl.sandbox.protocol.faults import FaultKind
from etl.sandbox.resources.simulated_people import SIMULATIONS
from tests.support.paths import PAGES

PAGE = (PAGES / "sandbox.md").read_text(encoding="utf-8")


def test_the_fault_file_in_the_page_is_valid() -> None:
    (block,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert len(parse_faults(orjson.loads(block)).rules) == 3


def test_every_fault_is_described_and_no_other() -> None:
    table = PAGE.split("| fault | what happens |")[1].split("\n\n")[0]
    named = {
        name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1] if "|" in row else "")
    }
    assert named == set(get_args(FaultKind))


def rows(header: str) -> list[list[str]]:
    """Return the cells of a table by its header line."""
    table = PAGE.split(header)[1].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip().strip("`") for cell in row.strip("|").split("|")] for row in table]


def test_every_knob_is_described_and_no_other() -> None:
    assert [row[0] for row in rows("| `POST` | what happens |")] == [*SIMULATIONS, "deliver", "month", "reset"]


def test_every_dump_is_described_and_no_other() -> None:
    described = rows("| `GET` | in Python | a JSON line for each |")
    assert [row[0] for row in described] == list(DUMPS)
    for _, method, _ in described:
        assert callable(getattr(Sandbox, method.removesuffix("()")))


@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_kind_of_message_is_described(kind: str) -> None:
    assert f"`{kind}` (" in PAGE


def test_every_switch_is_described_and_no_other() -> None:
    described = rows("| switch | settings, the default first | why |")
    assert [row[0] for row in described] == list(Switches.model_fields)
    for name, settings, _ in described:
        for word in get_args(Switches.model_fields[name].annotation):
            assert str(word) in settings, (name, word)
