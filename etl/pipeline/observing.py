"""A command whose stages and requests are noted, and exported where the OTEL_* variables ask for it."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from etl.monitor.telemetry.asked import Asked, asked_of
from etl.monitor.telemetry.record import Record
from etl.monitor.telemetry.timing import error_type

if TYPE_CHECKING:
    from etl.klaviyo import Exchange, ExchangeHook
    from etl.pipeline.context import Context

_PATIENCE: Final = 5.0
"""Seconds that a command waits at most for a collector; an import has ended by then, and owes it nothing."""
_IMPORTING: Final = ("check", "plan", "run", "resume", "retry", "verify", "undo", "events", "suppress")
_OFF: Final = "OTEL_SDK_DISABLED=true asks for none."


@contextlib.contextmanager
def observed(context: Context, command: str) -> Iterator[Context]:
    """Yield a context whose stages and requests are exported at the end, if the OTEL_* variables ask for it.

    ``command``: what the user calls. One that staged and loaded nothing exports nothing, but for an import that an
    error ended before that. What goes wrong is one sentence to ``context.announce``: it costs at most a few seconds,
    and changes nothing of how the command ends.
    """
    asked = asked_of(os.environ)
    if asked is None:
        yield context
        return
    if asked.trouble:
        context.announce(f"warning [telemetry-off]: {asked.trouble}. {_OFF}")
        yield context
        return
    record = Record(command, context.clock, context.expected_account, context.settings.label)
    error: str | None = None
    try:
        yield replace(context, observer=record, on_exchange=_both(record, context.on_exchange))
    except BaseException as raised:
        error = error_type(raised)
        raise
    finally:
        record.finish(error)
        if (record.stages or (error is not None and command in _IMPORTING)) and (trouble := _export(record, asked)):
            context.announce(f"warning {trouble}")


def _both(record: Record, other: ExchangeHook | None) -> ExchangeHook:
    if other is None:
        return record.requested

    def tell(exchange: Exchange) -> None:
        record.requested(exchange)
        other(exchange)

    return tell


def _export(record: Record, asked: Asked) -> str:
    """Export a record within bounded time; return what went wrong. Whatever the library raises, nobody else hears."""
    told: list[str] = []

    def work() -> None:
        try:
            from etl.monitor.telemetry.export import export  # noqa: PLC0415 - 0.1 s and an extra that few ask for
        except ImportError:
            told.append(f"[telemetry-off]: opentelemetry is not installed: pip install 'klaviyo-etl[otel]'. {_OFF}")
            return
        try:
            missed = export(record, asked)
        except Exception as error:  # noqa: BLE001 - a foreign library, whose failure is no failure of an import
            told.append(f"[telemetry-undelivered]: OpenTelemetry failed: {type(error).__name__}")
            return
        told.append(f"[telemetry-undelivered]: the collector did not take {' and '.join(missed)}" if missed else "")

    # A daemon: what hangs in it must not keep the process.
    thread = threading.Thread(target=work, name="telemetry", daemon=True)
    thread.start()
    thread.join(_PATIENCE)
    return told[0] if told else f"[telemetry-undelivered]: the collector did not answer within {_PATIENCE:.0f} seconds"
