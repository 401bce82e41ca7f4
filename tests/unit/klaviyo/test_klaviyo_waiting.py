"""Rate windows that are full but never over, retries that end, and waits that a signal ends."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.errors import KlaviyoError, UnavailableError
from etl.klaviyo import Backoff, KlaviyoClient
from etl.klaviyo.transport.rate_limits import LIMITS, Windows
from etl.operations import RateLimit
from tests.support.effort import FULL, examples
from tests.support.http_stub import HttpStub, ok, problem

JOBS = "/api/profile-bulk-import-jobs"
XS, S, M, L, XL = (1, 15), (3, 60), (10, 150), (75, 700), (350, 3_500)

# What Klaviyo documents for each endpoint (table of the reference), and a call that uses it.
ENDPOINTS: dict[str, tuple[tuple[int, int], Callable[[KlaviyoClient], Any]]] = {
    "GET /api/accounts": (XS, lambda c: c.get_account()),
    "GET /api/lists": (L, lambda c: c.all_lists()),
    "GET /api/lists/{id}": (L, lambda c: c.get_list("L")),
    "GET /api/lists/{id}?profile_count": (XS, lambda c: c.get_list("L", with_count=True)),
    "POST /api/lists": (M, lambda c: c.create_list("News")),
    "GET /api/lists/{id}/profiles": (L, lambda c: list(c.list_members("L"))),
    "POST /api/lists/{id}/relationships/profiles": (M, lambda c: c.add_to_list("L", ["P"])),
    "DELETE /api/lists/{id}/relationships/profiles": (M, lambda c: c.remove_from_list("L", ["P"])),
    f"POST {JOBS}": (M, lambda c: c.submit_import_job(b"{}")),
    f"GET {JOBS}": (M, lambda c: c.recent_jobs(0.0)),
    f"GET {JOBS}/{{id}}": (M, lambda c: c.get_job("J")),
    f"GET {JOBS}/{{id}}/import-errors": (M, lambda c: list(c.job_errors("J"))),
    f"GET {JOBS}/{{id}}/profiles": (M, lambda c: list(c.job_profiles("J"))),
    "POST /api/profile-import": (L, lambda c: c.upsert_profile(b"{}")),
    "GET /api/profiles": (L, lambda c: list(c.profiles_by("email", ["a@b.co"]))),
    "GET /api/profiles/{id}": (L, lambda c: c.get_profile("P")),
    "PATCH /api/profiles/{id}": (L, lambda c: c.patch_profile("P", b"{}")),
    "POST /api/profile-subscription-bulk-create-jobs": (L, lambda c: c.subscribe(b"{}")),
    "POST /api/profile-subscription-bulk-delete-jobs": (L, lambda c: c.unsubscribe(b"{}")),
    "POST /api/profile-suppression-bulk-create-jobs": (L, lambda c: c.suppress(["a@b.co"])),
    "POST /api/profile-suppression-bulk-delete-jobs": (L, lambda c: c.unsuppress(["a@b.co"])),
    "POST /api/events": (XL, lambda c: c.create_event(b"{}")),
    "GET /api/events": (XL, lambda c: list(c.event_pages(metric_id="M"))),
    "POST /api/event-bulk-create-jobs": (M, lambda c: c.create_events(b"{}")),
    "GET /api/metrics": (M, lambda c: list(c.metrics())),
    "GET /api/webhooks": (XS, lambda c: c.webhooks()),
    "POST /api/webhooks": (XS, lambda c: c.create_webhook("w", "https://example.com", "s" * 16, ["event:x"])),
    "DELETE /api/webhooks/{id}": (XS, lambda c: c.delete_webhook("W")),
    "GET /api/webhook-topics": (XS, lambda c: c.webhook_topics()),
    "POST /api/profile-merge": (M, lambda c: c.merge_profiles("P", "Q")),
    "GET /api/billing-usage": (M, lambda c: c.billing_usage()),
    "POST /api/data-privacy-deletion-jobs": (S, lambda c: c.request_deletion("email", "a@b.co")),
}


def most_within(times: list[float], seconds: float) -> int:
    """The most requests in any window of this length."""
    most, first = 0, 0
    for last, time in enumerate(times):
        while time - times[first] >= seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


def test_the_table_names_every_endpoint() -> None:
    assert set(ENDPOINTS) == set(LIMITS)


FIRSTS = {limit: name for name, (limit, _) in reversed(ENDPOINTS.items())}.values()


# One endpoint of each limit; each of all of them (``make matrix``).
@pytest.mark.parametrize("endpoint", ENDPOINTS if FULL else FIRSTS)
def test_an_endpoint_is_used_to_its_limits_and_not_beyond(endpoint: str) -> None:
    (burst, steady), call = ENDPOINTS[endpoint]
    wire = HttpStub()
    with wire.client() as client:
        for _ in range(steady + 2 * burst):
            call(client)
    times = [time - wire.times[0] for time in wire.times]
    assert most_within(times, 1.0) == burst
    assert most_within(times, 60.0) == steady
    assert times[burst - 1] == 0, "the first go at once"
    assert times[steady - 1] < 1.05 * steady / burst + 1, "no slower than the burst allows"
    assert 60 <= times[steady] < 61


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_an_endpoint_has_the_burst_of_its_limit(endpoint: str) -> None:
    (burst, _), call = ENDPOINTS[endpoint]
    wire = HttpStub()
    with wire.client() as client:
        for _ in range(burst + 1):
            call(client)
    assert [time - wire.times[0] < 1 for time in wire.times] == [True] * burst + [False]


def test_endpoints_do_not_wait_for_each_other() -> None:
    wire = HttpStub()
    with wire.client() as client:
        for _, call in ENDPOINTS.values():
            call(client)
    assert not wire.clock.naps


@given(
    limit=st.sampled_from([RateLimit(1, 15), RateLimit(3, 60), RateLimit(10, 150), RateLimit(2, 7)]),
    gaps=st.lists(st.floats(0, 8) | st.just(0.0), min_size=1, max_size=120),
    closed=st.lists(st.tuples(st.integers(0, 119), st.floats(0, 90)), max_size=3),
    start=st.floats(0, 1e9),
)
@settings(max_examples=examples(20), deadline=None)
def test_no_schedule_gets_over_a_window(
    limit: RateLimit, gaps: list[float], closed: list[tuple[int, float]], start: float
) -> None:
    windows, now, times = Windows(limit), start, []
    shut = 0.0
    for number, gap in enumerate(gaps):
        now += gap
        while (wait := windows.wait(now)) > 0:
            assert wait < 60.1 + 90
            now += max(wait, 0.001)
        assert now >= shut
        windows.note(now)
        times.append(now)
        for at, seconds in closed:
            if at == number:
                windows.close(now + seconds)
                shut = max(shut, now + seconds)
    assert most_within(times, 1.0) <= limit.burst
    assert most_within(times, 60.0) <= limit.steady


@given(st.floats(0.0, 1.0, exclude_max=True), st.integers(1, 10_000), st.none() | st.floats(0, 3_600))
def test_a_delay_is_never_nothing_and_never_without_end(chance: float, failures: int, server: float | None) -> None:
    delay = Backoff().delay(failures, chance, server)
    if server is None:
        assert 0.25 <= delay <= 60.0
    else:
        assert server <= delay <= server + 0.25


def test_delays_grow_twofold_to_their_most() -> None:
    delays = [Backoff(first=1, most=10).delay(failures, 0.0) for failures in range(1, 7)]
    assert delays == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]


# --- trying again -----------------------------------------------------------------------------------------------------

PASSING = [
    problem(503),
    problem(429),
    httpx.Response(502, html="<h1>no</h1>"),
    httpx.Response(200, content=b'{"data"'),
    httpx.ReadTimeout("late"),
    httpx.ConnectError("nobody"),
]


@pytest.mark.parametrize("trouble", PASSING, ids=repr)
def test_a_read_is_tried_again_until_it_is_answered(trouble: httpx.Response | Exception) -> None:
    wire = HttpStub(trouble, trouble, ok({"id": "L1", "attributes": {"name": "News"}}))
    with wire.client() as client:
        found = client.get_list("L1")
    assert found is not None
    assert found.name == "News"
    assert len(wire.requests) == 3
    assert sum(wire.clock.naps) >= 0.25 + 0.5


@pytest.mark.parametrize("trouble", PASSING, ids=repr)
def test_a_read_gives_up_when_its_attempts_are_spent(trouble: httpx.Response | Exception) -> None:
    wire = HttpStub(*[trouble] * 9)
    with wire.client() as client, pytest.raises(UnavailableError):
        client.get_list("L1")
    assert len(wire.requests) == 4


@pytest.mark.parametrize("status", [400, 401, 403, 409, 410, 413, 415])
def test_what_would_not_get_better_is_not_tried_again(status: int) -> None:
    wire = HttpStub(problem(status), ok())
    with wire.client() as client, pytest.raises(KlaviyoError):
        client.get_list("L1")
    assert len(wire.requests) == 1


def test_a_retry_after_is_kept_to_by_every_call_of_that_endpoint() -> None:
    wire = HttpStub(problem(429, **{"Retry-After": "30"}))
    with wire.client() as client:
        client.submit_import_job(b"{}")
        assert client.wait_for(f"POST {JOBS}") == pytest.approx(30)
        assert client.wait_for(f"GET {JOBS}") == 0
        client.submit_import_job(b"{}")
    assert wire.times[1] - wire.times[0] >= 30


@pytest.mark.parametrize("trouble", [httpx.ConnectError("no"), problem(429)])
@pytest.mark.parametrize("doubt", [httpx.ReadTimeout("late"), problem(500), httpx.Response(201, content=b"{")])
def test_a_list_is_never_made_twice(trouble: httpx.Response | Exception, doubt: httpx.Response | Exception) -> None:
    """Making one is not idempotent: only what surely did not happen is asked for again."""
    wire = HttpStub(trouble, ok({"id": "L9", "attributes": {"name": "News"}}, status=201))
    with wire.client() as client:
        assert client.create_list("News", "double_opt_in").id == "L9"
    assert len(wire.requests) == 2
    assert b'"opt_in_process":"double_opt_in"' in wire.requests[1].content
    wire = HttpStub(doubt, ok({"id": "L9"}, status=201))
    with wire.client() as client, pytest.raises(UnavailableError):
        client.create_list("News")
    assert len(wire.requests) == 1


# --- stopping ---------------------------------------------------------------------------------------------------------


def stopping(wire: HttpStub, after: float) -> Callable[[], bool]:
    """A signal that comes so many seconds from now."""
    until = wire.clock.time + after
    return lambda: wire.clock.time >= until


def test_a_wait_for_a_window_is_slept_in_slices() -> None:
    wire = HttpStub(default=lambda _request: ok([{"id": "A"}]))
    with wire.client() as client:
        for _ in range(16):
            client.get_account()
    assert wire.clock.naps
    assert max(wire.clock.naps) <= 0.25
    assert sum(wire.clock.naps) == pytest.approx(60.02, abs=0.01)


def test_a_signal_ends_a_wait_for_a_window_and_nothing_is_sent() -> None:
    wire = HttpStub(problem(429, **{"Retry-After": "600"}))
    with wire.client(should_stop=stopping(wire, 5)) as client:
        client.submit_import_job(b"{}")
        with pytest.raises(UnavailableError) as stopped:
            client.submit_import_job(b"{}")
    assert stopped.value.code == "wait-cut-short"
    assert len(wire.requests) == 1
    assert 5 <= sum(wire.clock.naps) <= 5.3


def test_a_wait_that_was_cut_short_counts_as_no_request() -> None:
    stop = [False]
    wire = HttpStub()
    with wire.client(should_stop=lambda: stop[0]) as client:
        for _ in range(10):
            client.submit_import_job(b"{}")
        stop[0] = True
        with pytest.raises(UnavailableError):
            client.submit_import_job(b"{}")
        stop[0] = False
        wire.clock.time += 60.1
        for _ in range(10):
            client.submit_import_job(b"{}")
    assert not wire.clock.naps
    assert len(wire.requests) == 20


def test_a_signal_does_not_hold_back_what_need_not_wait() -> None:
    """What is in hand may be finished."""
    wire = HttpStub()
    with wire.client(should_stop=lambda: True) as client:
        assert client.submit_import_job(b"{}").kind == "ok"


def test_a_signal_ends_the_wait_between_two_tries() -> None:
    wire = HttpStub(*[problem(503, **{"Retry-After": "900"})] * 3)
    with wire.client(should_stop=stopping(wire, 2)) as client, pytest.raises(UnavailableError):
        client.get_account()
    assert len(wire.requests) == 1
    assert max(wire.clock.naps) <= 0.25
    assert sum(wire.clock.naps) <= 2.3


@given(seed=st.integers(0, 2**32))
@settings(max_examples=examples(10), deadline=None)
def test_bad_weather_never_pushes_a_read_over_its_windows(seed: int) -> None:
    """Retries count like any other request."""
    dice = random.Random(seed)

    def network_faults(_request: httpx.Request) -> httpx.Response:
        answers = [ok({"id": "J"}), problem(503), problem(429), problem(429, **{"Retry-After": "1"})]
        return dice.choices(answers, [6, 2, 1, 1])[0]

    wire = HttpStub(default=network_faults)
    with wire.client(backoff=Backoff(first=0.001, attempts=50), rng=random.Random(seed)) as client:
        for _ in range(120):
            wire.clock.time += dice.choice([0.0, 0.0, 0.3])
            client.get_job("J")
    assert most_within(wire.times, 1.0) <= 10
    assert most_within(wire.times, 60.0) <= 150
