"""Which OTEL_* variables ask for what."""

from __future__ import annotations

import pytest

from etl.monitor.telemetry.asked import Asked, asked_of

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}


@pytest.mark.parametrize(
    ("environ", "asked"),
    [
        ({}, None),
        ({"OTEL_SERVICE_NAME": "nightly", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, None),
        (ENDPOINT, Asked(traces=True, metrics=True)),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "True"}, None),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "false"}, Asked(traces=True, metrics=True)),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, None),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c/v1/traces"}, Asked(traces=True, metrics=False)),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://c/v1/metrics"}, Asked(traces=False, metrics=True)),
        ({**ENDPOINT, "OTEL_METRICS_EXPORTER": "none"}, Asked(traces=True, metrics=False)),
        ({**ENDPOINT, "OTEL_METRICS_EXPORTER": "none", "OTEL_TRACES_EXPORTER": "none"}, None),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, Asked(traces=True, metrics=False)),
        ({**ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, Asked(traces=True, metrics=True)),
    ],
)
def test_what_is_asked_for(environ: dict[str, str], asked: Asked | None) -> None:
    assert asked_of(environ) == asked


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        (
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "OTEL_EXPORTER_OTLP_PROTOCOL asks for 'grpc'; http/protobuf is",
        ),
        ({"OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "http/json"}, "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL asks for"),
        ({"OTEL_TRACES_EXPORTER": "console"}, "OTEL_TRACES_EXPORTER names 'console'; otlp and none are known"),
        ({"OTEL_METRICS_EXPORTER": "prometheus"}, "OTEL_METRICS_EXPORTER names 'prometheus'"),
    ],
)
def test_what_cannot_be_had_is_said(environ: dict[str, str], words: str) -> None:
    asked = asked_of({**ENDPOINT, **environ})
    assert asked is not None
    assert asked.trouble.startswith(words)


def test_a_protocol_of_a_signal_wins_and_one_that_is_off_has_none() -> None:
    mixed = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"}
    asked = asked_of({**ENDPOINT, **mixed})
    assert asked is not None
    assert "OTEL_EXPORTER_OTLP_PROTOCOL" in asked.trouble
    off = asked_of({**ENDPOINT, **mixed, "OTEL_METRICS_EXPORTER": "none"})
    assert off == Asked(traces=True, metrics=False)
