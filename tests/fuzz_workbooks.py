"""A thousand mutated workbooks: each is read, or refused as a source; nothing else is raised. A bench, not in CI.

    python tests/fuzz_workbooks.py [HOW MANY] [SEED]

Two kinds of damage: bytes of the file, and bytes of a part inside an archive that stays sound, which gets much farther.
"""

from __future__ import annotations

import collections
import io
import random
import sys
import tempfile
import time
import traceback
import zipfile
from pathlib import Path

from etl.errors import SourceError
from etl.extract import open_source
from test_workbooks import HERE, by_hand, by_odfpy, by_openpyxl, by_xlsxwriter, by_xlwt

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


def main(count: int = 1_000, seed: int = 11) -> int:
    chance = random.Random(seed)
    outcomes: collections.Counter[str] = collections.Counter()
    slowest = 0.0
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
            slowest = max(slowest, time.monotonic() - began)
    sys.stdout.write(f"{count:,} files: {dict(outcomes)}; the slowest {slowest:.1f} s\n")
    return 1 if outcomes["OUR FAULT"] else 0


if __name__ == "__main__":
    raise SystemExit(main(*map(int, sys.argv[1:])))
