"""How a list reads."""

from __future__ import annotations

import sqlite3
from typing import Any

from etl.sandbox.protocol import jsonapi


def list_document(row: sqlite3.Row, url: str, count: int | None = None) -> dict[str, Any]:
    """Return a list as JSON:API; ``count`` only where it was asked for."""
    attributes: dict[str, Any] = {
        "name": row["name"],
        "created": jsonapi.moment(row["created"]),
        "updated": jsonapi.moment(row["updated"]),
        "opt_in_process": row["opt_in_process"],
    }
    if count is not None:
        attributes["profile_count"] = count
    own = f"{url}/api/lists/{row['id']}"
    related = {
        name: {"links": {"self": f"{own}/relationships/{name}", "related": f"{own}/{name}"}}
        for name in ("profiles", "tags", "flow-triggers")
    }
    return {"type": "list", "id": row["id"], "attributes": attributes, "relationships": related, "links": {"self": own}}
