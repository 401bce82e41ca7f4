"""Writing an export as its CRM would, and beside it what each line should become."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Truth:
    """What a line should become.

    ``codes``: of its issues. ``merged_into``: the row (not line) it is a duplicate of. ``profile``: the attributes that
    Klaviyo should hold; ``lists``: names of the lists it should be on.
    """

    outcome: str = "loaded"
    codes: set[str] = field(default_factory=set)
    merged_into: int | None = None
    profile: dict[str, Any] = field(default_factory=dict)
    lists: list[str] = field(default_factory=list)

    def put(self, target: str, value: Any) -> None:
        """Set a field; an empty text is no value."""
        if value is None or value == "":
            return
        section, _, name = target.partition(".")
        if name:
            self.profile.setdefault(section, {})[name] = value
        else:
            self.profile[section] = value


@dataclass
class Row:
    """A record: its cells (of any number, to be ragged) and what it should become; without truth, a blank line.

    ``raw``: written as it stands instead of the cells; a byte that is no text is a surrogate escape.
    """

    cells: Sequence[str]
    truth: Truth | None
    raw: str | None = None


class Sheet:
    """An export in the making."""

    def __init__(
        self,
        name: str,
        header: Sequence[str],
        *,
        encoding: str = "utf-8",
        newline: str = "\n",
        quote_all: bool = False,
    ) -> None:
        self.name = name
        self.header = list(header)
        self.rows: list[Row] = []
        self._encoding = encoding
        self._newline = newline
        self._quoting = csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL

    def add(self, cells: Mapping[str, str] | Sequence[str], truth: Truth) -> int:
        """Add a record; return its row number."""
        ordered = [cells.get(name, "") for name in self.header] if isinstance(cells, Mapping) else list(cells)
        self.rows.append(Row(ordered, truth))
        return len(self.rows) - 1

    def add_raw(self, text: str, truth: Truth) -> None:
        """Add a record that no CSV writer would write, with its line end."""
        self.rows.append(Row((), truth, text))

    def blank(self) -> None:
        """Add an empty line, which is no record."""
        self.rows.append(Row((), None))

    def write(self, folder: Path) -> None:
        """Write the export and its truth file, and keep the physical line of each record."""
        lines: dict[int, int] = {}
        parts = [self._written(self.header)]
        line = 2
        for number, row in enumerate(self.rows):
            part = self._written(row.cells) if row.raw is None else row.raw
            if row.truth is None:
                part = self._newline
            lines[number] = line
            # A break inside a quoted cell makes a physical line too.
            line += part.count("\n")
            parts.append(part)
        (folder / f"{self.name}.csv").write_bytes("".join(parts).encode(self._encoding, "surrogateescape"))
        with (folder / "truth" / f"{self.name}.jsonl").open("w", encoding="utf-8", newline="\n") as out:
            out.writelines(
                _document(lines, number, row.truth) + "\n"
                for number, row in enumerate(self.rows)
                if row.truth is not None
            )

    def _written(self, cells: Sequence[str]) -> str:
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator=self._newline, quoting=self._quoting).writerow(cells)
        return text.getvalue()


def _document(lines: Mapping[int, int], number: int, truth: Truth) -> str:
    document: dict[str, Any] = {"line": lines[number], "outcome": truth.outcome, "codes": sorted(truth.codes)}
    if truth.merged_into is not None:
        document["merged_into"] = lines[truth.merged_into]
    if truth.outcome == "loaded":
        document["profile"] = truth.profile
        document["lists"] = sorted(truth.lists)
    return json.dumps(document, ensure_ascii=False, sort_keys=True)
