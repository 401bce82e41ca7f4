"""OpenTelemetry: a run is a trace of its stages and a few metrics; a collector gets them, a dead one costs nothing."""

from __future__ import annotations

import builtins
import itertools
import json
import os
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from etl import pipeline
from etl.errors import AuthError, EtlError, ExitCode, SourceError
from etl.monitor.telemetry.export import export_metrics, export_spans
from etl.monitor.telemetry.record import Record
from etl.report import Report
from etl.sandbox import SANDBOX_KEY
from tests.support.cli_process import python
from tests.support.command_line import told
from tests.support.importer import ImporterFixture
from tests.support.receivers import WebReceiver, web_receiver


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_") or name == "TRACEPARENT"]:
        monkeypatch.delenv(name)


@pytest.fixture
def desk(tmp_path: Path) -> ImporterFixture:
    fixture = ImporterFixture(tmp_path, limits="off")
    fixture.write(5)
    return fixture


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebReceiver]:
    with web_receiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url.removesuffix("/hook"))
        yield receiver


@dataclass
class Seen:
    """What was exported of a record, by the library's own exporters in memory."""

    record: Record
    spans: dict[str, ReadableSpan] = field(default_factory=dict)
    points: dict[str, list[tuple[dict[str, Any], Any]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
        assert export_spans(self.record, exporter)
        for span in exporter.get_finished_spans():
            assert span.name not in self.spans
            self.spans[span.name] = span
        export_metrics(self.record, reader)
        self.points = points_of(reader.get_metrics_data())

    def above(self, name: str) -> str | None:
        parent = self.spans[name].parent
        return next((n for n, s in self.spans.items() if parent and s.context.span_id == parent.span_id), None)

    def attributes(self, name: str) -> dict[str, Any]:
        return dict(self.spans[name].attributes or {})

    def rows(self) -> dict[str, Any]:
        return {at["klaviyo_etl.outcome"]: value for at, value in self.points.get("klaviyo_etl.rows", ())}


def points_of(data: Any) -> dict[str, list[tuple[dict[str, Any], Any]]]:
    return {
        metric.name: [
            (dict(point.attributes), point.value if hasattr(point, "value") else point.sum)
            for point in metric.data.data_points
        ]
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def watched(desk: ImporterFixture, command: str = "run") -> Record:
    record = Record(command, desk.clock)
    desk.context = replace(desk.context, observer=record, on_exchange=record.requested)
    return record


def test_a_run_is_one_span_with_a_child_for_each_stage(desk: ImporterFixture) -> None:
    desk.write([("c1", "ann@mapleshop.com", "Ann"), ("c2", "bob@mapleshop.com", "Bob"), ("", "no address", "Cy")])
    record = watched(desk)
    report = desk.run(verify="full")
    record.finish(None)
    seen = Seen(record)
    assert {name: seen.above(name) for name in seen.spans} == {
        "klaviyo-etl run": None,
        "stage": "klaviyo-etl run",
        "load": "klaviyo-etl run",
        "plan": "load",
        "verify": "load",
        "report": "klaviyo-etl run",
    }
    assert {span.context.trace_id for span in seen.spans.values()} == {seen.spans["stage"].context.trace_id}
    root = seen.attributes("klaviyo-etl run")
    assert root.pop("klaviyo_etl.requests") == sum(desk.sandbox.requests.values())
    assert root == {
        "klaviyo_etl.command": "run",
        "klaviyo_etl.run.id": report.run,
        "klaviyo_etl.run.command": "run",
        "klaviyo_etl.run.status": "finished",
        "klaviyo_etl.account.id": report.account,
        "klaviyo_etl.kind": "profiles",
        "klaviyo_etl.mapping.hash": report.mapping_hash,
        "klaviyo_etl.exit_code": 1,
        "klaviyo_etl.rows.read": 3,
        **{f"klaviyo_etl.rows.{outcome}": count for outcome, count in report.parts},
    }
    assert root["klaviyo_etl.rows.loaded"] == 2
    # The seconds of the spans are those that the run itself keeps.
    phases = {phase.name: phase.seconds for phase in report.phases}
    for stage in ("load", "verify"):
        span = seen.spans[stage]
        assert span.start_time is not None
        assert span.end_time is not None
        assert (span.end_time - span.start_time) / 1e9 == pytest.approx(phases[stage], abs=1e-3), stage
        assert seen.attributes(stage) == {"klaviyo_etl.run.id": report.run}


def test_metrics_count_rows_requests_and_seconds(desk: ImporterFixture) -> None:
    record = watched(desk)
    report = desk.run(verify="full")
    record.finish(None)
    seen = Seen(record)
    assert seen.rows() == {"loaded": 5}
    sent = sum(value for _, value in seen.points["klaviyo_etl.requests"])
    assert sent == sum(desk.sandbox.requests.values())
    whose = {
        "klaviyo_etl.command": "run",
        "klaviyo_etl.account.id": report.account,
        "klaviyo_etl.kind": "profiles",
        "klaviyo_etl.mapping.hash": report.mapping_hash,
    }
    assert (whose, 1) in seen.points["klaviyo_etl.commands"]
    assert all(whose.items() <= at.items() for points in seen.points.values() for at, _ in points)
    stages = {at["klaviyo_etl.stage"] for at, _ in seen.points["klaviyo_etl.stage.duration"]}
    assert stages == {"stage", "plan", "load", "verify", "report"}
    # A run has its id in the trace: as an attribute of a metric it would make a new series each night.
    assert report.run not in repr(seen.points)


def test_each_row_is_counted_once_whoever_looks_again(desk: ImporterFixture) -> None:
    """A run that was stopped counts when it is resumed; to verify it counts nothing again."""
    stop = itertools.count()
    desk.context = desk.process(should_stop=lambda: next(stop) > 4)
    first = watched(desk)
    report = desk.run()
    first.finish(None)
    assert not report.complete
    assert Seen(first).rows() == {}
    assert Seen(first).spans["klaviyo-etl run"].status.description == "loading"
    desk.context = desk.process()
    again = watched(desk, "resume")
    assert pipeline.resume(report.run, context=desk.context).complete
    assert Seen(again).rows() == {"loaded": 5}
    last = watched(desk, "verify")
    pipeline.verify(report.run, context=desk.context)
    seen = Seen(last)
    assert seen.rows() == {}
    assert set(seen.spans) == {"klaviyo-etl verify", "verify", "report"}


def test_an_error_stands_on_the_stage_and_on_the_run_as_its_code(desk: ImporterFixture) -> None:
    """The message is not there: it may speak of a file's content."""
    desk.guards(max_rejected_percent=1)
    desk.write([("", "secret no address", "Ann")])
    record = watched(desk)
    report = desk.run()
    record.finish(None)
    seen = Seen(record)
    assert report.exit_code is ExitCode.GUARD
    assert seen.attributes("klaviyo-etl run")["error.type"] == "refused"
    assert seen.rows() == {}
    broken = watched(desk)
    desk.source.unlink()
    with pytest.raises(SourceError) as raised:
        desk.run()
    broken.finish(raised.value.code)
    assert Seen(broken).attributes("klaviyo-etl run")["error.type"] == raised.value.code
    assert raised.value.message not in repr(Seen(broken).spans["klaviyo-etl run"].to_json())


@pytest.mark.parametrize("verb", ["check", "plan", "undo"])
def test_other_verbs_have_their_stages(desk: ImporterFixture, verb: str) -> None:
    stages: dict[str, list[str]] = {"check": ["stage", "report"], "plan": ["stage", "plan"]}
    if verb == "undo":
        report = desk.run(undoable=True)
        record = watched(desk, verb)
        pipeline.undo(report.run, context=desk.context, verify="none")
        assert record.main is not None
        assert (record.main.command, record.main.kind) == ("undo", "undo")
        assert Seen(record).rows()
        stages["undo"] = ["stage", "load", "plan", "report"]
    else:
        record = watched(desk, verb)
        getattr(pipeline, verb)(desk.source, desk.mapping, context=desk.context)
    assert [stage.name for stage in record.stages] == stages[verb]


# --- a collector


def attributes_of(pairs: Any) -> dict[str, Any]:
    def value(pair: KeyValue) -> Any:
        return getattr(pair.value, pair.value.WhichOneof("value") or "string_value")

    return {pair.key: value(pair) for pair in pairs}


def observed_run(desk: ImporterFixture) -> Report:
    with pipeline.observed(desk.context, "run") as context:
        return pipeline.run(desk.source, desk.mapping, context=context, verify="none")


def test_a_collector_gets_both_signals_over_http(
    desk: ImporterFixture, collector: WebReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=night")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=maple")
    monkeypatch.setenv("TRACEPARENT", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    said: list[str] = []
    desk.context = replace(desk.context, announce=said.append)
    report = observed_run(desk)
    assert not [sentence for sentence in said if "telemetry" in sentence]
    assert collector.paths == ["/v1/traces", "/v1/metrics"]
    assert {headers["x-tenant"] for headers in collector.headers} == {"maple"}
    traces = ExportTraceServiceRequest.FromString(collector.bodies[0])
    resource = attributes_of(traces.resource_spans[0].resource.attributes)
    assert resource["service.name"] == "klaviyo-etl"
    assert resource["deployment.environment"] == "night"
    spans = {span.name: span for span in traces.resource_spans[0].scope_spans[0].spans}
    assert set(spans) == {"klaviyo-etl run", "stage", "load", "plan", "report"}
    root = spans["klaviyo-etl run"]
    assert attributes_of(root.attributes)["klaviyo_etl.run.id"] == report.run
    # The scheduler's own trace goes on here.
    assert root.trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"
    assert root.parent_span_id.hex() == "b7ad6b7169203331"
    metrics = ExportMetricsServiceRequest.FromString(collector.bodies[1])
    named = {metric.name: metric for metric in metrics.resource_metrics[0].scope_metrics[0].metrics}
    assert set(named) == {f"klaviyo_etl.{name}" for name in ("commands", "rows", "requests", "stage.duration")}
    (rows,) = named["klaviyo_etl.rows"].sum.data_points
    assert (rows.as_int, attributes_of(rows.attributes)["klaviyo_etl.outcome"]) == (5, "loaded")
    # Nobody's data, no key, no path.
    sent = b"".join(collector.bodies)
    for secret in ("person1", "mapleshop.com", "Ann", SANDBOX_KEY, str(desk.folder), desk.source.name):
        assert secret.encode() not in sent, secret


def test_a_name_of_ones_own_wins(
    desk: ImporterFixture, collector: WebReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "nightly-import")
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
    observed_run(desk)
    assert collector.paths == ["/v1/traces"]
    traces = ExportTraceServiceRequest.FromString(collector.bodies[0])
    assert attributes_of(traces.resource_spans[0].resource.attributes)["service.name"] == "nightly-import"


def test_an_error_before_any_run_is_exported_and_goes_on(desk: ImporterFixture, collector: WebReceiver) -> None:
    refused = replace(desk.context, settings=replace(desk.context.settings, private_key="pk_no_such_key_at_all"))
    with pytest.raises(AuthError) as raised, pipeline.observed(refused, "run") as context:
        pipeline.run(desk.source, desk.mapping, context=context)
    traces = ExportTraceServiceRequest.FromString(collector.bodies[0])
    (root,) = traces.resource_spans[0].scope_spans[0].spans
    assert attributes_of(root.attributes)["error.type"] == raised.value.code
    assert root.status.message == raised.value.code


def test_a_command_that_imports_nothing_exports_nothing(desk: ImporterFixture, collector: WebReceiver) -> None:
    with pipeline.observed(desk.context, "lists") as context:
        pipeline.all_lists(context=context)
    with pytest.raises(EtlError), pipeline.observed(desk.context, "show"):
        raise EtlError("list-missing", "no such list")
    assert collector.bodies == []


# --- a collector that is not there


def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.mark.parametrize("what", ["refuses", "is down"])
def test_a_collector_that_does_not_take_it_is_one_sentence(
    desk: ImporterFixture, collector: WebReceiver, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    collector.status = 400
    if what == "is down":
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://user:word@127.0.0.1:{closed_port()}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.2")
    said: list[str] = []
    desk.context = replace(desk.context, announce=said.append)
    assert observed_run(desk).exit_code is ExitCode.OK
    sentences = [sentence for sentence in said if "telemetry" in sentence]
    assert sentences == ["warning [telemetry-undelivered]: the collector did not take spans and metrics"]


def test_a_collector_that_never_answers_is_waited_for_no_longer_than_said(
    desk: ImporterFixture, collector: WebReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    monkeypatch.setattr("etl.pipeline.observing._PATIENCE", 0.05)
    monkeypatch.setattr("etl.monitor.telemetry.export.export", lambda *_: [str(release.wait(60))])
    said: list[str] = []
    desk.context = replace(desk.context, announce=said.append)
    assert observed_run(desk).complete
    release.set()
    assert said[-1].startswith("warning [telemetry-undelivered]: the collector did not answer within")
    assert collector.bodies == []


def test_the_library_failing_is_no_failure_of_the_import(
    desk: ImporterFixture, collector: WebReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("person1@mapleshop.com")

    monkeypatch.setattr("etl.monitor.telemetry.export.export", fail)
    said: list[str] = []
    desk.context = replace(desk.context, announce=said.append)
    assert observed_run(desk).complete
    assert said[-1] == "warning [telemetry-undelivered]: OpenTelemetry failed: RuntimeError"


def test_without_the_extra_the_import_runs_and_says_what_is_missing_once(
    desk: ImporterFixture, collector: WebReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = builtins.__import__

    def absent(name: str, *rest: Any) -> Any:
        if name.startswith("opentelemetry"):
            raise ImportError(name)
        return there(name, *rest)

    monkeypatch.delitem(sys.modules, "etl.monitor.telemetry.export")
    monkeypatch.setattr(builtins, "__import__", absent)
    said: list[str] = []
    desk.context = replace(desk.context, announce=said.append)
    assert observed_run(desk).complete
    (sentence,) = [one for one in said if "telemetry" in one]
    assert "pip install 'klaviyo-etl[otel]'" in sentence
    assert "OTEL_SDK_DISABLED=true" in sentence
    assert collector.bodies == []


def test_a_protocol_that_is_not_spoken_is_said_once(desk: ImporterFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    said: list[str] = []
    desk.context = replace(desk.context, announce=said.append)
    assert observed_run(desk).complete
    (sentence,) = [one for one in said if "telemetry" in one]
    assert sentence.startswith("warning [telemetry-off]: OTEL_EXPORTER_OTLP_PROTOCOL asks for 'grpc'")


# --- the command line


def test_the_command_line_exports_a_check(tmp_path: Path, collector: WebReceiver) -> None:
    (tmp_path / "people.csv").write_text("Email\nann@mapleshop.com\n", encoding="utf-8")
    (tmp_path / "people.toml").write_text('[columns]\nEmail = "email"\n', encoding="utf-8")
    code, said = told(tmp_path, "check", "people.csv")
    assert (code, "telemetry" in said) == (0, False)
    traces = ExportTraceServiceRequest.FromString(collector.bodies[0])
    assert [span.name for span in traces.resource_spans[0].scope_spans[0].spans][-1] == "klaviyo-etl check"
    collector.status = 400
    code, said = told(tmp_path, "check", "people.csv")
    assert code == 0
    assert said.count("telemetry-undelivered") == 1


def test_a_rehearsal_tells_no_collector(tmp_path: Path, collector: WebReceiver) -> None:
    (tmp_path / "people.csv").write_text("Email\nann@mapleshop.com\n", encoding="utf-8")
    (tmp_path / "people.toml").write_text('[columns]\nEmail = "email"\n', encoding="utf-8")
    code, said = told(tmp_path, "run", "people.csv", "--sandbox", "--yes")
    assert code == 0, said
    assert collector.bodies == []


OFF = """
import json, os, sys
from etl.cli import _main
codes = [_main(["check", "people.csv", "--quiet"])]
os.environ.update(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1", OTEL_SDK_DISABLED="true")
codes += [_main(["check", "people.csv", "--quiet"])]
there = [name for name in sys.modules if name.startswith(("opentelemetry", "google.protobuf"))]
print(json.dumps([codes, there]))
"""


def test_nothing_is_imported_where_nothing_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("Email\nann@mapleshop.com\n", encoding="utf-8")
    (tmp_path / "people.toml").write_text('[columns]\nEmail = "email"\n', encoding="utf-8")
    out, err = python(tmp_path, "-c", OFF).communicate()
    assert json.loads(out.splitlines()[-1]) == [[0, 0], []], err
