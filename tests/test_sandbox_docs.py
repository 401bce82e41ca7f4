"""The page of the sandbox speaks of the sandbox as it is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import orjson

from etl.sandbox import parse_faults
from etl.sandbox.faults import FaultKind

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "sandbox.md").read_text(encoding="utf-8")


def test_the_fault_file_in_the_page_is_valid() -> None:
    (block,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert len(parse_faults(orjson.loads(block)).rules) == 3


def test_every_fault_is_described_and_no_other() -> None:
    table = PAGE.split("| fault | what happens |")[1].split("\n\n")[0]
    named = {
        name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1] if "|" in row else "")
    }
    assert named == set(get_args(FaultKind))
