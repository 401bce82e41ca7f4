"""Merging profiles: queued, done later, never undone (reference 3.3)."""

from __future__ import annotations

import orjson

from etl.klaviyo.transport.reply import Reply
from etl.klaviyo.transport.session import Connection
from etl.operations import Single


class MergeEndpoints(Connection):
    """One profile into another."""

    def merge_profiles(self, destination: str, source: str) -> Reply:
        """POST a merge: the source's data go to the destination, the source is deleted. There is nothing to poll."""
        data = {
            "type": "profile-merge",
            "id": destination,
            "relationships": {"profiles": {"data": [{"type": "profile", "id": source}]}},
        }
        return self._change(Single.MERGE_PROFILES, orjson.dumps({"data": data}))
