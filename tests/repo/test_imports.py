"""Each name that is imported from our own packages is there: what a deferred ``__getattr__`` hides from mypy."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.paths import ROOT

OURS = ("etl", "schemas", "tests", "docs")


def imported() -> Iterator[tuple[Path, int, str, str]]:
    """Yield (file, line, module, name) of each import from our own packages, and of each name that tests replace."""
    for path in sorted(path for top in OURS for path in (ROOT / top).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in {"etl", "schemas", "tests"}:
                yield from ((path, node.lineno, str(node.module), alias.name) for alias in node.names)
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "setattr":
                first = node.args[0] if node.args else None
                if isinstance(first, ast.Constant) and str(first.value).startswith("etl."):
                    module, _, name = str(first.value).rpartition(".")
                    yield path, node.lineno, module, name


def is_there(module: str, name: str) -> bool:
    """Whether a module, or a class in one, has an attribute or a module below it of this name."""
    place, rest = module, [name]
    while True:
        try:
            found: Any = importlib.import_module(place)
            break
        except ModuleNotFoundError:
            place, _, last = place.rpartition(".")
            rest.insert(0, last)
    for each in rest:
        if not hasattr(found, each):
            try:
                importlib.import_module(f"{place}.{each}")
            except ImportError:
                return False
        found = getattr(found, each)
    return True


def test_each_imported_name_is_there() -> None:
    missing = [
        f"{path.relative_to(ROOT)}:{line} {module} has no {name}"
        for path, line, module, name in imported()
        if not is_there(module, name)
    ]
    assert missing == []
