"""Every answer that Klaviyo, a gateway or a broken line can give is put into the right class, and none raises."""

from __future__ import annotations

import json
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.errors import AuthError, KlaviyoError, RequestRefusedError, UnavailableError
from etl.klaviyo import ApiError, Reply, ReplyKind, error_for
from etl.klaviyo.transport.reply import classify, retry_after
from tests.support.http_stub import HttpStub, ok, problem

NOW = 1_800_000_000.0  # Fri, 15 Jan 2027 08:00:00 GMT
ROW: dict[str, Any] = {"id": "e1", "code": "invalid", "detail": "Invalid email address"}
ROW |= {"source": {"pointer": "/data/attributes/profiles/data/17/attributes/email"}}
LIST = {"code": "invalid", "detail": "No such list.", "source": {"pointer": "/data/relationships/lists/data/0/id"}}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def reply_to(answer: httpx.Response | Exception) -> Reply:
    with HttpStub(answer).client() as client:
        return client.submit_import_job(b"{}")


@pytest.mark.parametrize("status", [200, 201, 202])
def test_a_success_carries_its_document(status: int) -> None:
    reply = reply_to(ok({"id": "J1"}, status=status))
    assert (reply.kind, reply.status, reply.document["data"]) == (ReplyKind.OK, status, {"id": "J1"})
    assert not reply.kind.is_retryable
    assert not reply.kind.is_uncertain


def test_a_success_without_body_is_a_success() -> None:
    assert reply_to(httpx.Response(204)) == Reply(ReplyKind.OK, 204)
    assert reply_to(httpx.Response(202, content=b"  ")) == Reply(ReplyKind.OK, 202)


@pytest.mark.parametrize(
    ("status", "errors", "kind"),
    [
        (400, [ROW], ReplyKind.ROW_ERRORS),
        (400, [LIST, ROW], ReplyKind.ROW_ERRORS),
        (400, [LIST], ReplyKind.REFUSED),
        (400, [], ReplyKind.REFUSED),
        (401, [{"code": "not_authenticated"}], ReplyKind.AUTH),
        (403, [{"code": "whatever"}], ReplyKind.AUTH),
        (404, [{"code": "not_found"}], ReplyKind.NOT_FOUND),
        (405, [], ReplyKind.REFUSED),
        (408, [], ReplyKind.UNAVAILABLE),
        (409, [{"code": "duplicate_profile"}], ReplyKind.REFUSED),
        (410, [], ReplyKind.GONE),
        (413, [], ReplyKind.TOO_LARGE),
        (415, [], ReplyKind.REFUSED),
        (418, [], ReplyKind.REFUSED),
        (429, [{"code": "throttled"}], ReplyKind.THROTTLED),
        (500, [], ReplyKind.UNAVAILABLE),
        (503, [{"code": "x"}], ReplyKind.UNAVAILABLE),
        (599, [], ReplyKind.UNAVAILABLE),
        (301, [], ReplyKind.REFUSED),
    ],
)
def test_a_status_and_its_pointers_make_the_kind(status: int, errors: list[dict[str, Any]], kind: ReplyKind) -> None:
    reply = reply_to(problem(status, *errors))
    assert (reply.kind, reply.status, len(reply.errors)) == (kind, status, len(errors))


RETRYABLE = {"throttled", "unavailable", "not_sent", "in_doubt", "malformed"}


def test_what_may_be_sent_again_and_what_may_have_arrived() -> None:
    assert {kind for kind in ReplyKind if kind.is_retryable} == RETRYABLE
    assert {kind for kind in ReplyKind if kind.is_uncertain} == {"unavailable", "in_doubt", "malformed"}


@pytest.mark.parametrize("status", [500, 502, 504])
@pytest.mark.parametrize(
    "body", [b"<html><h1>Bad gateway</h1>", b"", b'{"errors": [{"id"', b"\xff\xfe", b"[1]", b"null"]
)
def test_a_failing_gateway_may_say_what_it_likes(status: int, body: bytes) -> None:
    assert reply_to(httpx.Response(status, content=body)) == Reply(ReplyKind.UNAVAILABLE, status)


@pytest.mark.parametrize("body", [b'{"data": {"id": "J', b"<html>welcome to the wifi</html>", b"[]", b'"ok"', b"\xff"])
def test_a_success_that_cannot_be_read_is_in_doubt(body: bytes) -> None:
    """The job may exist: saying "failed" or "done" would both be a guess."""
    reply = reply_to(httpx.Response(202, content=body))
    assert reply.kind is ReplyKind.MALFORMED
    assert reply.kind.is_uncertain


def test_an_error_names_its_row_and_field() -> None:
    reply = reply_to(problem(400, ROW, LIST))
    first, second = reply.errors
    assert (first.row, first.field, first.id, first.code) == (17, "email", "e1", "invalid")
    assert (second.row, second.field) == (None, None)
    nested = {"source": {"pointer": "/data/attributes/profiles/data/0/attributes/location/city"}}
    assert reply_to(problem(400, nested)).errors[0] == ApiError(
        "unknown", "", nested["source"]["pointer"], row=0, field="location/city"
    )
    whole = {"source": {"pointer": "/data/attributes/profiles/data/3"}}
    assert (reply_to(problem(400, whole)).errors[0].row, reply_to(problem(400, whole)).errors[0].field) == (3, None)


def test_a_conflict_names_the_other_profile() -> None:
    conflict = {"code": "duplicate_profile", "status": 409, "meta": {"duplicate_profile_id": "01JA"}}
    assert reply_to(problem(409, conflict)).errors[0].duplicate_profile_id == "01JA"


def test_fields_of_next_year_do_no_harm() -> None:
    error: dict[str, Any] = ROW | {"status": "400", "links": None, "meta": [], "new": {"deep": [1]}}
    document = {"errors": [error, "text", None, 7], "meta": {"agent_hints": {"next_steps": []}}, "jsonapi": {}}
    reply = reply_to(httpx.Response(400, json=document))
    assert [error.row for error in reply.errors] == [17]
    assert reply_to(ok({"id": "J", "later": 1}, status=202)).document["data"]["id"] == "J"


def test_a_dropped_phone_is_told_by_a_header() -> None:
    answer = httpx.Response(201, json={"data": {}}, headers={"X-Klaviyo-Partial-Failure": "phone_number"})
    assert reply_to(answer).partial_failure == "phone_number"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("0", 0.0),
        ("-3", 0.0),
        ("86400", 3_600.0),
        ("inf", 3_600.0),
        ("nan", None),
        ("soon", None),
        ("", None),
        (None, None),
        ("Fri, 15 Jan 2027 08:00:30 GMT", 30.0),
        ("Fri, 15 Jan 2027 08:00:30 -0000", 30.0),
        ("Fri Jan 15 08:00:30 2027", 30.0),
        ("Fri, 15 Jan 2027 07:00:00 GMT", 0.0),
        ("Fri, 99 Jan 2027 08:00:30 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str | None, seconds: float | None) -> None:
    assert retry_after(text, NOW) == seconds


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_reaches_the_reply(status: int) -> None:
    assert reply_to(problem(status, **{"Retry-After": "9"})).retry_after == 9.0
    assert reply_to(problem(status)).retry_after is None


HOSTILE = [
    {"errors": [{"source": {"pointer": f"/profiles/data/{'9' * 5000}"}}]},
    {"errors": [{"source": {"pointer": "/profiles/data/١٢"}}]},
    {"errors": [{"source": {"pointer": "/profiles/data/"}}]},
    {"errors": [{"source": {"pointer": "/profiles/data/-1"}}]},
    {"errors": {"source": 1}},
]


@pytest.mark.parametrize("document", HOSTILE)
def test_a_pointer_that_is_no_row_names_none(document: dict[str, Any]) -> None:
    reply = classify(400, {}, orjson.dumps(document), NOW)
    assert reply.kind is ReplyKind.REFUSED
    assert all(error.row is None for error in reply.errors)


@given(
    status=st.integers(100, 599),
    body=st.binary(max_size=80) | JSON.map(lambda value: json.dumps({"errors": value, "data": value}).encode()),
    header=st.text(max_size=30),
)
def test_no_answer_makes_the_reader_fall(status: int, body: bytes, header: str) -> None:
    reply = classify(status, {"retry-after": header, "x-klaviyo-partial-failure": header}, body, NOW)
    assert (reply.kind is ReplyKind.OK) <= (200 <= status < 300)
    assert reply.kind is not ReplyKind.ROW_ERRORS or (status == 400 and any(e.row is not None for e in reply.errors))
    assert reply.retry_after is None or 0 <= reply.retry_after <= 3_600
    assert isinstance(reply.says, str)


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        (problem(401), AuthError, "key-refused"),
        (problem(403), AuthError, "key-lacks-scope"),
        (problem(410), RequestRefusedError, "revision-retired"),
        (problem(400, LIST), RequestRefusedError, "request-refused"),
        (problem(413), RequestRefusedError, "request-refused"),
        (problem(500), UnavailableError, "klaviyo-unavailable"),
        (problem(429), UnavailableError, "klaviyo-unavailable"),
        (httpx.Response(200, content=b"{"), UnavailableError, "klaviyo-unavailable"),
        (httpx.ReadTimeout("late"), UnavailableError, "klaviyo-unavailable"),
        (httpx.ConnectError("nobody"), UnavailableError, "klaviyo-unavailable"),
    ],
)
def test_a_reply_that_ends_the_attempt_says_what_to_do(
    answer: httpx.Response | Exception, kind: type[KlaviyoError], code: str
) -> None:
    error = error_for(reply_to(answer))
    assert type(error) is kind
    assert error.code == code
    assert error.hint


@pytest.mark.parametrize(
    ("detail", "hidden"),
    [
        ('Invalid filter: any(email,["ann.lee@mapleshop.com"])', "ann.lee@mapleshop.com"),
        ("Phone +1 (415) 555-0132 is not valid", "555"),
        ("12025550143 is taken", "12025550143"),
    ],
)
def test_what_klaviyo_quotes_is_hidden(detail: str, hidden: str) -> None:
    message = str(error_for(reply_to(problem(400, {"detail": detail}))))
    assert hidden not in message
    assert "(hidden)" in message


def test_what_is_no_persons_stays_readable() -> None:
    detail = "Revision 2024-10-15 was retired, see 3 pages; list Y6nRLr"
    assert detail in str(error_for(reply_to(problem(400, {"detail": detail}))))
