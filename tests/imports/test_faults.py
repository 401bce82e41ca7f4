"""Every fault knob against the importer: what the network and Klaviyo can do, and what the report then says."""

from __future__ import annotations

from typing import Any

import pytest

from etl import pipeline
from etl.errors import AuthError, EtlError, ExitCode, KlaviyoError, StoppedError
from etl.report import Report
from etl.sandbox import Response
from tests.support.importer import ImporterFixture

JOBS = "POST /api/profile-bulk-import-jobs"
READ_JOBS = "GET /api/profile-bulk-import-jobs*"
ROWS = [(f"c{number}", f"person{number}@mapleshop.com", "Ann") for number in range(12)]
ROWS += [("r", "a@sandbox-refused.com", "Bob"), ("f", "b@sandbox-failed.com", "Cat")]


def prepared(desk: ImporterFixture) -> ImporterFixture:
    desk.write(ROWS)
    desk.mapping["load"]["batch_rows"] = 7
    return desk


def finished(desk: ImporterFixture) -> Report:
    """Run, and resume as often as it takes."""
    try:
        report = desk.run()
    except EtlError:
        for _ in range(10):
            try:
                report = pipeline.resume(context=desk.process())
            except EtlError:
                continue
            break
        else:
            raise AssertionError("the run does not come to its end") from None
    assert report.complete
    return report


TRANSIENT: dict[str, dict[str, Any]] = {
    "latency": {"fault": "latency", "seconds": 5, "probability": 0.5},
    "429 with Retry-After": {"fault": "throttle", "times": 3},
    "429 without Retry-After": {"fault": "throttle_without_retry_after", "times": 3},
    "500 as JSON": {"fault": "error_json", "status": 500, "times": 3},
    "502 as HTML": {"fault": "error_html", "status": 502, "times": 3},
    "503": {"fault": "error_json", "status": 503, "times": 3, "after": 2},
    "a truncated answer": {"fault": "truncated", "endpoint": JOBS, "times": 1},
    "an answer that is no JSON": {"fault": "malformed", "times": 2},
    "reset before processing": {"fault": "reset_before", "times": 2},
    "reset in the middle of the answer": {"fault": "reset_during", "times": 2},
    "accepted, but the answer is lost": {"fault": "answer_lost", "endpoint": JOBS, "times": 2},
    "job cancelled once": {"fault": "job_cancelled", "endpoint": JOBS, "times": 1},
    "counters null": {"fault": "counters_null", "endpoint": JOBS},
    "counters that do not tie": {"fault": "counters_off", "endpoint": JOBS},
    "fields of next year": {"fault": "extra_fields"},
}


@pytest.mark.parametrize("name", TRANSIENT)
def test_a_passing_fault_changes_nothing(name: str, desk: ImporterFixture) -> None:
    """Retried, looked up or read back: the outcomes are those of a calm day."""
    prepared(desk).faults(TRANSIENT[name])
    report = finished(desk)
    assert (report.tally.loaded, report.tally.failed, report.tally.unknown) == (12, 2, 0), report.issues
    assert desk.profiles == 12
    assert {(group.code, group.lines) for group in report.issues} >= {("klaviyo-invalid", (14,))}


def test_a_lost_answer_is_adopted_and_said(desk: ImporterFixture) -> None:
    """The job is found among the recent ones instead of being made twice."""
    desk.write(5)
    desk.faults({"fault": "answer_lost", "endpoint": JOBS, "times": 1})
    report = desk.run()
    assert report.tally.loaded == 5
    assert desk.sandbox.requests[JOBS] == 1
    assert [batch.resent for batch in report.batches] == [1]


def test_a_request_that_did_not_arrive_goes_again_without_doubt(desk: ImporterFixture) -> None:
    desk.write(5)
    desk.faults({"fault": "throttle", "endpoint": JOBS, "times": 2, "retry_after": 7})
    began = desk.clock.time
    report = desk.run()
    assert report.tally.loaded == 5
    assert [(batch.attempts, batch.resent) for batch in report.batches] == [(3, 0)]
    assert desk.clock.time - began >= 14


def test_a_job_that_never_ends_is_read_back(desk: ImporterFixture) -> None:
    """Nothing is there, and may still come: unknown, not failed; retry sends it again."""
    desk.write(5)
    desk.faults({"fault": "job_stuck", "endpoint": JOBS})
    report = desk.run()
    assert report.tally.unknown == 5
    assert {group.code for group in report.issues} == {"result-unproven"}
    desk.faults()
    assert pipeline.retry(report.run, context=desk.context).tally.loaded == 5


def test_a_job_that_expired_is_proved_by_its_profiles(desk: ImporterFixture) -> None:
    desk.write([*ROWS[:3], ("d", "gone@sandbox-dropped.com", "Eve")])
    desk.faults({"fault": "job_expired", "endpoint": JOBS})
    report = desk.run()
    assert (report.tally.loaded, report.tally.unknown) == (3, 1)
    assert {(group.code, group.lines) for group in report.issues} == {("job-expired", (5,))}


def test_a_job_cancelled_every_time_fails_its_rows(desk: ImporterFixture) -> None:
    desk.write(5)
    desk.faults({"fault": "job_cancelled", "endpoint": JOBS})
    report = desk.run()
    assert report.tally.failed == 5
    assert {group.code for group in report.issues} == {"job-cancelled"}


@pytest.mark.parametrize("fault", ["error_unmatched", "error_ambiguous"])
def test_errors_that_fit_no_row_or_two_are_settled_by_reading_back(fault: str, desk: ImporterFixture) -> None:
    desk.write([*ROWS[:4], ROWS[-1]])
    desk.faults({"fault": fault, "endpoint": JOBS})
    report = desk.run()
    assert (report.tally.loaded, report.tally.failed, report.tally.unknown) == (4, 1, 0)


def test_an_unknown_status_is_waited_for(desk: ImporterFixture) -> None:
    """A value of next year is none of ours: not an end, and no reason to crash."""
    desk.write(5)
    desk.faults({"fault": "unknown_enum", "endpoint": READ_JOBS, "times": 3})
    assert desk.run().tally.loaded == 5


def test_a_list_deleted_half_way_stops_or_fails_and_is_said(desk: ImporterFixture) -> None:
    desk.write([(f"c{number}", f"p{number}@mapleshop.com", "VIP") for number in range(5)])
    desk.mapping["columns"]["Name"] = "list"
    desk.faults({"fault": "list_deleted", "endpoint": "GET /api/profile-bulk-import-jobs/*/profiles"})
    report = finished(desk)
    assert report.tally.failed == 5
    assert {group.code for group in report.issues} == {"list-add-failed"}
    assert desk.profiles == 5


def test_a_key_revoked_half_way_stops_resumable(desk: ImporterFixture) -> None:
    prepared(desk).faults({"fault": "key_revoked", "endpoint": JOBS, "after": 1, "times": 1})
    with pytest.raises(StoppedError) as stopped:
        desk.run()
    assert stopped.value.exit_code == ExitCode.STOPPED
    assert stopped.value.code == "key-refused"
    desk.faults()
    report = pipeline.resume(context=desk.process())
    assert (report.tally.loaded, report.tally.failed) == (12, 2)


def test_a_key_that_is_refused_at_once_sent_nothing(desk: ImporterFixture) -> None:
    desk.write(3)
    desk.faults({"fault": "key_revoked", "times": 1, "endpoint": "GET /api/accounts"})
    with pytest.raises(AuthError):
        desk.run() and desk.run()
    assert desk.writes == 0


def test_a_klaviyo_that_is_away_gives_up_and_resumes(desk: ImporterFixture) -> None:
    desk.write(5)
    desk.faults({"fault": "error_json", "endpoint": JOBS, "status": 503})
    with pytest.raises((KlaviyoError, StoppedError)) as stopped:
        desk.run()
    assert stopped.value.code == "klaviyo-unavailable"
    assert "resume" in stopped.value.hint
    desk.faults()
    assert pipeline.resume(context=desk.process()).tally.loaded == 5


def test_a_body_that_is_too_large_is_halved(desk: ImporterFixture) -> None:
    """Whatever Klaviyo means by MB: 413 halves the batch until it fits."""
    desk.write(8)
    answer = desk.sandbox.handle

    def strict(request: Any) -> Any:
        if request.path.endswith("bulk-import-jobs") and len(request.body) > 700:
            return Response(413)
        return answer(request)

    desk.sandbox.handle = strict  # type: ignore[method-assign]
    report = desk.run()
    assert report.tally.loaded == 8
    assert report.batches[0].superseded >= 1


def test_the_budget_of_a_batch_outlives_the_process(desk: ImporterFixture) -> None:
    """Attempts are counted in state: a batch that is refused for ever does not keep a run alive for ever."""
    desk.write(5)
    desk.faults({"fault": "error_json", "endpoint": JOBS, "status": 503})
    for _ in range(60):
        try:
            report = (
                pipeline.resume(context=desk.process())
                if desk.sandbox.requests.get("GET /api/accounts")
                else desk.run()
            )
        except EtlError:
            continue
        break
    assert report.complete
    assert report.tally.unknown == 5
    assert {group.code for group in report.issues} == {"gave-up"}
    # Of the batch, and of the few rows that went alone to find out whether one of them was at fault.
    assert 50 <= report.batches[0].attempts <= 5 * 50
