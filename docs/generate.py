"""Write what is generated in the documentation: ``python -m docs.generate``. A test checks that it is up to date."""

from __future__ import annotations

import os
import re
from pathlib import Path

import orjson

from docs.cldr import country_names
from docs.error_codes import error_codes
from docs.init_examples import init_examples
from etl.codes import CODES
from etl.config import mapping_schema
from etl.errors import ExitCode

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"(<!-- begin (\S+?)(?: (\S+))? -->\n).*?(<!-- end -->)", re.DOTALL)

EXITS = {
    ExitCode.OK: "every row was loaded, unchanged or a duplicate",
    ExitCode.ROWS_NOT_LOADED: "finished, but rows were rejected, failed or are unknown, or read back differently",
    ExitCode.USAGE: "usage or configuration",
    ExitCode.NOT_STARTED: "could not start, nothing was sent",
    ExitCode.STOPPED: "stopped part-way, resumable",
    ExitCode.STATE: "the state database or its lock",
    ExitCode.GUARD: "a guard stopped it, nothing was sent",
    ExitCode.BUG: "a bug of ours",
    ExitCode.SIGINT: "Ctrl-C, resumable",
    ExitCode.SIGTERM: "SIGTERM, resumable",
}


def documents() -> dict[Path, str]:
    """Return path → text of everything that has generated parts."""
    texts = {ROOT / "docs" / "codes.md": codes_page()}
    schema = orjson.dumps(mapping_schema(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()
    texts[ROOT / "schemas" / "mapping.schema.json"] = schema
    texts[ROOT / "etl" / "validate" / "geo" / "country_names.txt"] = country_names()
    readme = ROOT / "README.md"
    for page in (readme, *(ROOT / "docs" / f"{name}.md" for name in ("accounts", "init", "operations", "reliability"))):
        texts[page] = BLOCK.sub(_filled, page.read_text(encoding="utf-8"))
    return texts


def codes_page() -> str:
    """Return the page of codes, by stage."""
    lines = [
        "# Codes",
        "",
        "Every issue has a code that does not change. An error costs the row, a warning at most a cell. Generated from",
        "`etl/codes/`.",
    ]
    for stage in dict.fromkeys(code.stage for code in CODES.values()):
        lines += ["", f"## {stage.value.capitalize()}", "", "| code | what | what to do |", "|---|---|---|"]
        lines += [
            f"| `{code.id}` | {_cell(code.title)} | {_cell(code.hint)} |"
            for code in CODES.values()
            if code.stage is stage
        ]
    lines += [
        "",
        "## Errors that stop a command",
        "",
        "Where a file, a mapping, a key or Klaviyo stands in the way of all rows. `…` differs from time to time. The",
        "exit code is the one before anything was sent; a run that was stopped part-way ends with 4.",
        "",
        "| code | exit | what is said | what to do |",
        "|---|---|---|---|",
    ]
    lines += [f"| `{one.code}` | {one.exit} | {_cell(one.message)} | {_cell(one.hint)} |" for one in error_codes()]
    return "\n".join(lines) + "\n"


def _filled(found: re.Match[str]) -> str:
    begin, kind, argument, end = found.groups()
    return f"{begin}{_block(kind, argument)}\n{end}"


def _block(kind: str, argument: str | None) -> str:
    match kind:
        case "help":
            return f"```text\n{help_text(argument)}```"
        case "exits":
            rows = [f"| `{int(code)}` | {meaning} |" for code, meaning in EXITS.items()]
            return "\n".join(["| code | meaning |", "|---|---|", *rows])
        case "sampled":
            return _sampled()
        case "init-examples":
            return f"\n{init_examples()}\n"
    raise ValueError(kind)


def _sampled() -> str:
    """Return the tests that ``make matrix`` walks in full, by folder: those that ask how much they shall walk."""
    folders: dict[str, list[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        if "tests.support.effort" in path.read_text(encoding="utf-8"):
            folders.setdefault(path.parent.relative_to(ROOT).as_posix(), []).append(path.stem.removeprefix("test_"))
    return "\n".join(f"* `{folder}`: {', '.join(names)}" for folder, names in folders.items())


def help_text(command: str | None) -> str:
    """Return the help of a command, as a terminal of 100 columns shows it."""
    os.environ["COLUMNS"] = "100"
    import click  # noqa: PLC0415 - reads the width when it is imported

    from etl.cli import cli  # noqa: PLC0415
    from etl.cli.registry import COMMANDS  # noqa: PLC0415

    shown: click.Command = COMMANDS[command].load() if command else cli
    name = f"klaviyo-etl {command}" if command else "klaviyo-etl"
    names = cli.context_settings["help_option_names"]
    with click.Context(
        shown, info_name=name, terminal_width=100, max_content_width=100, help_option_names=names
    ) as context:
        return shown.get_help(context) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> None:
    """Write them."""
    for path, text in documents().items():
        path.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
