"""What goes over the wire, what a broken line means, and that the key stays where it belongs."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from typing import Any

import httpx
import orjson
import pytest

from etl.config import load_settings
from etl.config.settings.base_url import check_encrypted
from etl.errors import AuthError, ConfigError, EtlError, RequestRefusedError
from etl.klaviyo import Exchange, KlaviyoClient, ReplyKind, check_key
from tests.support.http_stub import BASE_URL, KEY, Answer, HttpStub, ok, problem

MEDIA = "application/vnd.api+json"
EMAIL = "ann.lee+shop@mapleshop.com"


def test_every_request_says_who_what_and_which_revision() -> None:
    wire = HttpStub()
    with wire.client(version="9.8") as client:
        client.submit_import_job(b'{"data":1}')
        client.get_list("L1")
    post, get = wire.requests
    for request in (post, get):
        assert request.headers["authorization"] == f"Klaviyo-API-Key {KEY}"
        assert request.headers["revision"] == "2026-10-15"
        assert request.headers["accept"] == MEDIA
        assert request.headers["x-klaviyo-revision-fall-forward-opt-out"] == "1"
        assert request.headers["user-agent"] == "klaviyo-etl/9.8"
        assert request.url.host == "a.klaviyo.com"
    assert post.headers["content-type"] == MEDIA
    assert post.content == b'{"data":1}'
    assert "content-type" not in get.headers


def test_the_revision_is_a_setting_with_a_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KLAVIYO_REVISION", raising=False)
    assert load_settings().revision == "2026-10-15"
    monkeypatch.setenv("KLAVIYO_REVISION", "2027-01-15")
    wire = HttpStub()
    with wire.client(revision=load_settings().revision) as client:
        client.get_list("L1")
    assert wire.requests[0].headers["revision"] == "2027-01-15"


WRITES: dict[str, tuple[Callable[[KlaviyoClient], Any], str, str, Any]] = {
    "job": (lambda c: c.submit_import_job(b"{}"), "POST", "/api/profile-bulk-import-jobs", {}),
    "upsert": (lambda c: c.upsert_profile(b"{}"), "POST", "/api/profile-import", {}),
    "patch": (lambda c: c.patch_profile("P1", b"{}"), "PATCH", "/api/profiles/P1", {}),
    "add": (
        lambda c: c.add_to_list("L1", ["P1", "P2"]),
        "POST",
        "/api/lists/L1/relationships/profiles",
        {"data": [{"type": "profile", "id": "P1"}, {"type": "profile", "id": "P2"}]},
    ),
    "remove": (
        lambda c: c.remove_from_list("L1", ["P1"]),
        "DELETE",
        "/api/lists/L1/relationships/profiles",
        {"data": [{"type": "profile", "id": "P1"}]},
    ),
}


@pytest.mark.parametrize("name", WRITES)
def test_a_write_is_one_exchange_whatever_comes_back(name: str) -> None:
    """The checkpoint around it is the caller's: nothing is tried again behind its back."""
    call, method, path, body = WRITES[name]
    answers: list[Answer] = [
        problem(503),
        problem(429),
        httpx.ReadTimeout("late"),
        httpx.ConnectError("no"),
        httpx.Response(204),
    ]
    wire = HttpStub(*answers)
    with wire.client() as client:
        kinds = [call(client).kind for _ in answers]
    assert kinds == ["unavailable", "throttled", "in_doubt", "not_sent", "ok"]
    assert {(request.method, request.url.path) for request in wire.requests} == {(method, path)}
    assert orjson.loads(wire.requests[-1].content) == body


NOT_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.LocalProtocolError,
    httpx.UnsupportedProtocol,
)
IN_DOUBT = (
    httpx.ReadTimeout,
    httpx.WriteTimeout,
    httpx.ReadError,
    httpx.WriteError,
    httpx.CloseError,
    httpx.RemoteProtocolError,
    httpx.DecodingError,
    httpx.TooManyRedirects,
)


@pytest.mark.parametrize("error", NOT_SENT)
def test_no_connection_means_nothing_was_sent(error: type[Exception]) -> None:
    with HttpStub(error("x")).client() as client:
        reply = client.submit_import_job(b"{}")
    assert reply.kind is ReplyKind.NOT_SENT
    assert not reply.kind.is_uncertain


@pytest.mark.parametrize("error", IN_DOUBT)
def test_a_line_that_breaks_later_leaves_it_in_doubt(error: type[Exception]) -> None:
    with HttpStub(error("x")).client() as client:
        reply = client.submit_import_job(b"{}")
    assert reply.kind is ReplyKind.IN_DOUBT
    assert reply.kind.is_uncertain


def test_every_error_of_httpx_is_one_or_the_other() -> None:
    """A release of httpx that adds one must not end the program."""
    kinds = [kind for kind in vars(httpx).values() if isinstance(kind, type) and issubclass(kind, httpx.HTTPError)]
    assert len(kinds) > 15
    for kind in kinds:
        if kind is httpx.HTTPStatusError:  # raised by raise_for_status only, which nobody calls
            continue
        with HttpStub(kind("x")).client() as client:
            expected = ReplyKind.NOT_SENT if issubclass(kind, NOT_SENT) else ReplyKind.IN_DOUBT
            assert client.submit_import_job(b"{}").kind is expected, kind


def test_a_redirect_is_not_followed() -> None:
    """The key would go along."""
    wire = HttpStub(httpx.Response(307, headers={"location": "https://elsewhere.example/"}))
    with wire.client() as client:
        assert client.submit_import_job(b"{}").kind is ReplyKind.REFUSED
    assert len(wire.requests) == 1


@pytest.mark.parametrize("empty", [lambda c: c.get_job(""), lambda c: list(c.job_errors("")), lambda c: c.get_list("")])
def test_an_empty_id_is_refused_before_it_names_the_collection(empty: Callable[[KlaviyoClient], Any]) -> None:
    wire = HttpStub()
    with wire.client() as client, pytest.raises(RequestRefusedError, match="id is empty"):
        empty(client)
    assert not wire.requests


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.patch_profile("", b"{}"),
        lambda c: c.add_to_list("", ["P"]),
        lambda c: c.remove_from_list("", ["P"]),
        lambda c: list(c.job_profiles("")),
        lambda c: list(c.list_members("")),
    ],
)
def test_no_other_call_takes_an_empty_id_either(call: Callable[[KlaviyoClient], Any]) -> None:
    wire = HttpStub()
    with wire.client() as client, pytest.raises(RequestRefusedError):
        call(client)
    assert not wire.requests


def test_an_id_cannot_leave_its_place_in_the_path() -> None:
    wire = HttpStub()
    with wire.client() as client:
        client.get_job("../lists?x=1#y")
    assert wire.requests[0].url.raw_path == b"/api/profile-bulk-import-jobs/..%2Flists%3Fx%3D1%23y"


def test_an_observer_is_told_of_every_exchange_without_personal_data() -> None:
    seen: list[Exchange] = []
    answer = problem(429, {"id": "err-1"}, **{"Retry-After": "3"})
    wire = HttpStub(answer, ok())
    with wire.client(on_exchange=seen.append) as client:
        list(client.profiles_by("email", [EMAIL]))
        client.submit_import_job(b"12345")
    assert [(one.status, one.kind, one.retry_after, one.error_ids) for one in seen[:2]] == [
        (429, "throttled", 3.0, ("err-1",)),
        (200, "ok", None, ()),
    ]
    assert (seen[2].endpoint, seen[2].request_bytes) == ("POST /api/profile-bulk-import-jobs", 5)
    assert EMAIL not in repr(seen)
    assert "mapleshop" not in repr(seen)


def test_the_servers_clock_is_compared_with_ours() -> None:
    wire = HttpStub(ok({"id": "L"}, date="Fri, 15 Jan 2027 08:05:00 GMT"), ok({"id": "L"}, date="yesterday"))
    with wire.client() as client:
        skews = [client.clock_skew]
        for _ in range(2):
            client.get_list("L")
            skews.append(client.clock_skew)
    assert skews == [None, 300.0, 300.0]


# --- the key --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "code"),
    [
        (None, "key-missing"),
        ("", "key-missing"),
        ("AbC123", "key-public"),
        ("Bearer pk_0123456789", "key-malformed"),
        ("sk_0123456789abcdef", "key-malformed"),
        ("pk_short", "key-malformed"),
        ("pk_0123456789abcdef\n", "key-malformed"),
        (" pk_0123456789abcdef", "key-malformed"),
        ("pk_0123456789\r\nX-Evil: 1", "key-malformed"),
        ("pk_0123456789äöü", "key-malformed"),
    ],
)
def test_what_is_no_private_key_is_named_and_never_shown(key: str | None, code: str) -> None:
    with pytest.raises(AuthError) as refused:
        check_key(key)
    assert refused.value.code == code
    assert refused.value.hint
    if key and len(key) > 6:
        assert key.strip() not in str(refused.value)
        assert key.strip() not in repr(refused.value)


def test_a_private_key_is_taken_as_it_is() -> None:
    assert check_key(KEY) == KEY


@pytest.mark.parametrize(
    "url", ["http://a.klaviyo.com", "ftp://x", "a.klaviyo.com", "http://127.0.0.1.evil.example", ""]
)
def test_the_key_never_travels_unencrypted(url: str) -> None:
    with pytest.raises(ConfigError):
        check_encrypted(url)


@pytest.mark.parametrize(
    "url", ["https://a.klaviyo.com/", "http://127.0.0.1:8080", "http://localhost", "http://[::1]:1"]
)
def test_encrypted_or_this_machine_is_fine(url: str) -> None:
    assert check_encrypted(url) == url.rstrip("/")


def everything_said(error: BaseException) -> str:
    """The error with its causes, as a traceback, text and repr show it."""
    parts = ["".join(traceback.format_exception(error))]
    link: BaseException | None = error
    while link is not None:
        parts += [str(link), repr(link), repr(vars(link))]
        link = link.__cause__ or link.__context__
    return "\n".join(parts)


FAILURES: dict[str, Answer] = {
    "refused": problem(401, {"detail": f"Key {EMAIL}"}),
    "bad request": problem(400, {"detail": f'any(email,["{EMAIL}"])'}),
    "no line": httpx.ConnectError(f"cannot reach {EMAIL}"),
    "bad url": httpx.InvalidURL(f"bad {EMAIL}"),
    "late": httpx.ReadTimeout(EMAIL),
}


@pytest.mark.parametrize("name", FAILURES)
def test_neither_key_nor_e_mail_is_in_an_error_or_a_log(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    wire = HttpStub(*[FAILURES[name]] * 4)
    with wire.client() as client, pytest.raises(EtlError) as failed:
        list(client.profiles_by("email", [EMAIL]))
    said = everything_said(failed.value) + caplog.text
    assert KEY not in said
    assert "mapleshop" not in said


def test_httpx_logs_requests_without_their_query(caplog: pytest.LogCaptureFixture) -> None:
    """A program that uses the library and logs at INFO must not log its customers."""
    caplog.set_level(logging.DEBUG)
    with HttpStub(ok()).client() as client:
        list(client.profiles_by("email", [EMAIL]))
    logged = [record.getMessage() for record in caplog.records if record.name == "httpx"]
    assert logged == [f'HTTP Request: GET {BASE_URL}/api/profiles "HTTP/1.1 200 OK"']


def test_other_peoples_requests_are_logged_as_they_are(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    transport = httpx.MockTransport(lambda _request: httpx.Response(200))
    with httpx.Client(transport=transport) as other:
        other.get("https://example.org/?q=1")
    assert "https://example.org/?q=1" in caplog.text


def test_neither_client_nor_transport_shows_the_key() -> None:
    wire = HttpStub()
    with wire.client() as client:
        shown = [repr(client), str(client), repr(client._transport), repr(client._transport._client)]
        shown += [repr(vars(client)), repr(client._transport._client.headers)]
        assert all(KEY not in text for text in shown)
        assert repr(client._transport) == f"Transport({BASE_URL})"
