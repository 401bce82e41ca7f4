"""Which tables and columns hold personal data, and what a purge makes of each: the one list that it goes by.

Every column of every table is in it, and a test fails for one that is not: who adds a table says here what it holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

_NOTHING: Final[Mapping[str, Any]] = {}


@dataclass(frozen=True, slots=True)
class PurgeRule:
    """What becomes of a table's rows when their run is purged.

    ``rows_go``: they are deleted. ``blanked``: column → what takes the place of what it held. ``kept``: columns that
    stay, since they name nobody, or since they must stay known. ``by_batch``: rows name their run through their batch.
    """

    kept: tuple[str, ...] = ()
    blanked: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    rows_go: bool = False
    by_batch: bool = False

    @property
    def changes(self) -> bool:
        """Whether a purge changes anything in the table."""
        return self.rows_go or bool(self.blanked)


_GO: Final = PurgeRule(rows_go=True)

PURGE_RULES: Final[Mapping[str, PurgeRule]] = {
    # --- of a run: cells, bodies, and whatever may quote them
    "blocks": _GO,
    "record_blocks": _GO,
    "records": _GO,
    "before_values": _GO,
    # Details and suggestions may quote a cell, or Klaviyo's words about one; what a code says by itself stays.
    "issues": PurgeRule(
        kept=("id", "run", "line", "stage", "code", "column_name", "severity", "left_out"),
        blanked={"detail": "", "suggestion": ""},
    ),
    "attempts": PurgeRule(
        kept=("batch", "number", "started_at", "ended_at", "reply", "status"), blanked={"detail": None}, by_batch=True
    ),
    "consents": PurgeRule(
        kept=("run", "line", "channel", "wish", "result"), blanked={"at": "", "source": "", "birthday": ""}
    ),
    # Klaviyo's id of a person stays with what is known of them (known_profiles), and nowhere else.
    "rows": PurgeRule(
        kept=("run", "line", "outcome", "code", "step", "unchanged", "primary_line", "batch", "ops"),
        blanked={"klaviyo_id": None},
    ),
    "profile_merges": _GO,
    # --- of a run: names of sources, columns and lists, counts, times, ids of Klaviyo's jobs
    "runs": PurgeRule(
        kept=(
            *("seq", "id", "status", "source", "mapping_hash", "mapping", "account", "command", "tool_version"),
            *("options", "parent", "pilot", "started_at", "staged_at", "finished_at", "details"),
        )
    ),
    "batches": PurgeRule(
        kept=(
            *("id", "run", "kind", "status", "members", "row_count", "lists", "size", "parent", "job_id"),
            *("expires_at", "attempts", "not_before", "sent_at", "resent", "adopted"),
        )
    ),
    "observations": PurgeRule(kept=("run", "line", "verdict", "fields", "observed_at")),
    "kept_fields": PurgeRule(kept=("run", "line", "fields")),
    "merges": PurgeRule(kept=("run", "line", "lines", "fields")),
    # --- what must stay known: digests of people, how far a query came, who opted out, who was deleted
    "known_profiles": PurgeRule(
        kept=("account", "identity", "fingerprint", "mapping_hash", "klaviyo_id", "confirmed_at", "run")
    ),
    "known_memberships": PurgeRule(kept=("account", "identity", "list_id")),
    "confirmed_profiles": PurgeRule(kept=("id", "run", "identity", "fingerprint", "klaviyo_id", "confirmed_at")),
    "confirmed_memberships": PurgeRule(kept=("id", "run", "identity", "list_id", "member")),
    "watermarks": PurgeRule(kept=("account", "source", "kind", "value", "run", "moved_at")),
    # Hashes of e-mails and ids, and the digits of phones: rows that are corrected years later still have to hear them.
    "source_opt_outs": PurgeRule(kept=("id", "run", "channel", "certain", "name", "hashes")),
    "notices": PurgeRule(
        kept=(
            *("id", "account", "event_id", "topic", "kind", "channel", "email", "phone_number", "profile_id"),
            *("happened_at", "received_at"),
        )
    ),
    "forgotten": PurgeRule(kept=("account", "digest", "person", "forgotten_at", "screen")),
    "salts": PurgeRule(kept=("name", "salt")),
    # --- of the server: a body is emptied, and its keys are deleted, as soon as Klaviyo has the request
    "outbox": PurgeRule(
        kept=(
            *("id", "kind", "body", "accepted_at", "attempts", "not_before", "done_at", "result", "uid"),
            *("owner", "owned_until", "progress", "account"),
        )
    ),
    "outbox_keys": PurgeRule(kept=("parcel", "key")),
    # --- of the program itself; its messages name nobody
    "failed_commands": PurgeRule(
        kept=(*("label", "source", "kind", "account", "failed_at", "command", "code", "message", "hint", "run"),)
    ),
    "told_conditions": PurgeRule(kept=("account", "source", "kind", "condition", "since")),
    "alerts": PurgeRule(
        kept=(
            "id",
            "account",
            "source",
            "kind",
            "raised_at",
            "body",
            "rule",
            "done_at",
            "owner",
            "owned_until",
        )
    ),
    "alert_deliveries": PurgeRule(kept=("alert", "channel", "attempts", "delivered_at", "problem")),
    "moves": PurgeRule(kept=("id", "status", "place", "at")),
    "migrations": PurgeRule(kept=("number", "name", "applied_at")),
    "owners": PurgeRule(kept=("account", "token", "holder")),
}
