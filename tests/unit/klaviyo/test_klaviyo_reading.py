"""Reading pages, looking profiles up in batches, and answers with fields that are missing, null or new."""

from __future__ import annotations

from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.errors import RequestRefusedError
from etl.klaviyo import ImportJob, JobStatus, KlaviyoList, Profile, job_of, profile_of
from etl.klaviyo.resources import account_of, job_error_of, list_of
from tests.support.http_stub import BASE_URL, KEY, HttpStub, ok, problem


def profile(number: int, **attributes: Any) -> dict[str, Any]:
    return {"type": "profile", "id": f"P{number}", "attributes": attributes}


def test_pages_are_followed_to_the_last() -> None:
    cursor = "/api/lists/L/profiles?page%5Bcursor%5D=abc%3D%3D"
    wire = HttpStub(ok([profile(1), profile(2)], following=BASE_URL + cursor), ok([]), ok([profile(9)]))
    wire.answers[1] = ok([], following=f"{BASE_URL}/api/lists/L/profiles?page%5Bcursor%5D=def")
    with wire.client() as client:
        assert [each.id for each in client.list_members("L")] == ["P1", "P2", "P9"]
    assert wire.requests[1].url.raw_path.decode() == cursor
    assert wire.requests[2].url.params["page[cursor]"] == "def"


def test_a_page_is_asked_for_only_when_it_is_needed() -> None:
    """A job of 10,000 errors costs a hundred requests: who stops early pays for one."""
    wire = HttpStub(ok([profile(1)], following=f"{BASE_URL}/next?page=2"))
    with wire.client() as client:
        assert next(client.job_profiles("J")).id == "P1"
    assert len(wire.requests) == 1


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/api/lists",
        "https://a.klaviyo.com.evil.example/api/lists",
        "https://a.klaviyo.com@evil.example/api/lists",
        "//evil.example/api/lists",
        "http://evil.example:443/",
        "https://a.klaviyo.com:444/api/lists",
    ],
)
def test_a_page_on_another_host_is_refused(link: str) -> None:
    wire = HttpStub(ok([profile(1)], following=link))
    with wire.client() as client, pytest.raises(RequestRefusedError) as refused:
        client.all_lists()
    assert refused.value.code == "foreign-link"
    assert len(wire.requests) == 1


LINKS = st.text(alphabet="/\\:@.?#%aehtps[]vil\t\n ", max_size=25).map(lambda tail: f"https:{tail}") | st.sampled_from(
    [
        f"{BASE_URL}//evil.example/x",
        f"{BASE_URL}/\\evil.example",
        "/\\evil.example",
        "javascript:x",
        "http://a.klaviyo.com/x",
    ]
)


@given(LINKS)
@settings(max_examples=200, deadline=None)
def test_no_link_takes_the_key_elsewhere(link: str) -> None:
    wire = HttpStub(ok([profile(1)], following=link))
    with wire.client() as client:
        try:
            client.all_lists()
        except RequestRefusedError:
            assert len(wire.requests) == 1
    for request in wire.requests:
        assert (request.url.scheme, request.url.host, request.url.port) == ("https", "a.klaviyo.com", None)
        assert request.headers["authorization"].endswith(KEY)


def test_a_page_that_names_itself_is_not_read_for_ever() -> None:
    wire = HttpStub(default=lambda request: ok([profile(1)], following=str(request.url)))
    with wire.client() as client, pytest.raises(RequestRefusedError) as refused:
        client.all_lists()
    assert refused.value.code == "page-repeats"


@pytest.mark.parametrize("links", [None, [], {}, {"next": None}, {"next": ""}, {"next": 7}, {"next": {"href": "x"}}])
def test_a_page_without_a_next_one_is_the_last(links: Any) -> None:
    wire = HttpStub(httpx.Response(200, json={"data": [profile(1)], "links": links}))
    with wire.client() as client:
        assert len(list(client.job_profiles("J"))) == 1
    assert len(wire.requests) == 1


# --- looking up -------------------------------------------------------------------------------------------------------


def asked(wire: HttpStub, field: str) -> list[list[str]]:
    """The values of each request's filter."""
    found = []
    for text in wire.filters:
        assert text.startswith(f"any({field},")
        found.append(orjson.loads(text.removeprefix(f"any({field},").removesuffix(")")))
    return found


@pytest.mark.parametrize(("count", "requests"), [(0, 0), (1, 1), (100, 1), (101, 2), (250, 3)])
def test_profiles_are_looked_up_a_hundred_at_a_time(count: int, requests: int) -> None:
    wire = HttpStub()
    with wire.client() as client:
        list(client.profiles_by("email", [f"person{number}@mapleshop.com" for number in range(count)]))
    parts = asked(wire, "email")
    assert len(parts) == requests
    assert [value for part in parts for value in part] == [f"person{number}@mapleshop.com" for number in range(count)]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=255), min_size=1, max_size=130))
@settings(max_examples=40, deadline=None)
def test_any_values_arrive_whole_once_and_in_short_urls(values: list[str]) -> None:
    """Quotes, commas, plus signs, emoji: whatever an external id holds."""
    wire = HttpStub()
    with wire.client() as client:
        list(client.profiles_by("external_id", values))
    parts = asked(wire, "external_id")
    assert [value for part in parts for value in part] == list(dict.fromkeys(values))
    assert all(1 <= len(part) <= 100 for part in parts)
    assert all(len(request.url.raw_path) < 8_000 for request in wire.requests)


def test_members_of_a_list_can_be_asked_for() -> None:
    wire = HttpStub(ok([profile(1, email="a+b@mapleshop.com")]))
    with wire.client() as client:
        (found,) = client.list_members("L 1", "email", ["a+b@mapleshop.com", "a+b@mapleshop.com"])
    assert (found.email, found.phone_number) == ("a+b@mapleshop.com", None)
    assert wire.requests[0].url.raw_path.startswith(b"/api/lists/L%201/profiles?page%5Bsize%5D=100&filter=any")
    assert asked(wire, "email") == [["a+b@mapleshop.com"]]


def test_a_list_is_found_by_its_exact_name() -> None:
    wire = HttpStub(ok([{"id": "L1", "attributes": {"name": 'He said "hi", (x)'}}]))
    with wire.client() as client:
        assert [each.id for each in client.find_lists('He said "hi", (x)')] == ["L1"]
    assert asked(wire, "name") == [['He said "hi", (x)']]


def test_what_is_not_there_is_none() -> None:
    wire = HttpStub(problem(404), problem(404), ok({"id": "L", "attributes": {}}))
    with wire.client() as client:
        assert client.get_job("J") is None
        assert client.get_list("L") is None
        assert client.get_list("L", with_count=True) == KlaviyoList("L", "", "", None)
    assert wire.requests[2].url.params["additional-fields[list]"] == "profile_count"


def test_a_404_elsewhere_is_no_empty_answer() -> None:
    with HttpStub(problem(404)).client() as client, pytest.raises(RequestRefusedError):
        list(client.profiles_by("email", ["a@b.co"]))


def test_recent_jobs_end_at_the_moment_asked_for() -> None:
    def job(number: int, created: str | None) -> dict[str, Any]:
        return {"id": f"J{number}", "attributes": {"status": "queued", "created_at": created}}

    times = ["2027-01-15T08:00:00+00:00", None, "2027-01-15T07:59:00Z", "2027-01-15T07:58:59+00:00"]
    page = [job(number, created) for number, created in enumerate(times)]
    wire = HttpStub(ok(page, following=f"{BASE_URL}/never"))
    with wire.client() as client:
        assert [each.id for each in client.recent_jobs(1_800_000_000.0 - 60)] == ["J0", "J1", "J2"]
    assert len(wire.requests) == 1
    assert wire.requests[0].url.params["sort"] == "-created_at"


def test_a_key_without_an_account_is_said() -> None:
    with HttpStub(ok([])).client() as client, pytest.raises(RequestRefusedError) as refused:
        client.get_account()
    assert refused.value.code == "account-missing"


# --- answers ----------------------------------------------------------------------------------------------------------


def test_a_job_is_read_as_klaviyo_writes_it() -> None:
    attributes = {
        "status": "complete",
        "created_at": "2027-01-15T08:00:00+00:00",
        "expires_at": "2027-01-22T08:00:00Z",
        "total_count": 10,
        "completed_count": 9,
        "failed_count": 1,
    }
    week = 7 * 86_400
    expected = ImportJob("J", JobStatus.COMPLETE, 10, 9, 1, 1_800_000_000.0, 1_800_000_000.0 + week)
    assert job_of({"id": "J", "attributes": attributes}) == expected


@pytest.mark.parametrize("status", ["exploded", "Complete", None, 7, ["complete"], ""])
def test_a_status_of_next_year_is_other(status: Any) -> None:
    assert job_of({"id": "J", "attributes": {"status": status}}).status is JobStatus.OTHER


@pytest.mark.parametrize("value", [None, "9", 9.5, True, [], {}])
def test_a_counter_that_is_no_number_is_unknown_and_not_zero(value: Any) -> None:
    job = job_of({"id": "J", "attributes": {"completed_count": value, "failed_count": 0}})
    assert (job.completed, job.failed) == (None, 0)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NAMES = [
    "status",
    "created_at",
    "expires_at",
    "total_count",
    "name",
    "contact_information",
    "source",
    "original_payload",
]
NAMES += ["email", "profile_count", "timezone", "code", "detail"]


@given(
    st.fixed_dictionaries(
        {}, optional={"id": ANYTHING, "attributes": ANYTHING | st.dictionaries(st.sampled_from(NAMES), ANYTHING)}
    )
)
@settings(deadline=None)
def test_no_item_makes_the_parsers_fall(item: dict[str, Any]) -> None:
    for parse in (account_of, list_of, job_of, job_error_of, profile_of):
        found: Any = parse(item)
        assert isinstance(getattr(found, "id", ""), str)


def test_an_identifier_that_is_no_text_is_none() -> None:
    strange = Profile("P", {"email": "", "phone_number": 15, "external_id": None})
    assert (strange.email, strange.phone_number, strange.external_id) == (None, None, None)
    assert Profile("P", {"external_id": "007"}).external_id == "007"
