"""Each columnar fast path names the reference it doubles and the test that holds it to that."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT

FENCE = re.compile(
    r"Reference: ``(?P<reference>[\w/]+\.py)``.*?Held to it\s+by\s+``(?P<test>tests/[\w/]+\.py)``", re.DOTALL
)
NO_FAST_PATHS = {"etl/config/mapping/columns.py"}
"""Modules that speak of columns of a mapping."""


def fast_paths() -> list[str]:
    """Return the modules whose names say that they work on whole columns."""
    named = {path.relative_to(ROOT).as_posix() for path in (ROOT / "etl").rglob("*columns.py")}
    return sorted(named - NO_FAST_PATHS)


def fences() -> Iterator[tuple[str, str, str]]:
    """Yield module, reference and test of every fence in a docstring; a function may have a fast path of its own."""
    for path in sorted((ROOT / "etl").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)) if "Held to it" in text else ():
            if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef):
                for found in FENCE.finditer(ast.get_docstring(node) or ""):
                    yield path.relative_to(ROOT).as_posix(), found["reference"], found["test"]


FENCES = sorted(fences())


@pytest.mark.parametrize("module", fast_paths())
def test_a_fast_path_says_what_holds_it(module: str) -> None:
    assert module in {fenced for fenced, _, _ in FENCES}


@pytest.mark.parametrize(("module", "reference", "test"), FENCES)
def test_reference_and_test_exist(module: str, reference: str, test: str) -> None:
    """The test imports the package of the fast path, or one above it that uses it."""
    assert (ROOT / reference).is_file()
    package = ".".join(Path(module).with_suffix("").parts[:2])
    assert re.search(rf"^from {package}[. ]", (ROOT / test).read_text(encoding="utf-8"), re.MULTILINE)
