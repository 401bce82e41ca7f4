"""Merging two profiles by request (reference 3.3): queued, done later, answered at once with the destination.

What becomes of two consents is documented nowhere. Here the destination keeps what it has on a channel, and takes over
what only the source has, opt-outs and suppressions with the rest: an importer may rely on neither.
"""

from __future__ import annotations

from typing import Any, Final

from etl.sandbox.account import work_queue
from etl.sandbox.account.store import Store
from etl.sandbox.protocol import bodies
from etl.sandbox.protocol.jsonapi import ProblemError, Response, answer, invalid
from etl.sandbox.request import Context
from etl.sandbox.resources.profiles import merging
from etl.sandbox.resources.profiles.endpoints import missing

_SOURCES: Final = "/data/relationships/profiles/data"


def submit(context: Context) -> Response:
    """POST /api/profile-merge: exactly one source."""
    data = context.document(bodies.PROFILE_MERGE)
    destination = str(data["id"])
    named = [str(one["id"]) for one in data["relationships"]["profiles"]["data"]]
    if len(named) != 1:
        raise ProblemError(invalid("Exactly one source profile is allowed.", _SOURCES))
    if named[0] == destination:
        raise ProblemError(invalid("A profile cannot be merged into itself.", _SOURCES))
    for wanted in (destination, named[0]):
        if not context.store.find(id=[wanted]):
            raise ProblemError(missing(wanted))
    work = {"destination": destination, "source": named[0]}
    work_queue.put(context.store, "merge", work, context.now + context.settings.processing_seconds)
    own = f"{context.url}/api/profiles/{destination}"
    return answer(201, {"data": {"type": "profile", "id": destination, "links": {"self": own}}, "links": {"self": own}})


def run_merge(store: Store, work: dict[str, Any], now: float) -> None:
    """Merge; nothing happens where one of the two is gone by now."""
    destination, source = (store.find(id=[work[name]]) for name in ("destination", "source"))
    if destination and source:
        merging.absorb(destination[0], source[0])
        merging.merge(store, destination[0], source[0], now)
        store.save(destination)
