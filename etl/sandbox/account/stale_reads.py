"""Reads that lag behind writes, as Klaviyo's index of look-ups does. Only where a switch says so.

A writer calls :meth:`StaleReads.keep` to go on showing the old state for a while; a reader asks for what is shown now.
Klaviyo's own decisions always use the current state.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

import orjson

from etl.sandbox.protocol.switches import Switches

Kind = Literal["profile", "consent", "member", "former_member", "event", "metric", "list"]

_PROFILE: Final = (
    "seq", "id", "email", "email_key", "phone_number", "external_id", "attributes", "created", "updated",
)  # fmt: skip


class StaleReads:
    """How far reading lags behind. ``now``: when what is happening at this moment happens."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.now = 0.0
        self._seconds: Mapping[Kind, float] = {}

    def follow(self, switches: Switches) -> None:
        """Lag as the switches say."""
        self._seconds = {
            "profile": switches.profiles_visible_after,
            "consent": switches.consents_visible_after,
            "member": switches.members_visible_after,
            "former_member": switches.members_visible_after,
            "event": switches.events_visible_after,
            "metric": switches.events_visible_after,
            "list": switches.lists_visible_after,
        }

    def follows(self, kind: Kind) -> bool:
        """Whether what was there before a change has to be kept."""
        return self._seconds.get(kind, 0.0) > 0

    def keep(self, kind: Kind, key: int | str, shown: Any = None) -> None:
        """Let reading show for a while what there was before; ``None``: nothing."""
        if self.follows(kind):
            self._connection.execute(
                "INSERT INTO earlier VALUES (?, ?, ?, ?)",
                (kind, key, self.now + self._seconds[kind], None if shown is None else orjson.dumps(shown).decode()),
            )

    def shown(self, kind: Kind, keys: Iterable[int]) -> dict[int, Any]:
        """Return what is shown in place of the present, for those keys that lag."""
        rows = self._connection.execute(
            "SELECT key, min(until), shown FROM earlier WHERE kind = ? AND until > ? "
            "AND key IN (SELECT value FROM json_each(?)) GROUP BY key",
            (kind, self.now, orjson.dumps(list(keys)).decode()),
        )
        return {row["key"]: None if row["shown"] is None else orjson.loads(row["shown"]) for row in rows}

    def hidden(self, kind: Kind, key: str) -> str:
        """Return SQL that says whether something new is not shown yet; ``key`` is SQL too."""
        return (
            f"EXISTS (SELECT 1 FROM earlier h WHERE h.kind = '{kind}' AND h.key = {key} "  # noqa: S608 - text of ours
            f"AND h.until > {self.now!r})"
        )

    @property
    def profiles(self) -> str:
        """SQL for the table of profiles as it is shown."""
        if not self._any("profile"):
            return "profiles"
        lagging = f"FROM earlier WHERE kind = 'profile' AND until > {self.now!r}"
        columns = ", ".join(f"json_extract(shown, '$.{name}') AS {name}" for name in _PROFILE)
        return (
            f"(SELECT * FROM profiles WHERE seq NOT IN (SELECT key {lagging}) UNION ALL "  # noqa: S608 - text of ours
            f"SELECT {columns} FROM (SELECT min(until), shown {lagging} GROUP BY key) WHERE shown IS NOT NULL)"
        )

    @property
    def members(self) -> str:
        """SQL for the table of list memberships as it is shown."""
        if not self._any("member") and not self._any("former_member"):
            return "members"
        fresh = self.hidden("member", "m.list_id || ':' || m.profile")
        return (
            f"(SELECT * FROM members m WHERE NOT {fresh} UNION SELECT json_extract(shown, '$.list_id'), "  # noqa: S608
            f"json_extract(shown, '$.profile'), json_extract(shown, '$.joined_at') FROM earlier "
            f"WHERE kind = 'former_member' AND until > {self.now!r})"
        )

    def _any(self, kind: Kind) -> bool:
        query = "SELECT 1 FROM earlier WHERE kind = ? AND until > ? LIMIT 1"
        return self._connection.execute(query, (kind, self.now)).fetchone() is not None
