"""The layering of docs/architecture.md, executable; import-linter checks the contracts in pyproject.toml."""

from __future__ import annotations

from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest
from importlinter.api import read_configuration
from importlinter.application.use_cases import lint_imports

from tests.support.paths import ROOT

CONFIGURATION = str(ROOT / "pyproject.toml")
CONTRACTS = [str(contract["id"]) for contract in read_configuration(CONFIGURATION)["contracts_options"]]

SANDBOX_MAY_IMPORT = {"etl.model", "etl.errors", "etl.listening", "etl.deferred"}

MOST_NODES = 13
"""Modules and folders in a folder: what a reader takes in at a glance."""
MOST_FLOORS = 7
"""The longest chain of imports between what stands in one folder."""
MOST_LINES = 450
"""A longer module is two ideas."""


@cache
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("etl", "schemas", cache_dir=None)


def folders() -> list[str]:
    return sorted(name for name in graph().modules if graph().find_children(name))


@cache
def imports_inside() -> dict[str, dict[str, set[str]]]:
    """Return for each folder what each module or subfolder of it imports of its neighbours there."""
    found = {folder: {node: set[str]() for node in graph().find_children(folder)} for folder in folders()}
    for importer in graph().modules:
        for imported in graph().find_modules_directly_imported_by(importer):
            here, there = importer.split("."), imported.split(".")
            shared = next((at for at, pair in enumerate(zip(here, there, strict=False)) if pair[0] != pair[1]), 0)
            if shared:
                found[".".join(here[:shared])][".".join(here[: shared + 1])].add(".".join(there[: shared + 1]))
    return found


def floors(folder: str) -> dict[str, int]:
    """Return the floor on which everything in a folder stands; what is on floor 0 imports nothing of the folder."""
    below = imports_inside()[folder]
    found: dict[str, int] = {}
    for node in TopologicalSorter(below).static_order():
        found[node] = 1 + max((found[other] for other in below[node]), default=-1)
    return found


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder where import-linter keeps the imports it has read, so that one case reads them and the others do not."""
    return str(tmp_path_factory.mktemp("imports"))


@pytest.mark.parametrize("contract", CONTRACTS)
def test_contract_on_imports(contract: str, parsed: str) -> None:
    """What is broken, and by which import, is in the captured output."""
    assert lint_imports(CONFIGURATION, limit_to_contracts=(contract,), cache_dir=parsed, no_logo=True)


def test_the_sandbox_does_not_share_the_importers_beliefs() -> None:
    """Neither by an import of its own nor through what it imports."""
    shared = {name for name in graph().find_upstream_modules("etl.sandbox", as_package=True) if name != "etl"}
    assert shared <= SANDBOX_MAY_IMPORT


@pytest.mark.parametrize("folder", folders())
def test_a_folder_can_be_taken_in_at_a_glance(folder: str) -> None:
    """Only the top holds more: it is the table of layers."""
    height = floors(folder)
    assert folder == "etl" or len(height) <= MOST_NODES, f"{len(height)} modules and folders"
    assert folder == "etl" or 1 + max(height.values()) <= MOST_FLOORS, sorted(height.items(), key=lambda item: item[1])


def test_modules_stay_small() -> None:
    """See MOST_LINES."""
    paths = [path for top in ("etl", "schemas") for path in (ROOT / top).rglob("*.py")]
    assert {str(path) for path in paths if lines_of(path) > MOST_LINES} == set()


def lines_of(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())
