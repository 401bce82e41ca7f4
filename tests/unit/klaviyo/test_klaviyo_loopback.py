"""The client over real sockets, against the sandbox: what httpx really raises, sends and logs."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from etl.errors import AuthError, UnavailableError
from etl.klaviyo import Backoff, JobStatus, KlaviyoClient, ReplyKind
from etl.sandbox import SANDBOX_KEY, SandboxServer, SandboxSettings, parse_faults
from tests.support.http_stub import RecordingClock

JOBS = "POST /api/profile-bulk-import-jobs"


@pytest.fixture(scope="module")
def running() -> Iterator[SandboxServer]:
    with SandboxServer(SandboxSettings(limits="off", job_seconds=0.0, lists=("News", "VIP"))) as server:
        yield server


@pytest.fixture
def server(running: SandboxServer) -> Iterator[SandboxServer]:
    yield running
    running.sandbox.set_faults(parse_faults({"rules": []}))


def connect(url: str, **options: Any) -> KlaviyoClient:
    settings: dict[str, Any] = {
        "key": SANDBOX_KEY,
        "revision": "2026-10-15",
        "base_url": url,
        "clock": RecordingClock(),
    } | options
    return KlaviyoClient(backoff=Backoff(attempts=3), **settings)


def body(*emails: str) -> bytes:
    profiles = [{"type": "profile", "attributes": {"email": email}} for email in emails]
    attributes = {"profiles": {"data": profiles}}
    return orjson.dumps({"data": {"type": "profile-bulk-import-job", "attributes": attributes}})


def submitted(client: KlaviyoClient, *emails: str) -> str:
    reply = client.submit_import_job(body(*emails))
    assert (reply.kind, reply.status) == (ReplyKind.OK, 202)
    return str(reply.document["data"]["id"])


def test_a_job_from_its_start_to_its_profiles(server: SandboxServer) -> None:
    with connect(server.url) as client:
        assert client.get_account().id == "SBX001"
        job_id = submitted(client, "ann+x@mapleshop.com", "o'brien@mapleshop.com")
        job = client.get_job(job_id)
        assert job is not None
        assert (job.status, job.total, job.completed, job.failed) == (JobStatus.COMPLETE, 2, 2, 0)
        assert list(client.job_errors(job_id)) == []
        emails = {profile.email for profile in client.job_profiles(job_id) if profile.email is not None}
        assert emails == {"ann+x@mapleshop.com", "o'brien@mapleshop.com"}
        assert {found.email for found in client.profiles_by("email", sorted(emails))} == emails
        assert client.clock_skew is not None


def test_more_than_a_page_is_read_whole(server: SandboxServer) -> None:
    wanted = {f"page{number}@mapleshop.com" for number in range(230)}
    with connect(server.url) as client:
        job_id = submitted(client, *sorted(wanted))
        assert {profile.email for profile in client.job_profiles(job_id)} == wanted
        assert {profile.email for profile in client.profiles_by("email", wanted)} == wanted
        ids = [profile.id for profile in client.profiles_by("email", wanted)]
        (news,) = client.find_lists("News")
        assert client.add_to_list(news.id, ids).status == 204
        assert {member.email for member in client.list_members(news.id)} == wanted
        assert client.remove_from_list(news.id, ids).status == 204
        assert list(client.list_members(news.id)) == []
        assert {each.name for each in client.all_lists()} >= {"News", "VIP"}


def test_a_bad_row_is_named_by_its_place(server: SandboxServer) -> None:
    with connect(server.url) as client:
        reply = client.submit_import_job(body("good@mapleshop.com", "bad"))
    assert reply.kind is ReplyKind.ROW_ERRORS
    assert [(error.row, error.field) for error in reply.errors] == [(1, "email")]


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"fault": "reset_before"}, ReplyKind.IN_DOUBT),
        ({"fault": "reset_during"}, ReplyKind.IN_DOUBT),
        ({"fault": "answer_lost"}, ReplyKind.IN_DOUBT),
        ({"fault": "truncated"}, ReplyKind.IN_DOUBT),
        ({"fault": "malformed"}, ReplyKind.MALFORMED),
        ({"fault": "error_html", "status": 502}, ReplyKind.UNAVAILABLE),
        ({"fault": "error_json", "status": 500}, ReplyKind.UNAVAILABLE),
        ({"fault": "throttle", "retry_after": 7}, ReplyKind.THROTTLED),
        ({"fault": "throttle_without_retry_after"}, ReplyKind.THROTTLED),
        ({"fault": "extra_fields"}, ReplyKind.OK),
    ],
    ids=lambda value: value["fault"] if isinstance(value, dict) else str(value),
)
def test_a_fault_on_a_real_line_is_told_for_what_it_is(
    fault: dict[str, Any], kind: ReplyKind, server: SandboxServer
) -> None:
    server.sandbox.set_faults(parse_faults({"rules": [{**fault, "endpoint": JOBS, "times": 1}]}))
    with connect(server.url) as client:
        reply = client.submit_import_job(body("weather@mapleshop.com"))
        assert reply.kind is kind or (fault["fault"] == "truncated" and reply.kind is ReplyKind.MALFORMED)
        assert reply.retry_after == fault.get("retry_after")
        # The pool has thrown a broken connection away: the next request goes through.
        assert client.submit_import_job(body("weather@mapleshop.com")).kind is ReplyKind.OK


def test_reads_get_through_bad_weather(server: SandboxServer) -> None:
    names = ["reset_before", "malformed"]
    rules = [{"fault": name, "endpoint": "GET /api/accounts", "times": 1} for name in names]
    server.sandbox.set_faults(parse_faults({"rules": rules}))
    with connect(server.url) as client:
        assert client.get_account().name == "Sandbox Store"


def test_nobody_at_the_port_means_nothing_was_sent() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with connect(url) as client:
            assert client.submit_import_job(b"{}").kind is ReplyKind.NOT_SENT
            with pytest.raises(UnavailableError):
                client.get_account()


def test_an_unknown_key_is_refused_without_being_shown(server: SandboxServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    key = "pk_somebodyelses_0123456789"
    with connect(server.url, key=key) as client, pytest.raises(AuthError) as refused:
        client.get_account()
    assert refused.value.code == "key-refused"
    assert key not in f"{refused.value} {caplog.text}"


def test_nothing_personal_is_in_any_log_of_a_real_exchange(
    server: SandboxServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with connect(server.url) as client:
        submitted(client, "private@mapleshop.com")
        list(client.profiles_by("email", ["private@mapleshop.com"]))
    assert "/api/profiles" in caplog.text, "httpx does log"
    assert "mapleshop" not in caplog.text
    assert SANDBOX_KEY not in caplog.text


def test_a_retired_revision_is_loud(server: SandboxServer) -> None:
    with connect(server.url, revision="2022-10-17") as client:
        reply = client.submit_import_job(body("old@mapleshop.com"))
    assert reply.kind in {ReplyKind.GONE, ReplyKind.REFUSED}
