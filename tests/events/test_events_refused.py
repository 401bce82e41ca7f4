"""One event that Klaviyo refuses, or fails at, never holds the others: in the end it stands alone and fails."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest

from etl import pipeline
from etl.errors import EtlError, ExitCode
from etl.model import Outcome
from etl.report import render_html, render_text
from etl.sandbox import BrokenConnection, Response, Switches
from tests.support.effort import sample
from tests.support.event_cases import HEADER, ORDERS, codes, imported, outcomes, requests, stored
from tests.support.importer import ImporterFixture

POISON = "poison@mapleshop.com"
BULK = "/api/event-bulk-create-jobs"
NOON = "2024-05-01 10:00"


def desk_of(folder: Path, **switches: Any) -> ImporterFixture:
    return ImporterFixture(folder, processing_seconds=0.5, switches=Switches(**switches))


def with_poison(count: int, *places: int) -> list[tuple[str, ...]]:
    return [
        (f"o{number}", POISON if number in places else f"person{number}@mapleshop.com", NOON, "10.00", "USD", "Lyon")
        for number in range(count)
    ]


def lines_of(desk: ImporterFixture, run: str, outcome: Outcome) -> list[int]:
    with desk.context.open_store() as store:
        return store.rows.lines_with(run, [outcome])


@pytest.mark.parametrize(("place", "status"), sample(list(product([0, 17, 39], [400, 413, 500, 502, 503])), 4))
def test_a_row_at_which_every_request_fails_stands_alone(tmp_path: Path, status: int, place: int) -> None:
    desk = desk_of(tmp_path, poison=POISON, poison_status=status)
    desk.write(with_poison(40, place), HEADER)
    report = imported(desk)
    assert outcomes(report) == {"loaded": 39, "failed": 1}
    assert lines_of(desk, report.run, Outcome.FAILED) == [place + 2]
    assert len(stored(desk)) == 39
    (group,) = report.issues
    assert group.code == {400: "klaviyo-invalid", 413: "klaviyo-too-large"}.get(status, "klaviyo-error")
    assert group.detail, "it says what Klaviyo said"
    assert report.revenue[0].ties
    assert requests(desk) < 60, "found by halving"


@pytest.mark.parametrize("status", [400, 500])
def test_several_such_rows_fail_and_nothing_else(tmp_path: Path, status: int) -> None:
    desk = desk_of(tmp_path, poison=POISON, poison_status=status)
    desk.write(with_poison(64, 3, 20, 21, 40, 50, 63), HEADER)
    report = imported(desk)
    while not report.complete:
        report = pipeline.resume(context=desk.context)
    assert outcomes(report) == {"loaded": 58, "failed": 6}
    assert {line - 2 for line in lines_of(desk, report.run, Outcome.FAILED)} == {3, 20, 21, 40, 50, 63}


def test_a_single_row_that_is_refused_without_a_pointer_fails_with_klaviyos_words(tmp_path: Path) -> None:
    desk = desk_of(tmp_path, refusals="pointerless")
    rows = with_poison(10)
    rows[4] = ("o4", "person@sandbox-refused.com", NOON, "10.00", "USD", "Lyon")
    desk.write(rows, HEADER)
    report = imported(desk)
    assert outcomes(report) == {"loaded": 9, "failed": 1}
    assert [(group.code, group.detail) for group in report.issues] == [
        ("klaviyo-invalid", "The payload provided in the request is invalid.")
    ]


def test_an_id_that_is_twice_in_a_request_for_reasons_of_klaviyos_own(tmp_path: Path) -> None:
    """Two addresses, one profile: nothing in the rows says so, and Klaviyo refuses the whole request."""
    desk = desk_of(tmp_path)
    mapping = {**ORDERS, "columns": {**ORDERS["columns"], "Customer": "external_id"}}
    rows = [(*row, f"c{number}") for number, row in enumerate(with_poison(20))]
    rows[3] = ("o3", "ann@mapleshop.com", NOON, "10.00", "USD", "Lyon", "c99")
    rows[4] = ("o3", "ann.too@mapleshop.com", NOON, "10.00", "USD", "Lyon", "c99")
    desk.write(rows, (*HEADER, "Customer"))
    report = imported(desk, mapping)
    assert report.tally.loaded >= 19
    assert report.tally.loaded + report.tally.failed + report.tally.unknown == 20
    assert report.revenue[0].ties


@pytest.mark.parametrize("seconds", [0.0, 6.0])
def test_an_id_that_klaviyo_has_already_is_loaded_and_not_refused(tmp_path: Path, seconds: float) -> None:
    """The answer to the first request is lost, and the second one is refused because the events are there."""
    desk = desk_of(tmp_path, events_visible_after=seconds)
    desk.write(with_poison(8), HEADER)
    handle = desk.sandbox.handle
    taken: set[bytes] = set()

    def strict(request: Any) -> Any:
        if request.path != BULK:
            return handle(request)
        ids = {each for each in (b'"Placed Order:o%d"' % number for number in range(8)) if each in request.body}
        if ids & taken:
            return refusal(400, '{"pointer":"/data"}', "It is repeated.")
        taken.update(ids)
        handle(request)
        return BrokenConnection("after")

    desk.sandbox.handle = strict  # type: ignore[method-assign]
    assert outcomes(imported(desk)) == {"loaded": 8}


@pytest.mark.parametrize(
    ("status", "code"), [(401, "key-refused"), (403, "key-lacks-scope"), (410, "revision-retired")]
)
def test_what_is_about_the_whole_request_stops_the_run_and_costs_no_row(tmp_path: Path, status: int, code: str) -> None:
    desk = desk_of(tmp_path)
    desk.write(with_poison(10), HEADER)
    bodies = refuse(desk, status, '{"pointer":"/data/"}')
    with pytest.raises(EtlError) as stopped:
        imported(desk)
    assert stopped.value.code == code
    assert len(bodies) == 1
    heal(desk)
    assert outcomes(pipeline.resume(context=desk.context)) == {"loaded": 10}


@pytest.mark.parametrize("source", ['{"parameter":"revision"}', '{"header":"revision"}'])
def test_a_refused_header_stops_the_run_and_costs_no_row(tmp_path: Path, source: str) -> None:
    desk = desk_of(tmp_path)
    desk.write(with_poison(10), HEADER)
    refuse(desk, 400, source)
    with pytest.raises(EtlError):
        imported(desk)
    heal(desk)
    assert outcomes(pipeline.resume(context=desk.context)) == {"loaded": 10}


def test_when_every_row_is_refused_alike_it_is_not_the_rows(tmp_path: Path) -> None:
    desk = desk_of(tmp_path)
    desk.write(with_poison(300), HEADER)
    refuse(desk, 400, '{"pointer":"/data"}')
    with pytest.raises(EtlError) as stopped:
        imported(desk)
    assert stopped.value.exit_code is not ExitCode.OK
    heal(desk)
    report = pipeline.resume(context=desk.context)
    assert report.tally.loaded >= 190
    assert report.tally.loaded + report.tally.failed == 300


def test_nobodys_address_stands_in_what_klaviyo_said(tmp_path: Path) -> None:
    desk = desk_of(tmp_path)
    desk.write(with_poison(1), HEADER)
    refuse(
        desk, 400, '{"pointer":"/data"}', "Conflict with carol@elsewhere.com and +14155550123 of person0@mapleshop.com"
    )
    report = imported(desk)
    assert outcomes(report) == {"failed": 1}
    (group,) = report.issues
    assert group.detail == "Conflict with (hidden) and (hidden) of …"
    for text in (render_text(report), render_html(report)):
        assert not any(each in text for each in ("carol@", "4155550123", "person0@"))
    assert codes(report) == {"klaviyo-invalid": 1}


def refusal(status: int, source: str, detail: str = "No.") -> Response:
    body = f'{{"errors":[{{"id":"1","code":"invalid","title":"","detail":"{detail}","source":{source}}}]}}'
    return Response(status, body.encode(), {})


def refuse(desk: ImporterFixture, status: int, source: str, detail: str = "No.") -> list[bytes]:
    """Let every bulk request be refused until the desk is healed; return where their bodies will be."""
    handle = desk.sandbox.handle
    bodies: list[bytes] = []

    def refusing(request: Any) -> Any:
        if request.path != BULK:
            return handle(request)
        bodies.append(request.body)
        return refusal(status, source, detail)

    desk.sandbox.handle = refusing  # type: ignore[method-assign]
    return bodies


def heal(desk: ImporterFixture) -> None:
    del desk.sandbox.handle
