"""What ``init`` says to files as people export them, for docs/init.md: what it asks, what it takes, what it writes."""

from __future__ import annotations

import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from etl import pipeline
from etl.config import load_settings
from etl.console import printable
from etl.discover import Question
from etl.errors import EtlError

ROOT = Path(__file__).resolve().parent.parent
CASES = ROOT / "tests" / "support" / "files" / "cases"
SAMPLES = ("hubspot_contacts", "mailchimp_audience", "salesforce_contacts", "shopify_customers")
NOW = 1_795_824_000.0  # 28 November 2026: the page is the same every day
_WIDTH = 150
_MAX_COLUMNS = 12


class FixedClock:
    """Time stands still."""

    def now(self) -> float:
        """Return epoch seconds."""
        return NOW

    def monotonic(self) -> float:
        """Return seconds."""
        return 0.0

    def sleep(self, seconds: float) -> None:
        """Do not wait."""


def init_examples() -> str:
    """Return the section: a block for each of the samples, and for each file of ``tests/support/files/cases``."""
    files = [*(ROOT / "sample_data" / f"{name}.csv" for name in SAMPLES), *sorted(CASES.iterdir())]
    return "\n\n".join(f"### `{path.name}`\n\n```text\n{example(path)}\n```" for path in files)


def example(path: Path) -> str:
    """Return what init says to a file when every question gets its safe answer."""
    asked: list[Question] = []

    def ask(question: Question) -> str:
        asked.append(question)
        return question.safe

    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings({"state": str(Path(folder) / "state.db")})
        context = pipeline.Context(settings, clock=FixedClock(), output=Path(folder))
        try:
            proposal, text = pipeline.init(path, context=context, beside=path.parent, ask=ask)
        except EtlError as error:
            return f"error [{error.code}]: {printable(error.message)}\nhint: {printable(error.hint)}"
    lines = [f"{proposal.preset.name}"] if proposal.preset is not None else []
    lines += [f"says   {advice.text}" for advice in proposal.advice if advice.sure]
    told = {question.about for question in asked}
    lines += [f"look   {advice.text}" for advice in proposal.advice if not advice.sure and advice.about not in told]
    for question in asked:
        lines += ["", *_asked(question)]
    lines += ["", *_written(tomllib.loads(text), text)]
    return "\n".join(_cut(printable(line).rstrip()) for line in lines).strip()


def _cut(line: str) -> str:
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1].rstrip()}…"


def _asked(question: Question) -> list[str]:
    lines = [f"asks   {question.text}"]
    for value, meaning in question.choices.items():
        cells = f"   ({question.cells[value]})" if question.cells.get(value) else ""
        lines.append(f"       {'*' if value == question.safe else '-'} {meaning}{cells}")
    return lines


def _written(mapping: dict[str, Any], text: str) -> Sequence[str]:
    lines = [_without_why(line) for line in text.splitlines() if line and not line.startswith("#")]
    kept = [line for line in lines if not line.startswith(("path = ", "[load]", "[guards]"))]
    kept = [line for line in kept if line != "[source]" or set(mapping["source"]) - {"path"}]
    more = len(kept) - _MAX_COLUMNS
    shown = [*kept[:_MAX_COLUMNS], *([f"and {more} more lines"] if more > 0 else [])]
    return [f"{'       ' if place else 'writes '}{line}" for place, line in enumerate(shown)]


def _without_why(line: str) -> str:
    return line.partition("  # ")[0]
