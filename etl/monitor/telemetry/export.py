"""A record as OpenTelemetry has it: one trace and a few metrics. The only module that imports the library."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any, Final

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import Meter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    MetricExportResult,
    MetricReader,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Span, Status, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from etl.monitor.telemetry.asked import Asked
from etl.monitor.telemetry.record import Record, RunFacts, StageRecord
from etl.version import VERSION

_NAME: Final = "klaviyo-etl"
_TIMEOUT: Final = 2.0
"""Seconds for a request to the collector, where no variable says otherwise: it stands next to us, or it is down."""
_BOUNDARIES: Final = (0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 1800, 3600, 7200, 14400)
"""Of the histogram of a stage's seconds: the library's own are made for milliseconds."""


def export(record: Record, asked: Asked) -> list[str]:
    """Send a record to the collector that the OTEL_* variables name; return which signals it did not take."""
    missed = []
    if asked.traces and not export_spans(record, OTLPSpanExporter(timeout=_timeout("TRACES"))):
        missed.append("spans")
    if asked.metrics:
        exporter: Any = _Noting(OTLPMetricExporter(timeout=_timeout("METRICS")))
        export_metrics(record, PeriodicExportingMetricReader(exporter, export_interval_millis=math.inf))
        if not exporter.taken:
            missed.append("metrics")
    return missed


def export_spans(record: Record, exporter: SpanExporter) -> bool:
    """Send the trace of a record: a span for the command, and below it one for each stage. Whether it was taken."""
    kept = InMemorySpanExporter()
    provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    _trace(record, provider.get_tracer(_NAME, VERSION))
    # All in one request. A sampler may have left nothing of it.
    spans = kept.get_finished_spans()
    taken = not spans or exporter.export(spans) is SpanExportResult.SUCCESS
    exporter.shutdown()
    return taken


def export_metrics(record: Record, reader: MetricReader) -> None:
    """Have the metrics of a record read."""
    provider = MeterProvider([reader], resource=_resource(), shutdown_on_exit=False)
    _measure(record, provider.get_meter(_NAME, VERSION))
    provider.force_flush()
    provider.shutdown()


class _Noting:
    """An exporter that remembers whether the collector took what it sent, which the reader tells nobody."""

    def __init__(self, exporter: Any) -> None:
        self._exporter = exporter
        self.taken = False

    def export(self, *args: Any, **others: Any) -> Any:
        """Send, and remember."""
        result = self._exporter.export(*args, **others)
        self.taken = result is MetricExportResult.SUCCESS
        return result

    def __getattr__(self, name: str) -> Any:
        return getattr(self._exporter, name)


def _timeout(signal: str) -> float | None:
    """Return the seconds for a request, ``None`` where a variable says them."""
    names = (f"OTEL_EXPORTER_OTLP_{signal}_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT")
    return None if any(os.environ.get(name) for name in names) else _TIMEOUT


def _resource() -> Resource:
    """Return who speaks: our name and version, unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES say otherwise."""
    ours = Resource.create({"service.name": _NAME, "service.version": VERSION})
    return ours.merge(OTELResourceDetector().detect())


def _trace(record: Record, tracer: Tracer) -> None:
    # A scheduler that traces hands its own span on to the commands that it starts.
    outer = TraceContextTextMapPropagator().extract({"traceparent": os.environ.get("TRACEPARENT", "")})
    root = tracer.start_span(
        f"{_NAME} {record.command}",
        context=outer,
        attributes=_command_attributes(record),
        start_time=_nanoseconds(record.began_at),
    )
    spans: list[Span] = []
    for stage in record.stages:
        above = root if stage.within is None else spans[stage.within]
        attributes = {"klaviyo_etl.run.id": stage.run}
        spans.append(
            tracer.start_span(
                stage.name,
                context=set_span_in_context(above),
                attributes=attributes,
                start_time=_nanoseconds(stage.began),
            )
        )
    for stage, span in reversed(list(zip(record.stages, spans, strict=True))):
        _end(span, stage.error, stage.ended)
    _end(root, _error(record), record.ended_at)


def _error(record: Record) -> str | None:
    """Return what went wrong: the code of an error, or the status of a run that did not end as it should."""
    main = record.main
    return record.error or (main.status if main is not None and main.wrong else None)


def _end(span: Span, error: str | None, at: float) -> None:
    if error is not None:
        span.set_attribute("error.type", error)
        span.set_status(Status(StatusCode.ERROR, error))
    span.end(_nanoseconds(at))


def _command_attributes(record: Record) -> dict[str, str | int]:
    found: dict[str, str | int] = {**_whose(record, record.main), "klaviyo_etl.requests": record.requests.total()}
    main = record.main
    if main is None:
        return found | ({"klaviyo_etl.run.id": record.stages[0].run} if record.stages else {})
    return {
        **found,
        "klaviyo_etl.run.id": main.run,
        "klaviyo_etl.run.command": main.command,
        "klaviyo_etl.run.status": main.status,
        "klaviyo_etl.exit_code": main.exit_code,
        "klaviyo_etl.rows.read": main.read,
        **{f"klaviyo_etl.rows.{outcome}": count for outcome, count in main.outcomes.items()},
    }


def _whose(record: Record, run: RunFacts | None) -> dict[str, str]:
    """Return what tells one import from another, of what has few values."""
    account = (run.account if run is not None else None) or record.account or ""
    named = {
        "klaviyo_etl.command": record.command,
        "klaviyo_etl.account.id": account,
        "klaviyo_etl.account.label": (run.label if run is not None else "") or record.label,
        "klaviyo_etl.kind": run.kind if run is not None else "",
        "klaviyo_etl.mapping.hash": run.mapping_hash if run is not None else "",
    }
    return {name: value for name, value in named.items() if value}


def _measure(record: Record, meter: Meter) -> None:
    commands = meter.create_counter("klaviyo_etl.commands", "{command}", "Commands, by the error that ended them")
    rows = meter.create_counter("klaviyo_etl.rows", "{row}", "Rows of runs that ended, by outcome")
    requests = meter.create_counter("klaviyo_etl.requests", "{request}", "Requests to Klaviyo, by endpoint and answer")
    seconds = meter.create_histogram(
        "klaviyo_etl.stage.duration", "s", "Seconds of each stage", explicit_bucket_boundaries_advisory=_BOUNDARIES
    )
    wrong = _error(record)
    commands.add(1, {**_whose(record, record.main), **({"error.type": wrong} if wrong else {})})
    for run in _counted(record):
        for outcome, count in run.outcomes.items():
            if count:
                rows.add(count, {**_whose(record, run), "klaviyo_etl.outcome": outcome})
    for (endpoint, answer), count in record.requests.items():
        whose: Mapping[str, str] = _whose(record, record.main)
        requests.add(count, {**whose, "klaviyo_etl.endpoint": endpoint, "klaviyo_etl.answer": answer})
    for stage in record.stages:
        whose = _whose(record, record.runs.get(stage.run) or record.main)
        seconds.record(_seconds(stage), {**whose, "klaviyo_etl.stage": stage.name})


def _counted(record: Record) -> Sequence[RunFacts]:
    """Return the runs whose rows count now: each row once, by the command that brought its run to its end."""
    return () if record.command == "verify" else [run for run in record.runs.values() if run.ended]


def _seconds(stage: StageRecord) -> float:
    return max(0.0, stage.ended - stage.began)


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)
