"""What the server counts, for Prometheus: never who."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The counters of one server; a registry of its own, so that several can live in one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.deliveries = Counter(
            "klaviyo_etl_deliveries", "Webhook deliveries by what became of them", ["result"], registry=self._registry
        )
        self.opt_out_events = Counter(
            "klaviyo_etl_notices", "Events of webhooks by topic", ["topic"], registry=self._registry
        )
        self.seconds = Histogram(
            "klaviyo_etl_delivery_seconds",
            "Time until a delivery was on the disk and answered",
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0),
            registry=self._registry,
        )
        self.requests = Counter(
            "klaviyo_etl_requests", "Requests of forms and checkouts", ["path", "status"], registry=self._registry
        )
        self.untimed = Counter(
            "klaviyo_etl_notices_untimed",
            "Events whose time cannot be, taken as happened when they were received",
            registry=self._registry,
        )
        self.consents = Counter(
            "klaviyo_etl_form_consents", "Consents of forms by what became of them", ["result"], registry=self._registry
        )
        self.messages = Counter(
            "klaviyo_etl_outbox_settled",
            "Accepted requests that came to their end",
            ["kind", "result"],
            registry=self._registry,
        )
        self.troubles = Gauge(
            "klaviyo_etl_trouble",
            "1 for each part that cannot work, by reason",
            ["part", "reason"],
            registry=self._registry,
        )
        self.held = Gauge("klaviyo_etl_body_bytes", "Bytes of bodies in hand", registry=self._registry)
        self.waiting = Gauge(
            "klaviyo_etl_outbox_waiting", "Accepted requests that Klaviyo does not have yet", registry=self._registry
        )

    def render(self) -> bytes:
        """Return the page that Prometheus reads."""
        return bytes(generate_latest(self._registry))
