"""Staging from each kind of source, and whether memory stays flat: ``python -m tests.bench.sources``.

The rows are those of ``tests/bench/importer.py``. Each figure is a process of its own; what it imports counts.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
import xlsxwriter

from tests.bench.importer import HEADER, MAPPING, write_source
from tests.support.paths import ROOT

POSTGRES = os.environ.get("ETL_TEST_POSTGRES", "postgresql+psycopg://root@127.0.0.1/test")
TABLE = "etl_bench_people"
FILES = 10
"""Into so many files the rows are split for the pattern."""
WORKBOOK = "people.xlsx"
WORKBOOK_ROWS = 100_000
"""At most so many rows are in the workbook."""


def main() -> int:
    """Measure each source at each number of rows; print a table; return 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[250_000, 1_000_000])
    parser.add_argument("--only", choices=sorted(SOURCES), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only:
        began = time.monotonic()
        staged(given.folder, given.only, given.rows[0])
        print(json.dumps(time.monotonic() - began))
        return 0
    print(f"{'source':28} {'rows':>10} {'seconds':>8} {'rows/s':>8} {'peak MB':>8}")
    for rows in given.rows:
        with tempfile.TemporaryDirectory() as name:
            prepare(Path(name), rows)
            for source in SOURCES:
                count = min(rows, WORKBOOK_ROWS) if source == WORKBOOK else rows
                seconds, peak = measure(source, Path(name), count)
                print(f"{source:28} {count:>10,} {seconds:>8.1f} {count / seconds:>8,.0f} {peak:>8,.0f}", flush=True)
    execute(f"DROP TABLE {TABLE}")
    return 0


def measure(source: str, folder: Path, rows: int) -> tuple[float, float]:
    """Stage in a process of its own; return seconds and peak memory in MB."""
    command = [sys.executable, "-m", "tests.bench.sources", "--only", source, "--folder", str(folder)]
    process = subprocess.Popen([*command, "--rows", str(rows)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"{source} failed")
    return json.loads(said.splitlines()[-1]), usage.ru_maxrss / 1024


def staged(folder: Path, source: str, rows: int) -> None:
    """Read, judge, convert and write to state, as ``check`` does."""
    from etl.pipeline import Context, check  # noqa: PLC0415 - the parent needs none of it

    with tempfile.TemporaryDirectory(dir=folder) as name:
        context = Context.create(state=Path(name) / "state.db", output=Path(name) / "runs")
        given, mapping = SOURCES[source](folder)
        report = check(given, mapping, context=context)
    assert report.tally.read == rows


def of_file(name: str) -> Callable[[Path], tuple[Any, Any]]:
    return lambda folder: (str(folder / name), folder / "people.toml")


def of_postgres(folder: Path) -> tuple[Any, Any]:
    mapping = tomllib.loads(MAPPING)
    columns = ", ".join(f'"{name}"' for name in HEADER.split())
    mapping["source"] = {"url": POSTGRES, "query": f"SELECT {columns} FROM {TABLE} ORDER BY line"}
    return None, mapping


SOURCES: dict[str, Callable[[Path], tuple[Any, Any]]] = {
    "people.csv": of_file("people.csv"),
    "people.csv.gz": of_file("people.csv.gz"),
    "PostgreSQL": of_postgres,
    f"{FILES} files, part-*.csv.gz": of_file("part-*.csv.gz"),
    WORKBOOK: of_file(WORKBOOK),
}


def prepare(folder: Path, rows: int) -> None:
    """Write the rows as a file, compressed, in parts, as a workbook, and as a table."""
    write_source(folder, rows)
    with (folder / "people.csv").open(encoding="utf-8", newline="") as plain:
        book = xlsxwriter.Workbook(folder / WORKBOOK, {"constant_memory": True})
        sheet = book.add_worksheet()
        for number, cells in enumerate(itertools.islice(csv.reader(plain), WORKBOOK_ROWS + 1)):
            sheet.write_row(number, 0, cells)
        book.close()
    with (folder / "people.csv").open("rb") as plain, gzip.open(folder / "people.csv.gz", "wb", 1) as packed:
        shutil.copyfileobj(plain, packed, 1 << 20)
    with (folder / "people.csv").open("rb") as plain:
        header = next(plain)
        for number in range(FILES):
            with gzip.open(folder / f"part-{number + 1}.csv.gz", "wb", 1) as packed:
                packed.write(header)
                packed.writelines(itertools.islice(plain, rows // FILES if number < FILES - 1 else None))
    columns = ", ".join(f'"{name}" text' for name in HEADER.split())
    execute(f"DROP TABLE IF EXISTS {TABLE}", f"CREATE TABLE {TABLE} (line bigserial PRIMARY KEY, {columns})")
    names = ", ".join(f'"{name}"' for name in HEADER.split())
    with connected() as connection, (folder / "people.csv").open("rb") as plain:
        with connection.cursor().copy(f"COPY {TABLE} ({names}) FROM STDIN WITH (FORMAT csv, HEADER)") as copy:
            for block in blocks(plain):
                copy.write(block)
        connection.commit()
    execute(f"ANALYZE {TABLE}")


def blocks(file: Any) -> Iterator[bytes]:
    while block := file.read(1 << 20):
        yield block


def connected() -> psycopg.Connection[Any]:
    url = sa.make_url(POSTGRES)
    return psycopg.connect(url.set(drivername="postgresql").render_as_string(hide_password=False))


def execute(*statements: str) -> None:
    with connected() as connection:
        for statement in statements:
            connection.execute(statement)


if __name__ == "__main__":
    sys.exit(main())
