"""Klaviyo's own client drives the sandbox, unmodified but for its host."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from etl.sandbox import SANDBOX_KEY, SandboxServer, SandboxSettings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the client's generated models shadow names of pydantic
    from klaviyo_api import KlaviyoAPI
    from openapi_client.exceptions import ApiException

pytestmark = pytest.mark.filterwarnings("ignore")  # the client's own, of every kind


@pytest.fixture
def server() -> Iterator[SandboxServer]:
    with SandboxServer(SandboxSettings(lists=("News",), job_seconds=0.05)) as running:
        yield running


@pytest.fixture
def client(server: SandboxServer) -> KlaviyoAPI:
    return KlaviyoAPI(SANDBOX_KEY, max_delay=1, max_retries=1, test_host=server.url)


def profile(**attributes: Any) -> dict[str, Any]:
    return {"type": "profile", "attributes": attributes}


def refused(call: Callable[[], Any]) -> ApiException:
    with pytest.raises(ApiException) as error:
        call()
    return error.value


def finished(client: KlaviyoAPI, job_id: str) -> Any:
    """Ask until the job is complete: each question is a request, so the loop is bounded by the sandbox's own time."""
    for _ in range(2_000):
        job = client.Profiles.get_bulk_import_profiles_job(job_id).data
        if job.attributes.status in {"complete", "cancelled"}:
            return job
    raise AssertionError("the job does not end")


def test_the_account_is_there(client: KlaviyoAPI) -> None:
    (account,) = client.Accounts.get_accounts().data
    assert (account.id, account.attributes.contact_information.organization_name) == ("SBX001", "Sandbox Store")


def test_a_profile_is_created_found_and_changed(client: KlaviyoAPI) -> None:
    made = client.Profiles.create_profile(
        {"data": profile(email="ann@mapleshop.com", external_id="c1", first_name="Ann", properties={"vip": True})}
    ).data
    for condition in ('equals(email,"ann@mapleshop.com")', 'any(external_id,["c1","c2"])', f'equals(id,"{made.id}")'):
        (found,) = client.Profiles.get_profiles(filter=condition).data
        assert found.id == made.id
        assert found.attributes.properties == {"vip": True}
    client.Profiles.update_profile(made.id, {"data": {**profile(first_name=None, last_name="Lee"), "id": made.id}})
    changed = client.Profiles.get_profile(made.id).data.attributes
    assert (changed.first_name, changed.last_name) == (None, "Lee")
    again = refused(lambda: client.Profiles.create_profile({"data": profile(email="ann@mapleshop.com")}))
    assert again.status == 409
    assert again.data.errors[0].code == "duplicate_profile"


def test_an_upsert_updates_by_any_identifier(client: KlaviyoAPI) -> None:
    first = client.Profiles.create_or_update_profile(
        {"data": profile(email="Ann@MapleShop.com", external_id="c1")}
    ).data
    second = client.Profiles.create_or_update_profile({"data": profile(external_id="c1", first_name="Ann")}).data
    third = client.Profiles.create_or_update_profile({"data": profile(email="ann@mapleshop.com", title="Dr")}).data
    assert first.id == second.id == third.id
    assert (third.attributes.first_name, third.attributes.title) == ("Ann", "Dr")


def test_a_bulk_import_is_a_job_with_errors_and_profiles(client: KlaviyoAPI) -> None:
    (news,) = client.Lists.get_lists(filter='equals(name,"News")').data
    rows = [profile(email=f"p{number}@mapleshop.com", external_id=f"c{number}") for number in range(120)]
    rows.append(profile(email="bad@sandbox-failed.com"))
    body = {
        "data": {
            "type": "profile-bulk-import-job",
            "attributes": {"profiles": {"data": rows}},
            "relationships": {"lists": {"data": [{"type": "list", "id": news.id}]}},
        }
    }
    job = client.Profiles.bulk_import_profiles(body).data
    assert job.attributes.status == "queued"
    done = finished(client, job.id)
    attributes = done.attributes
    assert (attributes.total_count, attributes.completed_count, attributes.failed_count) == (121, 120, 1)
    (error,) = client.Profiles.get_errors_for_bulk_import_profiles_job(job.id).data
    assert error.attributes.code == "invalid"
    assert "row" not in str(error.attributes.source)
    page = client.Profiles.get_profiles_for_bulk_import_profiles_job(job.id, page_size=100)
    assert len(page.data) == 100
    assert page.links.next
    assert len(client.Lists.get_profiles_for_list(news.id, page_size=100).data) == 100
    assert {one.id for one in client.Profiles.get_bulk_import_profiles_jobs().data} == {job.id}


def test_one_malformed_row_refuses_the_whole_request_with_a_pointer(client: KlaviyoAPI) -> None:
    rows = [profile(email="ann@mapleshop.com"), profile(email="no address"), profile(phone_number="123")]
    body = {"data": {"type": "profile-bulk-import-job", "attributes": {"profiles": {"data": rows}}}}
    error = refused(lambda: client.Profiles.bulk_import_profiles(body))
    assert error.status == 400
    assert [one.source.pointer for one in error.data.errors] == [
        "/data/attributes/profiles/data/1/attributes/email",
        "/data/attributes/profiles/data/2/attributes/phone_number",
    ]
    assert client.Profiles.get_profiles().data == []
    assert client.Profiles.get_bulk_import_profiles_jobs().data == []


def test_lists_are_made_filled_and_emptied(client: KlaviyoAPI) -> None:
    made = client.Lists.create_list({"data": {"type": "list", "attributes": {"name": "VIP"}}}).data
    one = client.Profiles.create_profile({"data": profile(email="ann@mapleshop.com")}).data
    members = {"data": [{"type": "profile", "id": one.id}]}
    client.Lists.add_profiles_to_list(made.id, members)
    (member,) = client.Lists.get_profiles_for_list(made.id).data
    assert member.id == one.id
    shown = client.Profiles.get_profile(one.id, additional_fields_profile=["subscriptions"]).data.attributes
    assert "SUBSCRIBED" not in str(shown.subscriptions).replace("NEVER_SUBSCRIBED", "")
    client.Lists.remove_profiles_from_list(made.id, members)
    assert client.Lists.get_profiles_for_list(made.id).data == []
    assert refused(lambda: client.Lists.get_list("ZZZZZZ")).status == 404


def test_a_key_that_is_none_is_refused(server: SandboxServer) -> None:
    stranger = KlaviyoAPI("pk_00000000000000000000000000000000", max_delay=1, max_retries=1, test_host=server.url)
    error = refused(stranger.Accounts.get_accounts)
    assert error.status == 401
    assert error.data.errors[0].code == "not_authenticated"
