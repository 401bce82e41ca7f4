"""Alerts to the services that apprise knows, a hundred and more; the extra ``notify`` brings it."""

from __future__ import annotations

from etl.errors import ConfigError
from etl.monitor.alerts.base import UndeliveredError
from etl.monitor.alerts.changes import Alert


def send(address: str, alert: Alert, _now: float) -> None:
    """Send an alert to an address of apprise. Raise UndeliveredError, ConfigError where apprise is not installed."""
    try:
        import apprise  # noqa: PLC0415 - a quarter of a second and 15 MB, of use to few
    except ModuleNotFoundError:
        raise ConfigError(
            "notify-extra", "[notify] services needs apprise", "pip install 'klaviyo-etl[notify]'"
        ) from None
    service = apprise.Apprise()
    if not service.add(address):
        raise UndeliveredError("apprise does not know such an address")
    if not service.notify(title=alert.subject, body=alert.text):
        raise UndeliveredError("the service did not take it")
