"""Webhooks of the account: they need Advanced KDP or an app (reference 3.11)."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from etl.klaviyo import resources
from etl.klaviyo.resources import Webhook
from etl.klaviyo.transport.session import Connection, data_item
from etl.operations import Single


class WebhookEndpoints(Connection):
    """Create, list, delete; one request a second, fifteen a minute."""

    def webhooks(self) -> list[Webhook]:
        """Return the account's webhooks; their secrets are never told."""
        return [
            resources.webhook_of(item)
            for item in self._pages("/api/webhooks?include=webhook-topics", "GET /api/webhooks")
        ]

    def webhook_topics(self) -> list[str]:
        """Return the ids of the topics that can be subscribed to, such as ``event:klaviyo.bounced_email``."""
        return [str(item.get("id") or "") for item in self._pages("/api/webhook-topics", "GET /api/webhook-topics")]

    def create_webhook(self, name: str, url: str, secret: str, topics: Sequence[str]) -> Webhook:
        """Create a webhook. Not idempotent: only what surely did not arrive is sent again."""
        relationships = {"webhook-topics": {"data": [{"type": "webhook-topic", "id": topic} for topic in topics]}}
        attributes = {"name": name, "endpoint_url": url, "secret_key": secret}
        data = {"type": "webhook", "attributes": attributes, "relationships": relationships}
        body = orjson.dumps({"data": data})
        reply = self._until_answered(lambda: self._change(Single.CREATE_WEBHOOK, body), safe=False)
        return resources.webhook_of(data_item(reply))

    def delete_webhook(self, webhook_id: str) -> bool:
        """Delete a webhook; whether it was there."""
        reply = self._until_answered(lambda: self._change(Single.DELETE_WEBHOOK, of=webhook_id), missing_ok=True)
        return reply.status != 404  # noqa: PLR2004 - not found
