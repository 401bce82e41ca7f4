"""The people whom an undo leaves as they are: in files of the run's folder, the owner's alone, never in messages."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from etl.load import UndoForecast, undo_documents
from etl.model import IDENTIFIERS, Issue
from etl.pipeline.kinds.undo.consents import GIVEN, TAKEN
from etl.report import guard
from etl.state import Store
from etl.whole_file import whole_file

CREATED: Final = "created.csv"
CONSENTS: Final = "consents.csv"
_SAID: Final = {GIVEN: "given, and stays", TAKEN: "taken, and never given back by a program"}
_WINDOW: Final = 1_000


def write_people(
    store: Store, run_id: str, found: UndoForecast, folder: Path, announce: Callable[[str], None]
) -> list[Path]:
    """Write who was created, and whose consent stays as it is; return the files. What cannot be written is told."""
    places = store.runs.get(run_id).details.locator
    written: list[Path] = []

    def write(name: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with whole_file(folder / name) as at, at.open("w", encoding="utf-8", newline="") as out:
                out.write("\ufeff")
                writer = csv.writer(out, lineterminator="\n")
                writer.writerow(header)
                writer.writerows([guard(cell) for cell in row] for row in rows)
        except OSError as error:
            announce(f"warning [folder-unwritable]: {folder / name} cannot be written: {error.strerror or error}")
        else:
            written.append(folder / name)

    if found.created:
        people = _people(store, run_id, [one.line for one in found.created])
        rows = ([places.text(one.line), *people[one.line], one.id, one.last_event] for one in found.created)
        write(CREATED, ["line", *IDENTIFIERS, "profile", "last_event"], rows)
    issues = [issue for code in _SAID for issue in store.issues.lines_with(run_id, code)]
    if issues:
        people = _people(store, run_id, [issue.line for issue in issues])
        rows = ([places.text(one.line), *people[one.line], _channel(one), _SAID[one.code]] for one in issues)
        write(CONSENTS, ["line", *IDENTIFIERS, "channel", "consent"], rows)
    return written


def _people(store: Store, run_id: str, lines: Sequence[int]) -> dict[int, list[str]]:
    """Return line → the identifiers that the earlier run had of the person."""
    asked = sorted(set(lines))
    found: dict[int, list[str]] = {}
    for start in range(0, len(asked), _WINDOW):
        documents = undo_documents(store, run_id, asked[start : start + _WINDOW])
        found.update((line, [str(one.person.get(name, "")) for name in IDENTIFIERS]) for line, one in documents.items())
    return found


def _channel(issue: Issue) -> str:
    return issue.detail.removeprefix("consent ")
