"""The only calamine, run as a process of its own: a crash of native code ends this process, and not the program.

Nothing of ours is imported, so that it starts in a blink. It takes commands, one JSON array a line, ``[path]`` for the
sheets of a workbook and ``[path, sheet]`` for the rows of one, and answers with pickles: any number of ``part``, and
then ``end`` or ``fault``. The words of a fault are never the reader's: those may hold what stands in the file.
Its arguments are the seconds of CPU and the bytes of addresses that it may take.
"""

from __future__ import annotations

import contextlib
import json
import pickle
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

import python_calamine as calamine

_PART_ROWS: Final = 2_000


def main() -> None:
    """Answer commands until there are no more."""
    _limit(*map(int, sys.argv[1:]))
    opened: tuple[str, Any] = ("", None)
    for line in sys.stdin.buffer:
        path, *sheet = json.loads(line)
        try:
            if opened[0] != path:
                opened = (path, calamine.CalamineWorkbook.from_path(path))
            for part in _rows(opened[1], sheet[0]) if sheet else [_sheets(opened[1])]:
                _say(sys.stdout.buffer, "part", part)
        except KeyboardInterrupt:
            return
        except calamine.PasswordError:
            _say(sys.stdout.buffer, "fault", "encrypted")
        except BaseException:  # noqa: BLE001 - a panic of native code is no Exception
            _say(sys.stdout.buffer, "fault", "damaged")
        else:
            _say(sys.stdout.buffer, "end", None)


def _sheets(workbook: Any) -> list[tuple[str, bool]]:
    """Return the name of each worksheet, and whether it is shown."""
    return [
        (sheet.name, sheet.visible == calamine.SheetVisibleEnum.Visible)
        for sheet in workbook.sheets_metadata
        if sheet.typ == calamine.SheetTypeEnum.WorkSheet
    ]


def _rows(workbook: Any, name: str) -> Iterator[list[tuple[int, list[Any]]]]:
    """Yield the rows that hold something, with their numbers from 1, in parts."""
    sheet = workbook.get_sheet_by_name(name)
    if sheet.start is None:
        return
    before = [""] * sheet.start[1]
    part = []
    for number, cells in enumerate(sheet.iter_rows(), start=1):
        if any(cell != "" for cell in cells):
            part.append((number, before + cells))
        if len(part) >= _PART_ROWS:
            yield part
            part = []
    yield part


def _say(out: BinaryIO, kind: str, content: Any) -> None:
    pickle.dump((kind, content), out, protocol=pickle.HIGHEST_PROTOCOL)
    out.flush()


def _limit(seconds: int, size: int) -> None:
    """Bound what it may take, where the system can, and leave no image of the memory behind."""
    try:
        import resource  # noqa: PLC0415 - Unix alone has it
    except ImportError:
        return
    for what, most in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_CPU, seconds), (resource.RLIMIT_AS, size)):
        with contextlib.suppress(ValueError, OSError):
            soft, hard = resource.getrlimit(what)
            if soft == resource.RLIM_INFINITY or soft > most:
                resource.setrlimit(what, (most, hard))


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):
        main()
