"""The layering of docs/architecture.md, executable: imports run downwards, and each foreign library has one home."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# From the top down. Modules in one row are siblings and never import each other, except the pairs named below.
LAYERS = (
    ("cli",),
    ("console", "server"),
    ("pipeline",),
    ("report",),
    ("extract", "validate", "transform", "load", "discover"),
    ("klaviyo", "sandbox"),
    ("state",),
    ("config",),
    ("codes",),
    ("records", "listening", "user_code", "identity", "whole_file"),
    ("model", "errors", "version", "printable", "column_names"),
    ("deferred",),
)
RANK = {name: rank for rank, row in enumerate(LAYERS) for name in row}

# library → the places that may import it
HOMES = {
    "httpx": {"klaviyo"},
    "click": {"cli"},
    "tqdm": {"console"},
    "pandera": {"validate", "schemas"},
    "sqlalchemy": {"state", "extract"},
    "phonenumbers": {"validate", "sandbox"},
    "email_validator": {"validate"},
    "idna": {"identity"},
    "re2": {"validate", "config"},
    "jinja2": {"report"},
    "starlette": {"sandbox", "server"},
    "uvicorn": {"sandbox", "server"},
    "prometheus_client": {"server"},
    "pydantic": {"config", "sandbox", "server"},
    "pydantic_core": {"config"},
    "dotenv": {"config"},
    "chardet": {"extract"},
    "python_calamine": {"extract"},
    "xlsxwriter": {"report"},
    "fsspec": {"extract"},
    "aiohttp": {"extract"},
}

# The clock, chance and the outside world are injected into these.
PURE = {
    "etl/load/plan.py",
    "etl/load/body.py",
    "etl/load/machine.py",
    "etl/load/proof.py",
    "etl/identity.py",
    "etl/model.py",
    "etl/errors.py",
}
PURE_PACKAGES = ("etl/codes/", "etl/discover/", "etl/validate/", "etl/transform/")
IMPURE = {"time", "random", "secrets", "socket", "subprocess", "httpx", "sqlite3", "sqlalchemy", "threading"}

# The sandbox must not share the importer's beliefs.
SANDBOX_MAY_IMPORT = {"sandbox", "model", "errors", "listening", "deferred"}


def modules() -> Iterator[Path]:
    for top in ("etl", "schemas"):
        yield from sorted((ROOT / top).rglob("*.py"))


def imported(path: Path) -> Iterator[tuple[int, str]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            yield node.lineno, node.module
            if node.module in {"etl", "schemas"}:
                for alias in node.names:
                    yield node.lineno, f"{node.module}.{alias.name}"


def layer_of(path: Path) -> str:
    relative = path.relative_to(ROOT).parts
    if relative[0] == "schemas":
        return "schemas"
    return Path(relative[1]).stem


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", list(modules()), ids=relative)
def test_imports_run_downwards(path: Path) -> None:
    """A module imports only what stands below it; stages meet in the pipeline and nowhere else."""
    here = layer_of(path)
    if here in {"__init__", "__main__"}:
        return
    for line, name in imported(path):
        parts = name.split(".")
        if parts[0] != "etl" or len(parts) < 2 or parts[1] not in RANK:
            continue
        there = parts[1]
        if there == here:
            continue
        assert here != "schemas", f"{relative(path)}:{line} a schema imports {name}"
        assert RANK[there] > RANK[here], f"{relative(path)}:{line} {here} imports {name}, which is not below it"
        if here == "sandbox":
            assert there in SANDBOX_MAY_IMPORT, f"{relative(path)}:{line} the sandbox imports {name}"


@pytest.mark.parametrize("path", list(modules()), ids=relative)
def test_each_foreign_library_has_one_home(path: Path) -> None:
    """Replacing a library touches one package."""
    here = layer_of(path)
    for line, name in imported(path):
        homes = HOMES.get(name.split(".")[0])
        assert homes is None or here in homes, f"{relative(path)}:{line} imports {name}; its home is {homes}"


@pytest.mark.parametrize("path", list(modules()), ids=relative)
def test_pure_modules_touch_nothing_outside(path: Path) -> None:
    """What decides is free of clock, chance and I/O, so that every decision can be replayed."""
    name = relative(path)
    if name not in PURE and not name.startswith(PURE_PACKAGES):
        return
    for line, module in imported(path):
        assert module.split(".")[0] not in IMPURE, f"{name}:{line} imports {module}"


def test_every_layer_exists() -> None:
    """The table above speaks of the tree as it is."""
    found = {layer_of(path) for path in modules()} - {"__init__", "__main__", "schemas"}
    assert found == set(RANK)


@pytest.mark.parametrize("path", list(modules()), ids=relative)
def test_modules_stay_small(path: Path) -> None:
    """A module over 450 lines is two ideas."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 450
