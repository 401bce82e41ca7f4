"""Blocks without some of their lines: packed again as they are read, so that nothing of those lines is left in them."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping
from typing import Any, Final

import orjson

from etl.deferred import np
from etl.model import IDENTIFIERS
from etl.state.records.blocks import Block, packed_bodies
from etl.state.records.chunks import pack_cells, read_cells

_LINE: Final = "<i8"
_SIZE: Final = "<i4"
_HALF: Final = "<u8"


def cells_without(cells: bytes, ragged: bytes, lines: Collection[int]) -> tuple[bytes, bytes] | None:
    """Return a block of cells without these lines, ``None`` where none is left. Raise ValueError if it is damaged."""
    frame = read_cells(cells)
    kept = frame[~frame.index.isin(list(lines))]
    others = [row for row in orjson.loads(ragged) if row[0] not in lines]
    if not len(kept) and not others:
        return None
    return (cells if len(kept) == len(frame) else pack_cells(kept)), orjson.dumps(others)


def records_without(parts: Mapping[str, Any], lines: Collection[int]) -> dict[str, Any] | None:
    """Return the packed columns of a block of records without these lines, ``None`` where no record is left.

    ``parts``: all columns of the block. Raise ValueError if it is damaged.
    """
    block = Block(parts, {})
    kept = np.flatnonzero(~np.isin(block.lines, np.fromiter(lines, np.int64, len(lines))))
    if not len(kept):
        return None
    bodies = list(block.bodies(kept).values())
    packed_lines = block.lines[kept].astype(_LINE).tobytes()
    sizes = np.fromiter(map(len, bodies), _SIZE, len(bodies)).tobytes()
    places = {int(old): new for new, old in enumerate(kept)}
    return {
        "first_line": int(block.lines[kept[0]]),
        "last_line": int(block.lines[kept[-1]]),
        "lines": packed_lines,
        "sizes": sizes,
        "fingerprints": block.fingerprints[kept].astype(_HALF).tobytes(),
        "identities": block.identities[kept].astype(_HALF).tobytes(),
        "hashes": block.hashes.reshape(len(IDENTIFIERS), -1)[:, kept].astype(_LINE).tobytes(),
        "extras": _extras_at(parts["extras"], places),
        "bodies": packed_bodies(packed_lines, sizes, b"".join(bodies)),
    }


def before_values_without(block: bytes, lines: Collection[int]) -> dict[str, Any] | None:
    """Return the columns of a block of before-values without these lines; ``None`` where none is left."""
    # Each value is a list that begins with its line.
    kept = [value for value in orjson.loads(zlib.decompress(block)) if value[0] not in lines]
    if not kept:
        return None
    ends = {"first_line": kept[0][0], "last_line": kept[-1][0]}
    return {**ends, "row_count": len(kept), "block": zlib.compress(orjson.dumps(kept), 1)}


def _extras_at(packed: bytes, places: Mapping[int, int]) -> bytes:
    """Return what few records have, at their new places."""
    extras = orjson.loads(packed)
    moved: dict[str, Any] = {}
    if "lists" in extras:
        named = [(names, [places[at] for at in old if at in places]) for names, old in extras["lists"]]
        moved["lists"] = [(names, new) for names, new in named if new]
    if "clears" in extras:
        moved["clears"] = [places[at] for at in extras["clears"] if at in places]
    return orjson.dumps({name: value for name, value in moved.items() if value})
