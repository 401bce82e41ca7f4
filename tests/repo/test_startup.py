"""What a command imports before it does anything: no more than it needs."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import click
import pytest

from etl.cli.registry import COMMANDS
from tests.support.cli_process import python
from tests.support.command_line import told
from tests.support.paths import ROOT

# What takes longer to import than most commands take to run.
HEAVY = frozenset(
    [
        "aiohttp",
        "chardet",
        "duckdb",
        "email_validator",
        "fsspec",
        "httpx",
        "jinja2",
        "numpy",
        "opentelemetry",
        "pandas",
        "pandera",
        "phonenumbers",
        "polars",
        "prometheus_client",
        "pyarrow",
        "pydantic",
        "python_calamine",
        "re2",
        "sqlalchemy",
        "starlette",
        "tqdm",
        "uvicorn",
        "xlsxwriter",
    ]
)

LIGHT = f"""
import contextlib, io, os, sys
from etl.cli import _main
from etl.cli.registry import COMMANDS
said = io.TextIOWrapper(io.BytesIO(), write_through=True)
with contextlib.redirect_stdout(said):
    for arguments in (["--version"], ["--help"], ["no-such-command"]):
        _main(arguments)
    for words in ("klaviyo-etl ", "klaviyo-etl re", "klaviyo-etl run --verify ", "klaviyo-etl lists show --"):
        os.environ.update(COMP_WORDS=words, COMP_CWORD=str(words.count(" ")), _KLAVIYO_ETL_COMPLETE="bash_complete")
        _main([])
    del os.environ["_KLAVIYO_ETL_COMPLETE"]
    for name in COMMANDS:
        _main([name, "--help"])
        print(name, sorted(set({sorted(HEAVY)}) & set(sys.modules)), file=sys.stderr)
text = said.buffer.getvalue().decode()
assert "klaviyo-etl, version" in text and "Exit codes:" in text
for completed in ("plain,resume", "plain,sample", "plain,--state"):
    assert completed in text, completed
for name in COMMANDS:
    assert f"Usage: klaviyo-etl {{name}}" in text, name
"""


def test_version_help_and_completion_import_nothing_heavy() -> None:
    """Names, summaries and options are shown without what reads, judges, stores or sends."""
    done = subprocess.run([sys.executable, "-c", LIGHT], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stderr.splitlines() if line.endswith("]")]
    assert told == [f"{name} []" for name in COMMANDS]


RUN = f"""
import contextlib, io, sys
from etl.cli import _main
for arguments in (["runs"], ["status"], ["report"], ["report", "--format", "json"], ["check", "people.csv"]):
    with contextlib.redirect_stdout(io.StringIO()):
        assert _main(arguments) == 0, arguments
    print(arguments[0], *sorted(set({sorted(HEAVY)}) & set(sys.modules)))
"""


def test_a_command_imports_what_it_uses(tmp_path: Path) -> None:
    """What looks back needs state alone; what judges a file connects to nothing and writes no workbook."""
    (tmp_path / "people.csv").write_text("Email\nann@mapleshop.com\n", encoding="utf-8")
    (tmp_path / "people.toml").write_text('[columns]\nEmail = "email"\n', encoding="utf-8")
    assert told(tmp_path, "check", "people.csv")[0] == 0
    out, err = python(tmp_path, "-c", RUN).communicate()
    *looked, checked = [line.split() for line in out.splitlines()]
    assert looked == [
        ["runs", "sqlalchemy"],
        ["status", "sqlalchemy"],
        ["report", "sqlalchemy"],
        ["report", "sqlalchemy"],
    ], err
    assert {"pandas", "pandera"} < set(checked)
    assert not {"httpx", "xlsxwriter", "starlette", "uvicorn", "prometheus_client", "tqdm", "fsspec"} & set(checked)


def test_the_table_of_commands_says_what_the_commands_say() -> None:
    """A summary in the list is the first sentence of the command's own help."""
    for name, entry in COMMANDS.items():
        command = entry.load()
        assert command.name == name
        listed = click.Command(name, help=entry.summary)
        for width in (30, 45, 80, 200):
            assert command.get_short_help_str(width) == listed.get_short_help_str(width), name


def packages() -> list[Path]:
    return [path for path in sorted((ROOT / "etl").glob("*/__init__.py")) if "= exports(" in path.read_text("utf-8")]


@pytest.mark.parametrize("path", packages(), ids=lambda path: path.parent.name)
def test_a_package_exports_what_a_type_checker_sees(path: Path) -> None:
    """The table of a package, the imports for types and ``__all__`` name the same things from the same places."""
    package = f"etl.{path.parent.name}"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    typed = {
        (node.module, alias.name, alias.asname or alias.name)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    (table,) = [
        ast.literal_eval(node.value.args[1])
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
    ]
    found = {
        (module if module.startswith("etl.") else f"{package}.{module}", there, here or there)
        for module, names in table.items()
        for there, _, here in (name.partition(" as ") for name in names)
    }
    assert found == typed
    module = importlib.import_module(package)
    assert {here for _, _, here in found} == set(module.__all__)
    for place, there, here in found:
        assert getattr(module, here) is getattr(importlib.import_module(place), there)
        # The import system would set the module over the export, or the export would hide the module.
        beside = (path.with_name(f"{here}.py"), path.with_name(here))
        assert not any(other.exists() for other in beside), f"{package}.{here} is a module too"
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        _ = module.no_such_name
