"""Suppressing by hand in the sandbox (reference 3.8)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from etl.sandbox import SANDBOX_KEY, SCOPES, parse_faults
from tests.support.sandbox_client import Answer, Caller, by_email

ANN = "ann@mapleshop.com"
PATH = "/api/profile-suppression-bulk-{}-jobs"


@pytest.fixture
def at() -> Iterator[Caller]:
    caller = Caller(keys={SANDBOX_KEY: SCOPES, "pk_half": frozenset({"subscriptions:write"})})
    yield caller
    caller.sandbox.close()


def submit(at: Caller, action: str, *emails: Any, **related: Any) -> Answer:
    rows = [{"type": "profile", "attributes": {"email": email}} for email in emails]
    attributes = {"profiles": {"data": rows}} if rows else {}
    return at.post(PATH.format(action), f"profile-suppression-bulk-{action}-job", attributes, **related)


def job(at: Caller, action: str, answer: Answer) -> dict[str, Any]:
    shown: dict[str, Any] = at.get(f"{PATH.format(action)}/{answer.data['id']}").data["attributes"]
    return shown


def reasons(at: Caller, email: str) -> list[str]:
    return [item["reason"] for item in at.marketing(email)["suppression"]]


def test_a_job_suppresses_and_leaves_the_consent(at: Caller) -> None:
    at.sandbox.simulate("subscribe", email=ANN)
    answer = submit(at, "create", ANN.upper(), "stranger@mapleshop.com")
    assert answer.status == 202
    assert job(at, "create", answer)["status"] == "queued"
    assert at.marketing(ANN)["can_receive_email_marketing"] is True
    at.settle(5)
    assert job(at, "create", answer)["status"] == "processing"
    at.settle()
    done = job(at, "create", answer)
    assert (done["status"], done["total_count"], done["completed_count"], done["skipped_count"]) == (
        "complete",
        2,
        2,
        0,
    )
    assert done["completed_at"]
    assert "expires_at" not in done
    assert "failed_count" not in done
    shown = at.marketing(ANN)
    assert (shown["consent"], shown["can_receive_email_marketing"]) == ("SUBSCRIBED", False)
    assert reasons(at, "stranger@mapleshop.com") == ["USER_SUPPRESSED"]


def test_what_is_so_already_is_skipped(at: Caller) -> None:
    submit(at, "create", ANN)
    at.settle()
    again, other = submit(at, "create", ANN, "bob@mapleshop.com"), submit(at, "delete", "nobody@mapleshop.com")
    at.settle()
    assert (job(at, "create", again)["completed_count"], job(at, "create", again)["skipped_count"]) == (1, 1)
    assert (job(at, "delete", other)["completed_count"], job(at, "delete", other)["skipped_count"]) == (0, 1)
    assert at.profile("nobody@mapleshop.com") is None


def test_unsuppressing_undoes_only_what_was_done_by_hand(at: Caller) -> None:
    submit(at, "create", ANN)
    at.settle()
    at.sandbox.simulate("unsubscribe", email=ANN)
    at.sandbox.simulate("bounce", email=ANN)
    answer = submit(at, "delete", ANN)
    at.settle()
    assert job(at, "delete", answer)["completed_count"] == 1
    assert sorted(reasons(at, ANN)) == ["HARD_BOUNCE", "UNSUBSCRIBE"]
    assert [event["metric"] for event in at.dumped("own_events")] == [
        "Bounced Email",
        "Manually Suppressed from Email Marketing",
        "Manually Unsuppressed from Email Marketing",
        "Unsubscribed from Email Marketing",
    ]


def test_a_list_is_suppressed_as_a_whole(at: Caller) -> None:
    for name in ("ann", "bob"):
        at.subscribe(by_email(f"{name}@mapleshop.com"), list_name="News")
    at.settle()
    news = {"data": {"type": "list", "id": at.list_id("News")}}
    answer = submit(at, "create", list=news)
    assert answer.data["attributes"]["total_count"] == 2
    at.settle()
    assert {item["email"] for item in at.dumped("suppressions")} == {ANN, "bob@mapleshop.com"}
    assert (
        at.get(PATH.format("create"), filter=f'equals(list_id,"{at.list_id("News")}")').data[0]["id"]
        == answer.data["id"]
    )
    assert at.get(PATH.format("create"), filter='equals(segment_id,"abc")').data == []
    submit(at, "delete", list=news)
    at.settle()
    assert at.dumped("suppressions") == []


@pytest.mark.parametrize("action", ["create", "delete"])
def test_what_is_refused(at: Caller, action: str) -> None:
    news = {"data": {"type": "list", "id": at.list_id("News")}}
    rows = "/data/attributes/profiles/data"
    assert submit(at, action).pointers == ["/data"]
    assert submit(at, action, ANN, list=news).pointers == ["/data"]
    segment = {"data": {"type": "segment", "id": "ABC123"}}
    assert submit(at, action, list=news, segment=segment).pointers == ["/data/relationships"]
    assert submit(at, action, segment={"data": {"type": "segment", "id": "abc"}}).status == 404
    assert submit(at, action, list={"data": {"type": "list", "id": "ZZZZZZ"}}).status == 404
    assert submit(at, action, ANN, "no address", None).pointers == [
        f"{rows}/1/attributes/email",
        f"{rows}/2/attributes/email",
    ]
    assert submit(at, action, *(f"p{number}@mapleshop.com" for number in range(101))).pointers == [rows]
    assert submit(at, action, *(f"p{number}@mapleshop.com" for number in range(100))).status == 202


def test_suppressing_needs_one_scope_more_than_unsuppressing(at: Caller) -> None:
    for action, status in (("create", 403), ("delete", 202)):
        kind = f"profile-suppression-bulk-{action}-job"
        rows = {"data": [{"type": "profile", "attributes": {"email": ANN}}]}
        body = {"data": {"type": kind, "attributes": {"profiles": rows}}}
        assert at.send("POST", PATH.format(action), body, key="pk_half").status == status
        assert at.send("GET", PATH.format(action), key="pk_half").status == 403


def test_jobs_are_listed_by_status_and_paged(at: Caller) -> None:
    ids = [submit(at, "create", ANN).data["id"] for _ in range(23)]
    at.settle()
    last = submit(at, "create", ANN).data["id"]
    submit(at, "delete", ANN)
    first = at.get(PATH.format("create"), filter='equals(status,"complete")', sort="-created")
    assert [item["id"] for item in first.data] == ids[:2:-1]
    cursor = first.json["links"]["next"].partition("page%5Bcursor%5D=")[2]
    rest = at.get(
        PATH.format("create"), **{"sort": "-created", "page[cursor]": cursor, "filter": 'equals(status,"complete")'}
    )
    assert [item["id"] for item in rest.data] == ids[2::-1]
    assert [item["id"] for item in at.get(PATH.format("create"), filter='equals(status,"queued")').data] == [last]
    assert at.get(PATH.format("create"), filter='equals(status,"done")').status == 400
    assert at.get(PATH.format("create"), sort="updated").status == 400
    assert at.get(f"{PATH.format('delete')}/{last}").status == 404


@pytest.mark.parametrize(
    ("fault", "status", "counters", "suppressed"),
    [
        ("job_stuck", "processing", (0, 0), []),
        ("job_cancelled", "cancelled", (0, 0), []),
        ("counters_null", "complete", (None, None), ["USER_SUPPRESSED"]),
        ("counters_off", "complete", (0, 0), ["USER_SUPPRESSED"]),
    ],
)
def test_the_job_may_say_anything_so_look_at_the_profile(
    at: Caller, fault: str, status: str, counters: tuple[int | None, int | None], suppressed: list[str]
) -> None:
    at.post("/api/profiles", "profile", {"email": ANN})
    at.sandbox.set_faults(parse_faults({"rules": [{"fault": fault, "endpoint": "POST */profile-suppression-*"}]}))
    answer = submit(at, "create", ANN)
    at.settle(5)
    at.get(PATH.format("create"))
    at.settle()
    shown = job(at, "create", answer)
    assert (shown["status"], (shown["completed_count"], shown["skipped_count"])) == (status, counters)
    assert reasons(at, ANN) == suppressed


def test_profiles_are_found_by_their_suppression(at: Caller) -> None:
    for index, name in enumerate(("ann", "bob", "cid")):
        at.sandbox.simulate("subscribe", email=f"{name}@mapleshop.com")
        if index:
            at.sandbox.simulate("spam" if index == 1 else "bounce", email=f"{name}@mapleshop.com")
        at.settle(100)
    held = "subscriptions.email.marketing.suppression"

    def found(condition: str, **query: str) -> list[str]:
        items = at.get("/api/profiles", filter=condition, **query).data
        return [item["attributes"]["email"].partition("@")[0] for item in items]

    assert found(f'equals({held}.reason,"SPAM_COMPLAINT")') == ["bob"]
    since = at.moment(ago=250).replace("+00:00", "Z")
    assert found(f"greater-than({held}.timestamp,{since})", sort=f"-{held}.timestamp") == ["cid", "bob"]
    assert found(f"less-or-equal({held}.timestamp,{since})") == []
    at.subscribe(by_email("ann@mapleshop.com"), list_name="News")
    at.settle()
    at.unsubscribe(by_email("ann@mapleshop.com", consent="UNSUBSCRIBED"), list_name="News")
    at.settle()
    listed = "subscriptions.email.marketing.list_suppressions"
    assert found(f'equals({listed}.list_id,"{at.list_id("News")}")') == ["ann"]
    assert found(f'equals({listed}.reason,"UNSUBSCRIBE")') == ["ann"]
    assert at.get("/api/profiles", filter=f'any({held}.reason,["SPAM_COMPLAINT"])').status == 400
