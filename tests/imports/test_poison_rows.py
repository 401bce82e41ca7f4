"""One row must never hold the others: what Klaviyo refuses without saying which row is found by halving, on every path.

The sandbox's switch ``poison`` refuses every request that holds a word, without a pointer, in the status that is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from etl import pipeline
from etl.errors import EtlError, StoppedError
from etl.report import Report
from etl.sandbox import Response, Switches
from tests.support.effort import sample
from tests.support.importer import ImporterFixture

JOBS = "POST /api/profile-bulk-import-jobs"
UPSERTS = "POST /api/profile-import"
STATUSES = (400, 413, 500, 502, 503)


def people(count: int, bad: Sequence[int] = ()) -> list[tuple[str, str, str]]:
    return [(f"c{n}", f"{'poison' if n in bad else 'person'}{n}@mapleshop.com", "Ann") for n in range(count)]


def poisoned(desk: ImporterFixture, word: str = "poison", status: int = 400) -> None:
    desk.sandbox.set_switches(Switches(poison=word, poison_status=status))


def failed_lines(report: Report) -> set[int]:
    return {line for group in report.issues if group.severity == "error" for line in group.lines}


def refusal(status: int, *errors: dict[str, Any]) -> Response:
    found = errors or ({"code": "invalid", "detail": "No.", "source": {"pointer": "/data"}},)
    return Response(status, orjson.dumps({"errors": found}), {"content-type": "application/vnd.api+json"})


@pytest.mark.parametrize("status", sample(STATUSES, 2))
def test_jobs(desk: ImporterFixture, status: int) -> None:
    desk.write(people(40, bad=(7, 8, 31)))
    desk.mapping["load"]["batch_rows"] = 25
    poisoned(desk, status=status)
    report = desk.run()
    assert (report.tally.loaded, report.tally.failed, report.tally.unknown) == (37, 3, 0)
    assert failed_lines(report) == {9, 10, 33}
    code = {400: "klaviyo-invalid", 413: "klaviyo-too-large"}.get(status, "klaviyo-error")
    assert {group.code for group in report.issues} == {code}
    assert desk.profiles == 37
    with desk.context.open_store() as store:
        assert sum(kind.attempts for kind in store.history.summary(report.run)) <= 60


@pytest.mark.parametrize("status", STATUSES)
def test_single_upserts(desk: ImporterFixture, status: int) -> None:
    desk.write(people(12, bad=(0, 5)))
    desk.mapping["load"]["small_run"] = 50
    poisoned(desk, status=status)
    report = desk.run()
    assert (report.tally.loaded, report.tally.failed) == (10, 2), report.issues
    assert failed_lines(report) == {2, 7}
    assert desk.sandbox.requests[UPSERTS] <= 20


@pytest.mark.parametrize("status", [400, 500])
def test_list_calls(desk: ImporterFixture, status: int) -> None:
    """The profile is there, and no list takes it: its row fails, the others join."""
    desk.write(people(1, bad=(0,)))
    desk.mapping["load"] = {"small_run": 50}
    assert desk.run().tally.loaded == 1
    desk.mapping["load"] = {"small_run": 0}
    desk.mapping["columns"]["Name"] = "list"
    desk.write([(who, mail, "VIP") for who, mail, _ in people(9, bad=(0,))])
    answer = desk.sandbox.handle
    (bad,) = (row["id"] for row in desk.sandbox.store.connection.execute("SELECT id FROM profiles"))

    def strict(request: Any) -> Any:
        if "/relationships/profiles" in request.path and bad.encode() in request.body:
            return refusal(status)
        return answer(request)

    desk.sandbox.handle = strict  # type: ignore[method-assign]
    report = desk.run()
    assert (report.tally.loaded, report.tally.failed) == (8, 1), report.issues
    assert {(group.code, group.lines) for group in report.issues} == {("list-add-failed", (2,))}


@pytest.mark.parametrize("status", [400, 413, 500])
def test_consent(desk: ImporterFixture, status: int) -> None:
    """One person whom Klaviyo cannot subscribe is no reason for the others not to be."""
    desk.write([(who, mail, "subscribed") for who, mail, _ in people(9, bad=(4,))])
    desk.mapping["columns"]["Name"] = "consent.email"
    desk.mapping["consent"] = {"date": "2024-05-01"}
    answer = desk.sandbox.handle

    def strict(request: Any) -> Any:
        if "subscription-bulk-create" in request.path and b"poison" in request.body:
            return refusal(status)
        return answer(request)

    desk.sandbox.handle = strict  # type: ignore[method-assign]
    report = desk.run()
    assert report.tally.loaded == 8, report.issues
    assert failed_lines(report) == {6}
    (consents,) = report.consents
    assert (consents.asked, consents.confirmed) == (9, 8)


def test_suppressions(desk: ImporterFixture, tmp_path: Path) -> None:
    path = tmp_path / "gone.csv"
    path.write_text("Email\n" + "\n".join(mail for _, mail, _ in people(9, bad=(4,))), encoding="utf-8")
    poisoned(desk)
    report = pipeline.suppress(path, context=desk.context)
    assert (report.tally.loaded, report.tally.failed) == (8, 1), report.issues
    assert failed_lines(report) == {6}


@pytest.mark.parametrize(
    "pointer", ["/data", "/data/attributes/profiles/data", "/data/attributes/profiles/data/99999", ""]
)
def test_whatever_the_pointer_points_at(desk: ImporterFixture, pointer: str) -> None:
    """To the whole array, out of range, to nothing: it is no row."""
    desk.write(people(10, bad=(3,)))
    answer = desk.sandbox.handle

    def strict(request: Any) -> Any:
        if request.path.endswith("bulk-import-jobs") and b"poison" in request.body:
            return refusal(422, {"code": "invalid", "detail": "Bad value.", "source": {"pointer": pointer}})
        return answer(request)

    desk.sandbox.handle = strict  # type: ignore[method-assign]
    report = desk.run()
    assert (report.tally.loaded, report.tally.failed) == (9, 1)
    assert [(group.lines, group.detail) for group in report.issues] == [((5,), "Bad value.")]


def test_the_words_hold_no_address(desk: ImporterFixture) -> None:
    """Neither the row's own, nor somebody else's that Klaviyo quotes."""
    desk.write(people(6, bad=(3,)))
    answer = desk.sandbox.handle

    def quoting(request: Any) -> Any:
        if request.path.endswith("bulk-import-jobs") and b"poison" in request.body:
            detail = "poison3@mapleshop.com looks like carl@other.example or +1 212 736 5001"
            return refusal(400, {"code": "invalid", "detail": detail})
        return answer(request)

    desk.sandbox.handle = quoting  # type: ignore[method-assign]
    (group,) = desk.run().issues
    assert group.lines == (5,)
    assert "@" not in group.detail
    assert "736" not in group.detail


@pytest.mark.parametrize("rows", [1, 2])
def test_alone_in_the_file_it_fails_too(desk: ImporterFixture, rows: int) -> None:
    desk.write(people(rows, bad=range(rows)))
    poisoned(desk)
    report = desk.run()
    assert (report.complete, report.tally.failed) == (True, rows)


@pytest.mark.parametrize(("small", "limit"), [(0, 25), (100, 10)], ids=["jobs", "upserts"])
def test_a_refusal_of_everything_stops_and_fails_no_row(desk: ImporterFixture, small: int, limit: int) -> None:
    """The other half: a revision, a plan, an account that takes nothing. Resumable, and nothing is lost."""
    desk.write(60)
    desk.mapping["load"]["small_run"] = small
    poisoned(desk, word="mapleshop.com")
    with pytest.raises(EtlError) as stopped:
        desk.run()
    assert stopped.value.code == "request-refused"
    assert desk.sandbox.requests[JOBS if not small else UPSERTS] <= limit
    assert desk.profiles == 0
    desk.sandbox.set_switches(Switches())
    report = pipeline.resume(context=desk.process())
    assert (report.complete, report.tally.loaded, report.tally.failed) == (True, 60, 0)


@pytest.mark.parametrize(
    "errors",
    [
        [{"code": "invalid", "detail": "No such list.", "source": {"pointer": "/data/relationships/lists/data/0/id"}}],
        [{"code": "invalid", "detail": "Invalid revision.", "source": {"parameter": "revision"}}],
    ],
    ids=["the list", "the revision"],
)
def test_what_says_that_it_is_of_the_request_is_not_searched(
    desk: ImporterFixture, errors: list[dict[str, Any]]
) -> None:
    desk.write(20)
    answer = desk.sandbox.handle

    def refusing(request: Any) -> Any:
        if request.path.endswith("bulk-import-jobs") and request.method == "POST":
            return refusal(400, *errors)
        return answer(request)

    desk.sandbox.handle = refusing  # type: ignore[method-assign]
    with pytest.raises(EtlError, match="refused the request"):
        desk.run()
    assert desk.writes == 0


def test_an_account_that_takes_no_more_in_the_middle(desk: ImporterFixture) -> None:
    """Some batches went, then every one is refused: a search finds nothing that passes, and stops."""
    desk.write(400)
    desk.mapping["load"]["batch_rows"] = 100
    answer = desk.sandbox.handle
    seen = 0

    def full(request: Any) -> Any:
        nonlocal seen
        if request.path.endswith("bulk-import-jobs") and request.method == "POST":
            seen += 1
            if seen > 2:
                return refusal(400)
        return answer(request)

    desk.sandbox.handle = full  # type: ignore[method-assign]
    with pytest.raises(StoppedError):
        desk.run()
    assert seen <= 2 + 2 * 100 + 2
    desk.sandbox.handle = answer  # type: ignore[method-assign]
    report = pipeline.resume(context=desk.process())
    assert report.complete
    assert report.tally.loaded >= 300 - 1


def test_the_run_after_the_poison_is_not_stopped_again(desk: ImporterFixture) -> None:
    """The fault itself: the import stopped at the same batch for ever."""
    desk.write(people(300, bad=range(100, 130)))
    poisoned(desk)
    report = desk.run()
    assert (report.complete, report.tally.loaded, report.tally.failed) == (True, 270, 30)
    poisoned(desk, word="nothing")
    assert pipeline.retry(context=desk.context).tally.loaded == 30
