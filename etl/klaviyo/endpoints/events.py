"""Events and metrics. An event that is accepted is not yet processed (reference 3.9); it can be read back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import quote

from etl.klaviyo import resources
from etl.klaviyo.resources import Event, Metric
from etl.klaviyo.transport.reply import Reply
from etl.klaviyo.transport.session import Connection, data_items
from etl.model import BatchKind
from etl.operations import Single


class EventEndpoints(Connection):
    """Single events, bulk events, what is there, and what the metrics are called."""

    def create_event(self, body: bytes) -> Reply:
        """POST one event. With a ``unique_id`` that is known already, Klaviyo keeps the first (reference 3.9)."""
        return self._change(Single.CREATE_EVENT, body)

    def create_events(self, body: bytes) -> Reply:
        """POST a bulk event job: at most 1,000 events, 5 MB. A ``unique_id`` twice refuses it whole (reference 3.9)."""
        return self._change(BatchKind.EVENTS, body)

    def event_pages(
        self,
        *,
        metric_id: str | None = None,
        profile_id: str | None = None,
        since: float | None = None,
        until: float | None = None,
        with_people: bool = True,
    ) -> Iterator[list[Event]]:
        """Yield events, oldest first, page by page: who reads decides how many to pay for.

        ``since`` and ``until``: epoch seconds, both included. ``with_people``: with the addresses of their profiles. A
        page has 1,000 events at most.
        """
        wanted = []
        if metric_id is not None:
            wanted.append(f'equals(metric_id,"{metric_id}")')
        if profile_id is not None:
            wanted.append(f'equals(profile_id,"{profile_id}")')
        if since is not None:
            wanted.append(f"greater-or-equal(datetime,{_moment(since)})")
        if until is not None:
            wanted.append(f"less-or-equal(datetime,{_moment(until)})")
        query = "page%5Bsize%5D=1000&sort=datetime"
        if with_people:
            query += "&include=profile&fields%5Bprofile%5D=email,phone_number,external_id"
        if wanted:
            query += f"&filter={quote(','.join(wanted), safe='(),')}"
        for reply in self._page_by_page(f"/api/events?{query}", "GET /api/events"):
            people = resources.included_profiles(reply.document)
            yield [resources.event_of(item, people) for item in data_items(reply)]

    def metrics(self) -> Iterator[Metric]:
        """Yield the account's metrics. Several may have one name, each of another integration."""
        yield from map(resources.metric_of, self._pages("/api/metrics", "GET /api/metrics"))


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
