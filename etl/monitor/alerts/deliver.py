"""Changes of condition become alerts, and alerts reach their channels: each by each channel once."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from etl.config import NotifyRule
from etl.errors import ConfigError
from etl.model import Clock
from etl.monitor.alerts.base import UndeliveredError
from etl.monitor.alerts.changes import Alert, compose, is_change, is_told
from etl.monitor.alerts.channels import Channel, channels_of, effective
from etl.monitor.model import SourceStatus, Status, unknown_account
from etl.state import AlertBook, ToldCondition


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a channel did with an alert. ``problem``: empty where it arrived."""

    channel: str
    subject: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Notifier:
    """Tells changes. ``user``: ``[notify]`` of the user's own settings; ``environ``: what its variables mean."""

    book: AlertBook
    clock: Clock
    user: NotifyRule | None
    environ: Mapping[str, str]

    def tell(self, look: Callable[[], Status]) -> list[Delivery]:
        """Raise an alert for every change since the last look, and deliver what waits. Raise StateError.

        ``look``: reads the status, while no other process compares.
        """
        with self.book.comparing() as writer:
            for one in look().sources:
                rule = effective(self.user, one.rule)
                if not _channels_named(rule):
                    continue
                writer.renew_rule(one.key, dict(one.rule))
                told = writer.told(one.key) or writer.take_over(
                    (unknown_account(one.label), one.source, one.kind), one.key
                )
                before, since = (told.condition, told.since) if told is not None else (None, None)
                if not is_change(before, since, one):
                    continue
                writer.remember(one.key, ToldCondition(one.condition.value, one.since))
                if is_told(before, one.condition, rule.on):
                    writer.add(one.key, self._document(one, before), dict(one.rule))
        return self.deliver()

    def deliver(self) -> list[Delivery]:
        """Deliver what waits, oldest first. A channel that fails gets nothing more now, so that order is kept."""
        if not self.book.count_waiting():
            return []
        owner = uuid.uuid4().hex
        deliveries: list[Delivery] = []
        down: set[str] = set()
        try:
            for stored in self.book.claim(owner):
                alert = Alert.from_document(stored.body)
                channels, problem = self._channels(stored.rule)
                if problem:
                    deliveries.append(Delivery("[notify]", alert.subject, problem))
                    continue
                left = [one for one in channels if one.name not in stored.delivered]
                for channel in left:
                    if channel.name in down:
                        continue
                    delivery = send_one(channel, alert, self.clock.now())
                    self.book.note(stored.id, channel.name, delivery.problem)
                    deliveries.append(delivery)
                    if delivery.problem:
                        down.add(channel.name)
                if channels and not any(one.name in down for one in left):
                    self.book.finish(stored.id)
        finally:
            self.book.release(owner)
        return deliveries

    def _channels(self, rule: Mapping[str, Any]) -> tuple[list[Channel], str]:
        try:
            return channels_of(effective(self.user, rule), self.environ), ""
        except ConfigError as error:
            return [], error.message

    def _document(self, one: SourceStatus, before: str | None) -> dict[str, Any]:
        return compose(one, before, uid=uuid.uuid4().hex, now=self.clock.now(), host=socket.gethostname())


def send_one(channel: Channel, alert: Alert, now: float) -> Delivery:
    """Send an alert by one channel; what goes wrong is in the result."""
    try:
        channel.send(alert, now)
    except (UndeliveredError, ConfigError) as error:
        return Delivery(channel.name, alert.subject, str(getattr(error, "message", error)))
    return Delivery(channel.name, alert.subject)


def _channels_named(rule: NotifyRule) -> bool:
    return any((rule.webhook, rule.slack, rule.teams, rule.email, rule.services))
