"""What earlier imports confirmed: the last record of each identity, and its lists.

Confirming appends to two small logs in the transaction that settles the batch. Only the next run folds the logs into
the tables that answer questions, in the order of their keys: writing each batch there at once would touch a page per
row, ten times the work at a million identities.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from etl.state.db import schema
from etl.state.db.database import slices
from etl.state.db.engine import bulk, bulk_insert
from etl.state.records.blocks import Block
from etl.state.records.read import as_bytes, read_blocks

_CONFIRMED: Final = ("run", "identity", "fingerprint", "klaviyo_id", "confirmed_at")
_JOINED: Final = ("run", "identity", "list_id", "member")
_FOLD_PROFILES: Final = (
    "INSERT INTO known_profiles (account, identity, fingerprint, mapping_hash, klaviyo_id, confirmed_at, run) "
    "SELECT n.account, c.identity, c.fingerprint, n.mapping_hash, c.klaviyo_id, c.confirmed_at, c.run "
    "FROM confirmed_profiles c JOIN runs n ON n.seq = c.run "
    # Only the newest of an identity: PostgreSQL refuses to update one row twice in one statement.
    "WHERE c.id IN (SELECT max(l.id) FROM confirmed_profiles l JOIN runs m ON m.seq = l.run "
    "GROUP BY m.account, l.identity) "
    "ORDER BY n.account, c.identity "
    "ON CONFLICT (account, identity) DO UPDATE SET fingerprint = excluded.fingerprint, "
    "mapping_hash = excluded.mapping_hash, confirmed_at = excluded.confirmed_at, run = excluded.run, "
    "klaviyo_id = coalesce(excluded.klaviyo_id, known_profiles.klaviyo_id)"
)
_NEWEST_MEMBERSHIPS: Final = (
    "FROM confirmed_memberships c JOIN runs n ON n.seq = c.run WHERE c.member = {member} "
    "AND c.id IN (SELECT max(l.id) FROM confirmed_memberships l JOIN runs m ON m.seq = l.run "
    "GROUP BY m.account, l.identity, l.list_id) "
)
_FOLD_JOINED: Final = (
    "INSERT INTO known_memberships (account, identity, list_id) SELECT n.account, c.identity, c.list_id "
    + _NEWEST_MEMBERSHIPS.format(member=1)
    + "ORDER BY n.account, c.identity, c.list_id ON CONFLICT DO NOTHING"
)
_FOLD_LEFT: Final = (
    "DELETE FROM known_memberships "  # noqa: S608 - texts of ours
    "WHERE (account, identity, list_id) IN (SELECT n.account, c.identity, c.list_id "
    f"{_NEWEST_MEMBERSHIPS.format(member=0)})"
)


def fold(connection: Connection) -> None:
    """Move what the logs hold into the tables that answer questions."""
    for statement in (_FOLD_PROFILES, _FOLD_JOINED, _FOLD_LEFT):
        connection.exec_driver_sql(statement)
    connection.execute(schema.confirmed_profiles.delete())
    connection.execute(schema.confirmed_memberships.delete())


def confirm(connection: Connection, seq: int, lines: Sequence[int], now: float) -> None:
    """Log what these loaded rows sent."""
    rows = schema.rows
    ids: dict[int, str] = {}
    for part in slices(lines):
        query = sa.select(rows.c.line, rows.c.klaviyo_id).where(rows.c.run == seq, rows.c.line.in_(part))
        ids.update((row.line, row.klaviyo_id) for row in connection.execute(query) if row.klaviyo_id)
    for block in read_blocks(connection, seq, ("fingerprints", "identities"), lines):
        prints = as_bytes(block.fingerprints[block.chosen])
        values = [
            (seq, identity, fingerprint, ids.get(line), now)
            for (line, identity), fingerprint in zip(identities_of(block), prints, strict=True)
        ]
        bulk_insert(connection, schema.confirmed_profiles, _CONFIRMED, values)


def confirm_membership(connection: Connection, seq: int, lines: Sequence[int], list_id: str, *, member: bool) -> None:
    """Log that these rows are on a list, or no longer."""
    for block in read_blocks(connection, seq, ("identities",), lines):
        values = [(seq, identity, list_id, int(member)) for _, identity in identities_of(block)]
        bulk_insert(connection, schema.confirmed_memberships, _JOINED, values)


def forget(connection: Connection, seq: int, lines: Sequence[int], *, as_sent: bool = False) -> None:
    """Forget these people, in the tables and not in the logs, which are folded by now.

    ``as_sent``: only where what is known is what this run sent; a later one may have sent something else.
    """
    mine = "WHERE account = (SELECT account FROM runs WHERE seq = ?) AND identity = ?"
    for block in read_blocks(connection, seq, ("fingerprints", "identities"), lines):
        if as_sent:
            prints = as_bytes(block.fingerprints[block.chosen])
            values = [(seq, who, sent) for (_, who), sent in zip(identities_of(block), prints, strict=True)]
            bulk(connection, f"DELETE FROM known_profiles {mine} AND fingerprint = ?", values)  # noqa: S608
            continue
        for table in ("known_profiles", "known_memberships"):
            bulk(connection, f"DELETE FROM {table} {mine}", [(seq, who) for _, who in identities_of(block)])  # noqa: S608


def forget_membership(connection: Connection, seq: int, lines: Sequence[int], list_id: str) -> None:
    """Forget that these people are on a list."""
    for block in read_blocks(connection, seq, ("identities",), lines):
        bulk(
            connection,
            "DELETE FROM known_memberships WHERE account = (SELECT account FROM runs WHERE seq = ?) "
            "AND identity = ? AND list_id = ?",
            [(seq, who, list_id) for _, who in identities_of(block)],
        )


def identities_of(block: Block) -> Iterator[tuple[int, bytes]]:
    """Yield (line, identity) of the records asked for of a block."""
    return zip(block.lines[block.chosen].tolist(), as_bytes(block.identities[block.chosen]), strict=True)
