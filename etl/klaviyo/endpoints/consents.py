"""Consent and suppression. Nobody can be asked how a call went: only the profiles tell (reference 3.7, 3.8)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal

import orjson

from etl.klaviyo import resources
from etl.klaviyo.resources import Profile
from etl.klaviyo.transport.reply import Reply
from etl.klaviyo.transport.session import Connection, chunk_values, filter_any
from etl.model import BatchKind
from etl.operations import OPERATIONS

_WITH_CONSENT: Final = "additional-fields%5Bprofile%5D=subscriptions"


class ConsentEndpoints(Connection):
    """Subscribe, unsubscribe, suppress, unsuppress, and reading back what is so."""

    def subscribe(self, body: bytes) -> Reply:
        """POST a subscribe job: at most 1,000 profiles. 202 without a job: there is nothing to poll (reference 3.7).

        It lifts the suppressions UNSUBSCRIBE, SPAM_REPORT and USER_SUPPRESSED, and may mail a confirmation.
        """
        return self._change(BatchKind.SUBSCRIBE_EMAIL, body)

    def await_subscribing(self) -> None:
        """Wait until a subscribe request may leave at once, so that nothing lies between a look at people and it."""
        self._pause(lambda: self.wait_for(OPERATIONS[BatchKind.SUBSCRIBE_EMAIL].endpoint))

    def unsubscribe(self, body: bytes) -> Reply:
        """POST an unsubscribe job: at most 100 profiles (reference 3.7)."""
        return self._change(BatchKind.UNSUBSCRIBE_EMAIL, body)

    def suppress(self, emails: Sequence[str]) -> Reply:
        """Suppress at most 100 addresses (reference 3.8)."""
        return self._suppression(BatchKind.SUPPRESS, "profile-suppression-bulk-create-job", emails)

    def unsuppress(self, emails: Sequence[str]) -> Reply:
        """Lift the suppressions that a person set, of at most 100 addresses; others stay (reference 3.8)."""
        return self._suppression(BatchKind.UNSUPPRESS, "profile-suppression-bulk-delete-job", emails)

    def profiles_with_consent(
        self, field: Literal["email", "phone_number", "id"], values: Iterable[str]
    ) -> Iterator[Profile]:
        """Yield the profiles that have one of the values, with their ``subscriptions``; 100 a request."""
        for part in chunk_values(field, list(dict.fromkeys(values))):
            path = f"/api/profiles?page%5Bsize%5D=100&{_WITH_CONSENT}&filter={filter_any(field, part)}"
            yield from map(resources.profile_of, self._pages(path, "GET /api/profiles"))

    def _suppression(self, kind: BatchKind, job: str, emails: Sequence[str]) -> Reply:
        profiles = [{"type": "profile", "attributes": {"email": email}} for email in emails]
        body = orjson.dumps({"data": {"type": job, "attributes": {"profiles": {"data": profiles}}}})
        return self._change(kind, body)
