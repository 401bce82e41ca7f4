"""Finding rows that were imported a moment ago: patience wherever absence matters.

What Klaviyo has confirmed its readers may see only later. So a row is sought by what is surest first: the id that state
knows, the profiles that its job names, its identifiers; and then once more, until patience is at its end. Then nobody
can say where it is: it is ``unknown``, and may be sent again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from etl.errors import RequestRefusedError
from etl.identity import identity_key
from etl.klaviyo import KlaviyoClient, Profile
from etl.load.profiles.lookup import find_profiles, lines_by_key
from etl.load.task import InterruptedLoadError, LoadTask
from etl.model import IDENTIFIERS, Outcome, RowResult

_FIRST_WAIT: Final = 2.0
_LONGEST_WAIT: Final = 20.0
_WORTH_READING: Final = 20
"""Profiles of a job that may be read for each row that is sought: by identifier a hundred rows cost one request."""
_SMALL: Final = 1_000
"""Profiles of a job that may be read in any case."""


class Seeker:
    """Finds rows with patience, which is that of one process: it is spent once."""

    def __init__(self, task: LoadTask) -> None:
        self._task = task
        self._store = task.store
        self._client = task.client
        self._until: float | None = None

    def seek(self, lines: Sequence[int]) -> list[RowResult]:
        """Keep the ids of these rows in state; return the rows that Klaviyo does not show."""
        known = self._store.klaviyo_ids.of(self._task.run_id, lines)
        unknown = [line for line in lines if line not in known]
        if not unknown:
            return []
        bodies = self._store.records.bodies(self._task.run_id, unknown)
        left = {line: orjson.loads(body)["attributes"] for line, body in zip(unknown, bodies, strict=True)}
        jobs = self._store.history.jobs_of(self._task.run_id, unknown)
        cheap = [job for job, rows in jobs.items() if rows.of <= max(_SMALL, _WORTH_READING * len(rows.lines))]
        self._among_jobs(cheap, left)
        self._by_identifier(left)
        self._among_jobs([job for job in jobs if job not in cheap], left)
        wait = _FIRST_WAIT
        while left and self._wait(wait):
            wait = min(2 * wait, _LONGEST_WAIT)
            self._by_identifier(left)
            self._among_jobs(cheap, left)
        return [RowResult(line, Outcome.UNKNOWN, "profile-not-found") for line in left]

    def look_for(self, wanted: Mapping[int, Mapping[str, Any]]) -> dict[int, Profile]:
        """Return line → profile for the rows that Klaviyo has. ``wanted``: line → attributes.

        Where an earlier import was confirmed, that Klaviyo shows nothing is waited out: it would be written over.
        """
        found = find_profiles(self._client, wanted)
        absent = {line: attributes for line, attributes in wanted.items() if line not in found}
        known = self._store.known.lines(self._task.run_id, list(absent)) if absent else frozenset[int]()
        left = {line: attributes for line, attributes in absent.items() if line in known}
        wait = _FIRST_WAIT
        while left:
            ids = self._store.klaviyo_ids.of(self._task.run_id, list(left))
            seen = find_profiles(self._client, left, ids)
            found |= seen
            left = {line: attributes for line, attributes in left.items() if line not in seen}
            if not left or not self._wait(wait):
                break
            wait = min(2 * wait, _LONGEST_WAIT)
        return found

    def _wait(self, seconds: float) -> bool:
        """Wait, at most as long as patience lasts; return whether it was not at its end."""
        now = self._task.clock.monotonic()
        if self._until is None:
            self._until = now + self._task.retry_policy.visible_within
        if now >= self._until:
            return False
        if not self._task.pause(min(seconds, self._until - now)):
            raise InterruptedLoadError
        return True

    def _by_identifier(self, left: dict[int, Mapping[str, Any]]) -> None:
        self._keep(left, find_profiles(self._client, left) if left else {})

    def _among_jobs(self, jobs: Sequence[str], left: dict[int, Mapping[str, Any]]) -> None:
        for job in jobs:
            if left:
                self._keep(left, found_in_job(self._client, job, left))

    def _keep(self, left: dict[int, Mapping[str, Any]], found: Mapping[int, Profile]) -> None:
        self._store.klaviyo_ids.remember(self._task.run_id, {line: profile.id for line, profile in found.items()})
        for line in found:
            del left[line]


def found_in_job(client: KlaviyoClient, job: str, wanted: Mapping[int, Mapping[str, Any]]) -> dict[int, Profile]:
    """Return line → profile for those of these rows that a job says it made or changed; none once it has expired."""
    asked = {name: lines_by_key(wanted, name) for name in IDENTIFIERS}
    found: dict[int, Profile] = {}
    try:
        for profile in client.job_profiles(job):
            for name in IDENTIFIERS:
                if isinstance(value := profile.attributes.get(name), str) and value:
                    found.update(dict.fromkeys(asked[name].get(identity_key(name, value), ()), profile))
    except RequestRefusedError:
        return found
    return found
