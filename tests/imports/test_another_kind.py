"""The seam: a kind of record of two fields and one endpoint, defined here, goes through the engine as it is."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson
import pytest

from etl import config, pipeline
from etl.config import ConfigMapping, Guards, SourceRule
from etl.config.mapping.document import MappingDocument
from etl.errors import StoppedError
from etl.klaviyo import ReplyKind
from etl.load import LoadSummary
from etl.model import (
    BatchKind,
    BatchStatus,
    Chunk,
    LineLocator,
    Observation,
    Outcome,
    PlannedBatch,
    RowResult,
    RunStatus,
    Transformed,
    Validated,
    VerifyResult,
)
from etl.pipeline.context import Context
from etl.pipeline.engine.check import check_source
from etl.pipeline.engine.guarding import guard
from etl.pipeline.engine.kind import RecordKind
from etl.pipeline.engine.sender import Loading, Sender
from etl.pipeline.engine.stage import ImportRequest, resolve_mapping
from etl.pipeline.engine.verbs import planned_source, run_source
from etl.pipeline.kinds import register
from etl.pipeline.staging.pool import Progressed
from etl.pipeline.staging.process import ChunkProcessor
from etl.pipeline.staging.sources import files_of
from etl.pipeline.staging.stage import Staging
from etl.report import Report
from etl.state import DetailChanges, RunOptions
from tests.support.importer import ImporterFixture

ENDPOINT = "POST /api/events"
MAPPING = {"who": "Email", "page": "Page"}
ROWS = [("ann@mapleshop.com", "/shoes"), ("no address", "/hats"), ("bob@mapleshop.com", "/shoes")]


class VisitMapping(MappingDocument):
    """Who visited which page: two columns."""

    who: str
    page: str
    source: SourceRule = SourceRule()
    guards: Guards = Guards()

    @cached_property
    def hash(self) -> str:
        return f"{self.who}|{self.page}"

    @cached_property
    def columns(self) -> ConfigMapping:
        columns = {self.who: "email", self.page: {"to": "properties.page", "required": True}}
        return config.parse_mapping({"columns": columns, "guards": self.guards.model_dump()})


ProcessedChunk = tuple[Chunk, Validated, Transformed]


class VisitStager(contextlib.AbstractContextManager["VisitStager"]):
    reads_on = False

    def __init__(self, at: Staging, mapping: ConfigMapping) -> None:
        self._at = at
        self._judge = ChunkProcessor(mapping, at.source.info.columns, at.clock.now())

    def __exit__(self, *_: object) -> None:
        pass

    def judge(self, chunks: Iterable[Chunk], size: int) -> Iterator[tuple[Progressed, ProcessedChunk]]:
        for chunk in chunks:
            validated, transformed, _ = self._judge.judge(chunk.frame)
            yield Progressed(chunk.records, chunk.position, chunk.part), (chunk, validated, transformed)

    def write(self, judged: ProcessedChunk) -> None:
        self._at.store.staging.add_chunk(self._at.run_id, *judged)

    def note(self, chunk: Chunk) -> None:
        pass

    def settle(self, locator: LineLocator) -> DetailChanges:
        return {"notes": ["pages are as they were read"]}


class VisitSender(Sender[VisitMapping]):
    def prepare(self, at: Loading[VisitMapping]) -> list[str]:
        objections = guard(at.store, at.run, at.rules.columns, force=at.overrides)
        at.store.runs.update(at.run_id, load={})
        return objections

    def send(self, at: Loading[VisitMapping]) -> LoadSummary:
        store, run_id = at.store, at.run_id
        rows = [row.line for row in store.rows.pending(run_id, "import")]
        store.batches.add(run_id, [PlannedBatch(BatchKind.EVENTS, (line,)) for line in rows])
        for batch in store.batches.open(run_id, [BatchStatus.SENDING]):
            # What was in doubt goes again: Klaviyo keeps one event of a unique_id.
            store.batches.mark_planned_again(batch.id, not_before=0.0, reply="in_doubt", resent=True)
        for done, batch_id in enumerate(store.batches.ids(run_id, BatchStatus.PLANNED)):
            if at.context.should_stop():
                return LoadSummary(done, interrupted=True)
            (line,) = store.batches.get(batch_id).lines
            store.batches.mark_sending(batch_id)
            reply = at.client.create_event(_request(run_id, line, store.records.bodies(run_id, [line])[0]))
            if reply.kind.is_retryable or reply.kind.is_uncertain:
                raise StoppedError("klaviyo-unavailable", "Klaviyo does not answer", "Resume the run.")
            outcome = Outcome.LOADED if reply.kind is ReplyKind.OK else Outcome.FAILED
            code = "" if outcome is Outcome.LOADED else "klaviyo-invalid"
            store.batches.settle(batch_id, [RowResult(line, outcome, code)])
        return LoadSummary(len(rows))

    def read_back(self, at: Loading[VisitMapping], lines: Sequence[int]) -> int:
        at.context.clock.sleep(60)
        bodies = zip(lines, at.store.records.bodies(at.run_id, lines), strict=True)
        sent = {line: orjson.loads(body)["attributes"]["properties"]["page"] for line, body in bodies}
        events = itertools.chain.from_iterable(at.client.event_pages())
        seen = {event.properties["line"]: event.properties["page"] for event in events if "page" in event.properties}
        found = [
            Observation(line, VerifyResult.CONFIRMED if seen.get(line) == page else VerifyResult.MISSING)
            for line, page in sent.items()
        ]
        at.store.observations.add(at.run_id, found)
        return len(lines)


class VisitKind(RecordKind[VisitMapping]):
    name = "visits"

    def parse(self, document: Mapping[str, Any], *, where: str = "mapping") -> VisitMapping:
        return VisitMapping.model_validate(document)

    def read(self, path: Path) -> VisitMapping:
        return self.parse(orjson.loads(path.read_bytes()))

    def columns(self, rules: VisitMapping) -> ConfigMapping:
        return rules.columns

    def stager(self, at: Staging, rules: VisitMapping, context: Context) -> VisitStager:
        return VisitStager(at, rules.columns)

    @property
    def sender(self) -> VisitSender:
        return VisitSender()


KIND = VisitKind()


def _request(run_id: str, line: int, body: bytes) -> bytes:
    attributes = orjson.loads(body)["attributes"]
    page = attributes.pop("properties")["page"]
    event = {
        "metric": {"data": {"type": "metric", "attributes": {"name": "Visited page"}}},
        "profile": {"data": {"type": "profile", "attributes": attributes}},
        "properties": {"page": page, "line": line},
        "unique_id": f"{run_id}:{line}",
    }
    return orjson.dumps({"data": {"type": "event", "attributes": event}})


@pytest.fixture
def desk(tmp_path: Path) -> ImporterFixture:
    register(KIND)
    found = ImporterFixture(tmp_path)
    found.write(ROWS, ("Email", "Page"))
    return found


def request(desk: ImporterFixture, context: Context | None = None, **options: Any) -> ImportRequest[VisitMapping]:
    context = context or desk.context
    rules, _ = resolve_mapping(KIND, MAPPING, context)
    files = files_of(desk.source, rules.columns, None, context)
    return ImportRequest(context, KIND, rules, files, "run", RunOptions(**options))


def visits(desk: ImporterFixture) -> list[tuple[str, str]]:
    desk.clock.time += 60  # Klaviyo shows an event a while after it has taken it
    rows = [orjson.loads(line) for line in desk.sandbox.dump_events().splitlines() if line]
    return sorted((row["properties"]["page"], str(row["properties"]["line"])) for row in rows)


def counts(report: Report) -> tuple[int, int, int, int]:
    tally = report.tally
    assert tally.ties
    return tally.read, tally.loaded, tally.rejected, tally.failed


def test_a_check_and_a_plan_send_nothing(desk: ImporterFixture) -> None:
    report = check_source(request(desk))
    assert counts(report) == (3, 0, 1, 0)
    assert report.command == "check"
    with planned_source(request(desk)) as (at, info):
        assert info.columns == ("Email", "Page")
        assert at.store.rows.counts(at.run_id)[None] == 2
    assert desk.writes == 0


def test_a_run_goes_through_the_engine(desk: ImporterFixture) -> None:
    report = run_source(request(desk, verify="full"))
    assert counts(report) == (3, 2, 1, 0)
    assert report.status is RunStatus.FINISHED
    assert visits(desk) == [("/shoes", "2"), ("/shoes", "4")]
    assert [(seen.verdict, seen.count) for seen in report.observed] == [("confirmed", 2)]
    assert "pages are as they were read" in report.notes
    rejects = (desk.context.output / report.run / "rejects.csv").read_text(encoding="utf-8-sig")
    assert "no address" in rejects
    with desk.context.open_store() as store:
        run = store.runs.get(report.run)
        assert (run.options.kind, run.mapping) == ("visits", MAPPING)


def test_what_is_not_there_any_more_is_missing(desk: ImporterFixture) -> None:
    """Negative control: the proof is asked."""
    report = run_source(request(desk))
    again = pipeline.verify(report.run, context=desk.context)
    assert [(seen.verdict, seen.count) for seen in again.observed] == [("confirmed", 2)]
    another_account = ImporterFixture(desk.folder)
    empty = pipeline.verify(report.run, context=another_account.context)
    assert [(seen.verdict, seen.count) for seen in empty.observed] == [("missing", 2)]


def test_a_run_that_was_stopped_is_resumed_by_its_kind(desk: ImporterFixture) -> None:
    stopping = replace(desk.context, should_stop=lambda: desk.sandbox.requests.get(ENDPOINT, 0) > 0)
    first = run_source(request(desk, stopping))
    assert not first.complete
    assert len(visits(desk)) == 1
    report = pipeline.resume(context=desk.context)
    assert counts(report) == (3, 2, 1, 0)
    assert visits(desk) == [("/shoes", "2"), ("/shoes", "4")]


def test_a_run_whose_request_was_in_doubt_is_resumed_by_its_kind(desk: ImporterFixture) -> None:
    desk.faults({"fault": "answer_lost", "endpoint": ENDPOINT, "after": 1, "times": 1})
    with pytest.raises(StoppedError):
        run_source(request(desk))
    assert counts(pipeline.resume(context=desk.context)) == (3, 2, 1, 0)
    assert visits(desk) == [("/shoes", "2"), ("/shoes", "4")]


def test_what_failed_is_sent_again_by_its_kind(desk: ImporterFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(globals(), "_request", lambda *_: b'{"data": {"type": "event", "attributes": {}}}')
        assert counts(run_source(request(desk))) == (3, 0, 1, 2)
    report = pipeline.retry(context=desk.context)
    assert (counts(report), report.command) == ((2, 2, 0, 0), "retry")
    assert len(visits(desk)) == 2


def test_its_guards_are_asked(desk: ImporterFixture) -> None:
    rules = KIND.parse({**MAPPING, "guards": {"max_rejected_percent": 10}})
    report = run_source(replace(request(desk), rules=rules))
    assert report.status is RunStatus.REFUSED
    assert desk.writes == 0
