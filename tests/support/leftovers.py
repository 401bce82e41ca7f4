"""Looks for bytes of people wherever an importer may have left them: files as they are, and databases read through."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from etl.state import Store
from etl.state.db import schema
from etl.state.records.blocks import Block
from etl.state.records.chunks import read_cells

_WINDOW = 24
_EVERY = 400
_CHECKSUM = 16


def stored_bytes(store: Store) -> list[bytes]:
    """Return pieces of every block of cells and bodies as they lie in the database, compressed."""
    pieces = []
    for name, columns in {"blocks": ("cells",), "record_blocks": ("bodies",), "before_values": ("block",)}.items():
        table = schema.metadata.tables[name]
        with store.database.read() as connection:
            for row in connection.execute(sa.select(*(table.c[column] for column in columns))):
                for data in map(bytes, row):
                    starts = range(_CHECKSUM, max(len(data) - _WINDOW, _CHECKSUM + 1), _EVERY)
                    pieces += [data[start : start + _WINDOW] for start in starts]
    return pieces


def left_in_files(paths: Iterable[Path], needles: Iterable[bytes]) -> dict[str, list[bytes]]:
    """Return file → what of the needles its bytes hold, those of a workbook's parts included."""
    wanted = list(needles)
    found: dict[str, list[bytes]] = {}
    for path in paths:
        for part in _contents(path):
            if here := [needle for needle in wanted if needle in part]:
                found.setdefault(path.name, []).extend(here)
    return found


def left_in_tables(store: Store, needles: Iterable[bytes]) -> dict[str, list[bytes]]:
    """Return table.column → what of the needles its values hold, those of unpacked blocks included."""
    wanted = list(needles)
    found: dict[str, list[bytes]] = {}
    for table in schema.metadata.sorted_tables:
        with store.database.read() as connection:
            rows = connection.execute(sa.select(table)).mappings().all()
        for row in rows:
            for column, value in _values(table.name, dict(row)):
                if here := [needle for needle in wanted if needle in value]:
                    found.setdefault(f"{table.name}.{column}", []).extend(here)
    return found


def files_of_state(store: Store, folder: Path) -> list[Path]:
    """Return every file under a folder and, on PostgreSQL, those of the state's tables where they can be read.

    A table that was written anew is on the disk; of others the server may hold changes in memory.
    """
    paths = [path for path in folder.rglob("*") if path.is_file()]
    if store.database.engine.dialect.name != "postgresql":
        return paths
    query = """
        SELECT current_setting('data_directory') || '/' || pg_relation_filepath(c.oid)
        FROM pg_class c LEFT JOIN pg_class t ON t.reltoastrelid = c.oid
        WHERE coalesce(t.relnamespace, c.relnamespace) = current_schema()::regnamespace
        AND pg_relation_filepath(c.oid) IS NOT NULL
    """
    with store.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        relations = [Path(name) for name in connection.exec_driver_sql(query).scalars()]
    return [*paths, *(path for path in relations if path.exists())]


def _contents(path: Path) -> Iterator[bytes]:
    yield path.read_bytes()
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            yield from (archive.read(name) for name in archive.namelist())


def _values(table: str, row: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    for column, value in row.items():
        if isinstance(value, str):
            yield column, value.encode()
        elif isinstance(value, bytes | memoryview):
            yield column, bytes(value)
    if table == "blocks":
        yield "cells", read_cells(bytes(row["cells"])).to_csv().encode()
    if table == "before_values":
        yield "block", zlib.decompress(bytes(row["block"]))
    if table == "record_blocks":
        block = Block(row, {})
        yield "bodies", b"\n".join(block.bodies(np.arange(len(block.lines))).values())
