"""The layering of docs/architecture.md, executable: imports run downwards, and each foreign library has one home."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.support.paths import ROOT

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
    "ftfy": {"validate"},
    "xlsxwriter": {"report"},
    "fsspec": {"extract"},
    "aiohttp": {"extract"},
}

# The clock, chance and the outside world are injected into these.
PURE = {
    "etl/load/batching.py",
    "etl/load/request.py",
    "etl/load/steps/transitions.py",
    "etl/load/profiles/proof.py",
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


@cache
def imported(path: Path) -> tuple[tuple[int, str], ...]:
    return tuple(imports_of(path))


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
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


def upwards() -> Iterator[str]:
    for path in modules():
        here = layer_of(path)
        if here in {"__init__", "__main__"}:
            continue
        for line, name in imported(path):
            parts = name.split(".")
            if parts[0] != "etl" or len(parts) < 2 or parts[1] not in RANK or parts[1] == here:
                continue
            if here == "schemas":
                yield f"{relative(path)}:{line} a schema imports {name}"
            elif RANK[parts[1]] <= RANK[here]:
                yield f"{relative(path)}:{line} {here} imports {name}, which is not below it"
            elif here == "sandbox" and parts[1] not in SANDBOX_MAY_IMPORT:
                yield f"{relative(path)}:{line} the sandbox imports {name}"


def test_imports_run_downwards() -> None:
    """A module imports only what stands below it; stages meet in the pipeline and nowhere else."""
    assert list(upwards()) == []


def test_each_foreign_library_has_one_home() -> None:
    """Replacing a library touches one package."""
    found = [
        f"{relative(path)}:{line} imports {name}; its home is {homes}"
        for path in modules()
        for line, name in imported(path)
        if (homes := HOMES.get(name.split(".")[0])) is not None and layer_of(path) not in homes
    ]
    assert found == []


def test_pure_modules_touch_nothing_outside() -> None:
    """What decides is free of clock, chance and I/O, so that every decision can be replayed."""
    found = [
        f"{name}:{line} imports {module}"
        for path in modules()
        if (name := relative(path)) in PURE or name.startswith(PURE_PACKAGES)
        for line, module in imported(path)
        if module.split(".")[0] in IMPURE
    ]
    assert found == []


def test_every_layer_exists() -> None:
    """The table above speaks of the tree as it is."""
    found = {layer_of(path) for path in modules()} - {"__init__", "__main__", "schemas"}
    assert found == set(RANK)


def test_modules_stay_small() -> None:
    """A module over 450 lines is two ideas."""
    long = {relative(path) for path in modules() if len(path.read_text(encoding="utf-8").splitlines()) > 450}
    assert long == set()
