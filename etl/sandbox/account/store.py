"""Where the sandbox keeps its account: SQLite, in a file or in memory, so that several runs meet the same profiles."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from etl.errors import UsageError
from etl.sandbox.account.schema import SCHEMA, TABLES
from etl.sandbox.account.stale_reads import StaleReads
from etl.sandbox.protocol import jsonapi

_BY_SECONDARY = "SELECT profile FROM secondary_emails WHERE email_key IN (SELECT value FROM json_each(?1))"
_PRIVATE: Final = 0o600
_BESIDE: Final = ("-wal", "-shm", "-journal")


@dataclass(slots=True)
class Profile:
    """A profile in memory. ``attributes`` holds everything but the identifiers."""

    seq: int
    email: str | None
    phone_number: str | None
    external_id: str | None
    attributes: dict[str, Any]
    created: float
    updated: float
    secondary: tuple[str, ...] = ()
    """Keys of further e-mail addresses, where it was looked up by an identifier."""

    @property
    def id(self) -> str:
        """Klaviyo's id."""
        return jsonapi.profile_id(self.seq)


class Store:
    """The tables. Not thread-safe by itself: the core holds a lock around every request."""

    def __init__(self, path: Path | None) -> None:
        if path is not None:
            _prepare(path)
        self.connection = sqlite3.connect(path or ":memory:", check_same_thread=False, isolation_level=None)
        self.connection.row_factory = sqlite3.Row
        # A sandbox that loses its last second in a power cut is no loss.
        self.connection.executescript("PRAGMA synchronous=OFF; PRAGMA journal_mode=WAL;" + SCHEMA)
        self.lag = StaleReads(self.connection)

    def close(self) -> None:
        """Let go of the file."""
        self.connection.close()

    def reset(self) -> None:
        """Forget everything."""
        for table in TABLES:
            self.connection.execute(f"DELETE FROM {table}")  # noqa: S608 - names of ours

    def begin(self) -> None:
        """Start a transaction."""
        self.connection.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Keep it."""
        self.connection.execute("COMMIT")

    def rollback(self) -> None:
        """Drop it."""
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")

    def find(self, **columns: Sequence[str]) -> list[Profile]:
        """Return the profiles of which some column (``id``, ``email_key``, ...) is among the values."""
        found: dict[int, Profile] = {}
        for column, values in columns.items():
            if values:
                query = f"SELECT * FROM profiles WHERE {column} IN (SELECT value FROM json_each(?1))"  # noqa: S608 - names of ours
                if column == "email_key":
                    query += f" OR seq IN ({_BY_SECONDARY})"
                for row in self.connection.execute(query, (orjson.dumps(list(values)).decode(),)):
                    found[row["seq"]] = profile_of(row)
        for seq, keys in self._secondary(list(found)).items():
            found[seq].secondary = tuple(keys)
        return list(found.values())

    def _secondary(self, numbers: list[int]) -> dict[int, list[str]]:
        keys: dict[int, list[str]] = {}
        if self.connection.execute("SELECT 1 FROM secondary_emails LIMIT 1").fetchone():
            query = "SELECT profile, email_key FROM secondary_emails WHERE profile IN (SELECT value FROM json_each(?))"
            for row in self.connection.execute(query, (orjson.dumps(numbers).decode(),)):
                keys.setdefault(row["profile"], []).append(row["email_key"])
        return keys

    def next_profile(self) -> int:
        """Return the number that the next new profile gets; the number of a deleted one never comes back."""
        query = "SELECT coalesce(max(seq), 0) + 1 FROM (SELECT seq FROM profiles UNION ALL SELECT seq FROM deleted)"
        return int(self.connection.execute(query).fetchone()[0])

    def save(self, profiles: Iterable[Profile]) -> None:
        """Insert or replace profiles. Identifiers that moved between them are let go of first."""
        kept = list(profiles)
        self._show_for_a_while(profile.seq for profile in kept)
        self.connection.executemany(
            "UPDATE profiles SET email_key = NULL, phone_number = NULL, external_id = NULL WHERE seq = ?",
            [(profile.seq,) for profile in kept],
        )
        self.connection.executemany(
            "INSERT INTO profiles VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (seq) DO UPDATE SET "
            "email = excluded.email, email_key = excluded.email_key, phone_number = excluded.phone_number, "
            "external_id = excluded.external_id, attributes = excluded.attributes, updated = excluded.updated",
            [
                (
                    profile.seq,
                    profile.id,
                    profile.email,
                    profile.email.lower() if profile.email else None,
                    profile.phone_number,
                    profile.external_id,
                    orjson.dumps(profile.attributes),
                    profile.created,
                    profile.updated,
                )
                for profile in kept
            ],
        )

    def _show_for_a_while(self, numbers: Iterable[int]) -> None:
        if not self.lag.follows("profile"):
            return
        for seq in numbers:
            row = self.connection.execute("SELECT * FROM profiles WHERE seq = ?", (seq,)).fetchone()
            self.lag.keep("profile", seq, None if row is None else shown_later(row))

    def join(self, list_id: str, profiles: Iterable[int], now: float) -> list[int]:
        """Put profiles on a list; who is there stays. Return who is new to it."""
        joining = "INSERT INTO members SELECT ?, value, ? FROM json_each(?) WHERE true ON CONFLICT DO NOTHING"
        values = (list_id, now, orjson.dumps(list(profiles)).decode())
        joined = [int(row[0]) for row in self.connection.execute(f"{joining} RETURNING profile", values)]
        for seq in joined:
            self.lag.keep("member", f"{list_id}:{seq}")
        return joined

    def leave(self, list_id: str, profiles: Iterable[int]) -> None:
        """Take profiles off a list."""
        leaving = "DELETE FROM members WHERE list_id = ? AND profile IN (SELECT value FROM json_each(?)) RETURNING *"
        for row in self.connection.execute(leaving, (list_id, orjson.dumps(list(profiles)).decode())).fetchall():
            self.lag.keep("former_member", f"{list_id}:{row['profile']}", dict(row))

    def known_lists(self, ids: Sequence[str]) -> list[str]:
        """Return which of the ids are lists."""
        query = "SELECT id FROM lists WHERE id IN (SELECT value FROM json_each(?))"
        return [row[0] for row in self.connection.execute(query, (orjson.dumps(list(ids)).decode(),))]

    def create_list(self, name: str, opt_in_process: str, now: float) -> str:
        """Create a list; return its id."""
        cursor = self.connection.execute(
            "INSERT INTO lists (name, opt_in_process, created, updated) VALUES (?, ?, ?, ?)",
            (name, opt_in_process, now, now),
        )
        list_id = jsonapi.list_id(int(cursor.lastrowid or 0))
        self.connection.execute("UPDATE lists SET id = ? WHERE seq = ?", (list_id, cursor.lastrowid))
        return list_id


def shown_later(row: sqlite3.Row) -> dict[str, Any]:
    """Return a row of the profiles as it is kept to be shown for a while."""
    return {**dict(row), "attributes": orjson.loads(row["attributes"])}


def forget(path: Path) -> bool:
    """Delete the account in a file, with all its people; whether there was one. Raise :class:`UsageError`."""
    if not path.exists():
        return False
    _demand_ours(path)
    for name in (path.name, *(f"{path.name}{end}" for end in _BESIDE)):
        try:
            path.with_name(name).unlink(missing_ok=True)
        except OSError as error:
            raise UsageError("sandbox-data", f"{path} cannot be deleted: {error.strerror}", "Delete it.") from None
    return True


def _prepare(path: Path) -> None:
    """Make the file, or make it private if it is ours. SQLite gives the files beside it the same mode."""
    try:
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, _PRIVATE))
            return
        _demand_ours(path)
        for each in (path, *(path.with_name(f"{path.name}{end}") for end in _BESIDE)):
            if each.exists() and stat.S_IMODE(each.stat().st_mode) & 0o077:
                each.chmod(_PRIVATE)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "its name holds a NUL"
        raise UsageError(
            "sandbox-data", f"{path} cannot be opened: {why}", "Choose another file with --data."
        ) from None


def _demand_ours(path: Path) -> None:
    """Raise :class:`UsageError` for a file that holds something else."""
    if path.is_file() and path.stat().st_size == 0:
        return
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error:
        names = set()
    if not path.is_file() or not names >= {"profiles", "lists", "jobs"}:
        raise UsageError("sandbox-data", f"{path} is not a sandbox's data", "Choose another file with --data.")


def profile_of(row: sqlite3.Row) -> Profile:
    """Return the profile in a row of the table."""
    return Profile(
        row["seq"],
        row["email"],
        row["phone_number"],
        row["external_id"],
        orjson.loads(row["attributes"]),
        row["created"],
        row["updated"],
    )
