"""What the standard OTEL_* variables ask for. Imports nothing of OpenTelemetry, since most ask for nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_SPOKEN: Final = "http/protobuf"


@dataclass(frozen=True, slots=True)
class Asked:
    """Which signals are exported. ``trouble``: a sentence for a person, where what is asked for cannot be had."""

    traces: bool
    metrics: bool
    trouble: str = ""


def asked_of(environ: Mapping[str, str]) -> Asked | None:
    """Return what the variables ask for, ``None`` where that is nothing.

    As OpenTelemetry's own rules have it: ``OTEL_SDK_DISABLED`` wins; ``OTEL_TRACES_EXPORTER`` and
    ``OTEL_METRICS_EXPORTER`` (``otlp`` or ``none``) decide, an endpoint alone asks for ``otlp``.
    https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
    """
    if _value(environ, "OTEL_SDK_DISABLED").lower() == "true":
        return None
    wanted = {signal: _exporter(environ, signal) for signal in ("TRACES", "METRICS")}
    signals = [signal for signal, exporter in wanted.items() if exporter not in {"", "none"}]
    if not signals:
        return None
    trouble = next(filter(None, (_trouble(environ, signal, wanted[signal]) for signal in signals)), "")
    return Asked(traces="TRACES" in signals, metrics="METRICS" in signals, trouble=trouble)


def _exporter(environ: Mapping[str, str], signal: str) -> str:
    named = _value(environ, f"OTEL_{signal}_EXPORTER").lower()
    endpoint = _either(environ, signal, "ENDPOINT")[1]
    return named or ("otlp" if endpoint else "")


def _trouble(environ: Mapping[str, str], signal: str, exporter: str) -> str:
    if exporter != "otlp":
        return f"OTEL_{signal}_EXPORTER names {exporter!r}; otlp and none are known"
    name, protocol = _either(environ, signal, "PROTOCOL")
    if protocol and protocol.lower() != _SPOKEN:
        return f"{name} asks for {protocol!r}; {_SPOKEN} is spoken here, by collectors at port 4318"
    return ""


def _either(environ: Mapping[str, str], signal: str, what: str) -> tuple[str, str]:
    """Return the name and value of a signal's own variable, else of that for all signals."""
    names = (f"OTEL_EXPORTER_OTLP_{signal}_{what}", f"OTEL_EXPORTER_OTLP_{what}")
    return next(((name, value) for name in names if (value := _value(environ, name))), ("", ""))


def _value(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name, "").strip()
