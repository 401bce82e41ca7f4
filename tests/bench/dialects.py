"""Bench: which reader finds the cells that each export's writer meant. ``python -m tests.bench.dialects``.

``pip install clevercsv`` beside it to compare. Counted are files whose rows come out cell for cell, rows of another
width than the header aside; of the others, which know no NULL, a ``\\N`` counts as the empty cell it means.
"""

from __future__ import annotations

import contextlib
import csv
import importlib
import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from etl.extract import open_source
from tests.support.dialect_files import FILES

Reader = Callable[[str], list[list[str]]]


def ours(text: str) -> list[list[str]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "people.csv"
        path.write_bytes(text.encode())
        with open_source(path) as source:
            rows = [list(source.info.columns)]
            for chunk in source.chunks():
                rows += [list(row) for row in chunk.frame.itertuples(index=False, name=None)]
        return rows


def by_clevercsv(text: str, module: Any) -> list[list[str]]:
    text = text.removeprefix("\ufeff")
    dialect = module.Sniffer().sniff(text, verbose=False)
    return _even(module.reader(io.StringIO(text, newline=""), dialect))


def by_the_standard_library(text: str) -> list[list[str]]:
    text = text.removeprefix("\ufeff")
    return _even(csv.reader(io.StringIO(text, newline=""), csv.Sniffer().sniff(text)))


def _even(rows: Any) -> list[list[str]]:
    read = [["" if cell == "\\N" else cell for cell in row] for row in rows if row]
    return [row for row in read if len(row) == len(read[0])]


def readers() -> dict[str, Reader]:
    """Return what is installed here."""
    found: dict[str, Reader] = {"klaviyo-etl": ours, "csv.Sniffer": by_the_standard_library}
    with contextlib.suppress(ImportError):
        module = importlib.import_module("clevercsv")
        found["clevercsv"] = lambda text: by_clevercsv(text, module)
    return found


def is_right(reader: Reader, name: str) -> bool:
    # Whatever a reader raises over a file is a file that it does not read.
    with contextlib.suppress(Exception):
        return reader(FILES[name].text) == FILES[name].rows
    return False


def main() -> None:
    found = readers()
    print(f"{'':44}" + "".join(f"{name:>14}" for name in found))
    right = dict.fromkeys(found, 0)
    for name in FILES:
        verdicts = {reader: is_right(read, name) for reader, read in found.items()}
        right = {reader: count + verdicts[reader] for reader, count in right.items()}
        print(f"{name:44}" + "".join(f"{'right' if verdict else '-':>14}" for verdict in verdicts.values()))
    print(f"{'of ' + str(len(FILES)):44}" + "".join(f"{count:14}" for count in right.values()))


if __name__ == "__main__":
    main()
