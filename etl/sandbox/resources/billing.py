"""The plan of the account and what of it is used (K: ``klaviyo-api`` 25.0.0, revision 2026-10-15)."""

from __future__ import annotations

from etl.sandbox.protocol import jsonapi
from etl.sandbox.protocol.jsonapi import Response
from etl.sandbox.request import Context

_PERIOD = 30 * 86_400.0


def usage(context: Context) -> Response:
    """GET /api/billing-usage. What its ids are is documented nowhere; profiles are counted as they are now."""
    count = context.store.connection.execute("SELECT count(*) FROM profiles").fetchone()[0]
    start = context.now - context.now % _PERIOD
    attributes = {
        "usage_used": count,
        "usage_max": context.settings.account.plan_profiles,
        "unit": "profiles",
        "period_start": jsonapi.moment(start),
        "period_end": jsonapi.moment(start + _PERIOD),
        "as_of": jsonapi.moment(context.now),
    }
    own = f"{context.url}/api/billing-usage/active_profiles"
    item = {"type": "billing-usage", "id": "active_profiles", "attributes": attributes, "links": {"self": own}}
    return context.collection([item], more=False, size=1)
