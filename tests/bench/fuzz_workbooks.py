"""A thousand mutated workbooks: each is read, or refused as a source; nothing else is raised. A bench, not in CI.

    python -m tests.bench.fuzz_workbooks --files 1000 [--seed 11] [--seconds 20]

Two kinds of damage: bytes of the file, and bytes of a part inside an archive that stays sound, which gets much farther.
The reader gets so many seconds for a file (``source-endless`` after them); where our own code takes three times as
many, that is our fault.
"""

from __future__ import annotations

import argparse
import collections
import io
import random
import signal
import sys
import tempfile
import time
import traceback
import zipfile
from pathlib import Path

from etl.errors import SourceError
from etl.extract import open_source
from etl.extract.spreadsheet import reader
from tests.support.xlsb_writer import write_xlsb
from tests.unit.extract.test_sheet_cells import formatted
from tests.unit.extract.test_workbooks import HERE, by_hand, by_odfpy, by_openpyxl, by_xlsxwriter, by_xlwt

WORDS = (
    b"<",
    b">",
    b"/",
    b'"',
    b"&",
    b"\0",
    b"\xff",
    b"e",
    b"-1",
    b"9" * 30,
    b"XFD1048576",
    b't="e"',
    b"</c>",
    b"<c r=",
)


def samples(folder: Path) -> list[tuple[str, bytes]]:
    for name, write in {
        "a.xlsx": by_openpyxl, "b.xlsx": by_xlsxwriter, "c.xls": by_xlwt, "d.ods": by_odfpy, "e.xlsb": by_hand,
    }.items():  # fmt: skip
        write(folder / name)
    formatted(folder / "f.xlsx")
    write_xlsb(folder / "g.xlsb", [["Email", "Zip"], ["ann@mapleshop.com", 1040]], formats={(1, 1): "00000"})
    paths = [*folder.iterdir(), *(path for path in HERE.iterdir() if path.suffix in {".xlsx", ".xls", ".ods"})]
    return [(path.suffix, path.read_bytes()) for path in sorted(paths)]


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Return the data with one to four spots that are replaced, doubled, left out or written over."""
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        length = chance.choice((1, 1, 2, 4, 30, 400))
        new = chance.choice((chance.choice(WORDS), bytes([chance.randrange(256)]), data[at : at + length] * 2, b""))
        data = data[:at] + new + data[at + length :]
        if chance.random() < 0.05:
            data = data[: chance.randrange(len(data) + 1)]
    return data


def inside(data: bytes, chance: random.Random) -> bytes:
    """Return an archive in which one part is mutated, more often a sheet than another."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        names = archive.namelist()
        likely = [name for name in names if "sheet1" in name or name.endswith(("workbook.xml", "content.xml", ".bin"))]
        chosen = chance.choice(likely or names) if chance.random() < 0.8 else chance.choice(names)
        for name in names:
            part = archive.read(name)
            target.writestr(name, mutated(part, chance) if name == chosen else part)
    return out.getvalue()


class TooSlowError(Exception):
    """Our own code took too long over a file."""


def too_slow(*_: object) -> None:
    raise TooSlowError


def main(count: int, seed: int, seconds: int) -> int:
    chance = random.Random(seed)
    outcomes: collections.Counter[str] = collections.Counter()
    took: list[float] = []
    reader._MAX_CPU = seconds  # type: ignore[misc]
    reader._MAX_SILENCE = seconds * 2.0  # type: ignore[misc]
    signal.signal(signal.SIGALRM, too_slow)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "samples"
        folder.mkdir()
        files = samples(folder)
        for number in range(count):
            suffix, data = chance.choice(files)
            is_archive = data.startswith(b"PK") and chance.random() < 0.8
            path = Path(made) / f"fuzzed{suffix}"
            path.write_bytes(inside(data, chance) if is_archive else mutated(data, chance))
            began = time.monotonic()
            signal.alarm(seconds * 3)
            try:
                with open_source(path) as source:
                    for _ in source.chunks():
                        pass
                outcomes["read"] += 1
            except SourceError as error:
                outcomes[error.code] += 1
            except Exception:  # noqa: BLE001 - what is looked for
                outcomes["OUR FAULT"] += 1
                kept = Path(tempfile.gettempdir()) / f"fuzzed-{seed}-{number}{suffix}"
                kept.write_bytes(path.read_bytes())
                sys.stdout.write(f"{kept}\n")
                traceback.print_exc()
            finally:
                signal.alarm(0)
            took.append(time.monotonic() - began)
    took.sort()
    told = ", ".join(f"{code} {number:,}" for code, number in outcomes.most_common())
    sys.stdout.write(
        f"{count:,} files, seed {seed}: {told}; half of them within {took[len(took) // 2] * 1000:.0f} ms, "
        f"the slowest {took[-1]:.1f} s\n"
    )
    return 1 if outcomes["OUR FAULT"] else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Tries mutated workbooks.")
    parser.add_argument("--files", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--seconds", type=int, default=20, help="of CPU that the reader may take for a file")
    given = parser.parse_args()
    raise SystemExit(main(given.files, given.seed, given.seconds))
