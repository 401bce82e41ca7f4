"""The verbs that tell: tell_changes and send_test_alert."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from etl.config import DEFAULT_BASE_URL, environment, load_user_settings
from etl.errors import ConfigError, EtlError, StateError
from etl.monitor import Condition, Delivery, Notifier, Problem, SourceStatus, Status, family
from etl.monitor.alerts.changes import Alert, compose, scrubbed
from etl.monitor.alerts.channels import Channel, channels_of, effective
from etl.monitor.alerts.deliver import send_one
from etl.pipeline.context import Context
from etl.pipeline.verbs.status import status_of
from etl.sandbox import is_rehearsal
from etl.state import AlertBook, Failure


@dataclass(frozen=True, slots=True)
class Command:
    """A command that has ended: ``name``, and the ``source`` and ``kind`` of record that it was about.

    ``rule``: ``[notify]`` of its mapping, as it is written; ``error``: with which it ended, ``None`` where a run of its
    own says how it went.
    """

    name: str
    source: str
    kind: str = "profiles"
    rule: Mapping[str, Any] = field(default_factory=dict)
    error: EtlError | None = None

    @property
    def failure(self) -> EtlError | None:
        """The error, unless it says no more than that another process is at work."""
        return None if self.error is None or self.error.code in _NO_FAILURE else self.error


_NO_FAILURE: Final = ("run-locked", "lock-lost", "not-confirmed", "nothing-to-resume", "nothing-to-retry")


def tell_changes(
    *, context: Context | None = None, command: Command | None = None, max_age: float | None = None
) -> list[Delivery]:
    """Tell every change of condition since the last look, and deliver alerts that wait; return what was tried.

    ``command``: what has just ended. ``max_age``: see :func:`status_of`. Nothing is done where there is no state, but
    for an error, which is told at once. Raise StateError, ConfigError.
    """
    context = context or Context.create()
    user = load_user_settings().notify
    try:
        book = AlertBook.open(context.settings.state, context.clock)
    except StateError:
        if command is None or command.failure is None or not command.source:
            raise
        return _told_without_state(context, command, command.failure, effective_channels(command.rule))
    with book:
        if command is not None and command.source:
            if command.failure is not None:
                book.record_failure(_failure(context, command, command.failure))
            else:
                book.forget_failure(context.settings.label, command.source, command.kind)
        return Notifier(book, context.clock, user, environment()).tell(lambda: _look(context, command, max_age))


def effective_channels(rule: Mapping[str, Any]) -> list[Channel]:
    """Return the channels of ``[notify]`` of a mapping, as it is written, over the user's own. Raise ConfigError."""
    return channels_of(effective(load_user_settings().notify, rule), environment())


def send_test_alert(rule: Mapping[str, Any], *, context: Context | None = None) -> list[tuple[Channel, Delivery]]:
    """Send a test by each channel, and return how each did. ``rule``: ``[notify]`` of a mapping, as it is written.

    Raise ConfigError where no channel is set.
    """
    context = context or Context.create()
    channels = effective_channels(rule)
    if not channels:
        raise ConfigError(
            "notify-missing",
            "No channel is set",
            "Write [notify] into the mapping or your settings: klaviyo-etl docs operations.",
        )
    now = context.clock.now()
    one = SourceStatus("", "", "a test", "profiles", Condition.WELL, now)
    document = compose(one, None, uid=uuid.uuid4().hex, now=now, host=socket.gethostname())
    words = {"subject": "klaviyo-etl: a test", "text": "This is a test. Alerts arrive here.", "condition": "test"}
    alert = Alert.from_document({**document, **words})
    return [(channel, send_one(channel, alert, now)) for channel in channels]


def _look(context: Context, command: Command | None, max_age: float | None) -> Status:
    """Return the status, without rehearsals, and with what the mapping at hand says today."""
    found = status_of(context=context, max_age=max_age)
    real = context.settings.base_url == DEFAULT_BASE_URL
    sources = [one for one in found.sources if not (real and is_rehearsal(one.account, one.account_name))]
    if command is not None and command.rule:
        # The same file may go to another account by another mapping, whose own rule stands in state.
        key = (context.settings.label, family(command.source), command.kind)
        sources = [
            replace(one, rule=command.rule) if (one.label, one.source, one.kind) == key else one for one in sources
        ]
    return replace(found, sources=tuple(sources))


def _failure(context: Context, command: Command, error: EtlError) -> Failure:
    return Failure(
        label=context.settings.label,
        account=context.expected_account or "",
        source=command.source,
        kind=command.kind,
        failed_at=context.clock.now(),
        command=command.name,
        code=error.code,
        message=scrubbed(error.message),
        hint=scrubbed(error.hint),
        run=None,
    )


def _told_without_state(context: Context, command: Command, error: EtlError, channels: list[Channel]) -> list[Delivery]:
    """Tell an error although nothing can be written down: rather every night than not at all."""
    now = context.clock.now()
    problem = Problem(error.code, scrubbed(error.message), scrubbed(error.hint), now)
    one = SourceStatus(
        account=context.expected_account or "",
        account_name="",
        source=family(command.source),
        kind=command.kind,
        condition=problem.condition,
        since=now,
        problem=problem,
        next_step=problem.hint,
        label=context.settings.label,
    )
    document = compose(one, None, uid=uuid.uuid4().hex, now=now, host=socket.gethostname())
    return [send_one(channel, Alert.from_document(document), now) for channel in channels]
