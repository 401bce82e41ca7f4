"""Klaviyo's own client drives the sandbox, unmodified but for its host."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from etl.sandbox import SANDBOX_KEY, SandboxServer, SandboxSettings
from etl.sandbox.routing.routes import ROUTES

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the client's generated models shadow names of pydantic
    from klaviyo_api import KlaviyoAPI
    from openapi_client.exceptions import ApiException

pytestmark = pytest.mark.filterwarnings("ignore")  # the client's own, of every kind


@pytest.fixture
def server() -> Iterator[SandboxServer]:
    with SandboxServer(SandboxSettings(lists=("News",), job_seconds=0.05, processing_seconds=0.0)) as running:
        yield running


@pytest.fixture
def client(server: SandboxServer) -> KlaviyoAPI:
    return KlaviyoAPI(SANDBOX_KEY, max_delay=1, max_retries=1, test_host=server.url)


def profile(**attributes: Any) -> dict[str, Any]:
    return {"type": "profile", "attributes": attributes}


def refused(call: Callable[[], Any]) -> Any:
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


def consents(client: KlaviyoAPI, email: str) -> Any:
    """Return what the client sees of somebody's e-mail consent."""
    found = client.Profiles.get_profiles(
        filter=f'equals(email,"{email}")', additional_fields_profile=["subscriptions"]
    ).data
    return found[0].attributes.subscriptions.email.marketing


def test_consents_are_given_and_taken_back(client: KlaviyoAPI) -> None:
    (news,) = client.Lists.get_lists(filter='equals(name,"News")').data
    on_news = {"list": {"data": {"type": "list", "id": news.id}}}
    rows = [
        profile(
            email=f"{name}@mapleshop.com",
            subscriptions={"email": {"marketing": {"consent": "SUBSCRIBED", "consented_at": "2023-05-01T10:00:00Z"}}},
        )
        for name in ("ann", "bob")
    ]
    client.Profiles.bulk_subscribe_profiles(
        {
            "data": {
                "type": "profile-subscription-bulk-create-job",
                "attributes": {
                    "profiles": {"data": rows},
                    "historical_import": True,
                    "custom_source": "Old shop",
                },
                "relationships": on_news,
            }
        }
    )
    ann = consents(client, "ann@mapleshop.com")
    assert (ann.consent, ann.can_receive_email_marketing, ann.custom_method_detail) == ("SUBSCRIBED", True, "Old shop")
    assert ann.consent_timestamp.isoformat() == "2023-05-01T10:00:00+00:00"
    assert len(client.Lists.get_profiles_for_list(news.id).data) == 2
    gone = {"email": {"marketing": {"consent": "UNSUBSCRIBED"}}}
    client.Profiles.bulk_unsubscribe_profiles(
        {
            "data": {
                "type": "profile-subscription-bulk-delete-job",
                "attributes": {"profiles": {"data": [profile(email="ann@mapleshop.com", subscriptions=gone)]}},
            }
        }
    )
    ann = consents(client, "ann@mapleshop.com")
    assert (ann.consent, ann.can_receive_email_marketing) == ("UNSUBSCRIBED", False)
    assert [held.reason for held in ann.suppression] == ["UNSUBSCRIBE"]
    assert consents(client, "bob@mapleshop.com").consent == "SUBSCRIBED"


def test_addresses_are_suppressed_and_released(client: KlaviyoAPI) -> None:
    client.Profiles.create_profile({"data": profile(email="ann@mapleshop.com")})

    def body(kind: str) -> dict[str, Any]:
        rows = [profile(email="ann@mapleshop.com")]
        return {"data": {"type": f"profile-suppression-bulk-{kind}-job", "attributes": {"profiles": {"data": rows}}}}

    def wait(read: Callable[[str], Any], job_id: str) -> Any:
        for _ in range(2_000):
            attributes = read(job_id).data.attributes
            if attributes.status == "complete":
                return attributes
        raise AssertionError("the job does not end")

    made = client.Profiles.bulk_suppress_profiles(body("create")).data
    done = wait(client.Profiles.get_bulk_suppress_profiles_job, made.id)
    assert (done.total_count, done.completed_count, done.skipped_count) == (1, 1, 0)
    assert [held.reason for held in consents(client, "ann@mapleshop.com").suppression] == ["USER_SUPPRESSED"]
    assert [job.id for job in client.Profiles.get_bulk_suppress_profiles_jobs().data] == [made.id]
    found = client.Profiles.get_profiles(
        filter='equals(subscriptions.email.marketing.suppression.reason,"USER_SUPPRESSED")'
    ).data
    assert [one.attributes.email for one in found] == ["ann@mapleshop.com"]
    gone = client.Profiles.bulk_unsuppress_profiles(body("delete")).data
    wait(client.Profiles.get_bulk_unsuppress_profiles_job, gone.id)
    assert [job.id for job in client.Profiles.get_bulk_unsuppress_profiles_jobs().data] == [gone.id]
    assert consents(client, "ann@mapleshop.com").suppression == []


def test_orders_are_tracked_and_read_with_their_revenue(client: KlaviyoAPI) -> None:
    def order(number: int, **attributes: Any) -> dict[str, Any]:
        metric = {"data": {"type": "metric", "attributes": {"name": "Placed Order"}}}
        given = {"unique_id": f"o-{number}", "time": f"2026-11-01T10:00:0{number}Z", "metric": metric, **attributes}
        return {"type": "event", "attributes": {"properties": {"items": [{"sku": "A1", "qty": 2}]}, **given}}

    ann = {"data": profile(email="ann@mapleshop.com", first_name="Ann")}
    client.Events.create_event({"data": order(1, value=12.5, value_currency="EUR", profile=ann)})
    bulk: dict[str, Any] = {
        "type": "event-bulk-create",
        "attributes": {"profile": ann, "events": {"data": [order(2, value=7.25, backfill=True)]}},
    }
    job = {"data": {"type": "event-bulk-create-job", "attributes": {"events-bulk-create": {"data": [bulk]}}}}
    client.Events.bulk_create_events(job)
    bulk["attributes"]["events"]["data"] *= 2
    assert refused(lambda: client.Events.bulk_create_events(job)).status == 400
    found = client.Events.get_events(include=["metric", "profile"], sort="-datetime")
    shown = [one.attributes.event_properties for one in found.data]
    assert [(one["$event_id"], one["$value"]) for one in shown] == [("o-2", 7.25), ("o-1", 12.5)]
    assert shown[1]["$value_currency"] == "EUR"
    assert shown[1]["items"] == [{"sku": "A1", "qty": 2}]
    assert client.Events.get_event(found.data[0].id).data.id == found.data[0].id
    (metric,) = client.Metrics.get_metrics().data
    assert (metric.attributes.name, metric.id) == ("Placed Order", found.data[0].relationships.metric.data.id)
    assert client.Metrics.get_metric(metric.id).data.id == metric.id
    (ann_again,) = client.Profiles.get_profiles().data
    assert ann_again.attributes.last_event_date.isoformat() == "2026-11-01T10:00:02+00:00"


def test_webhooks_are_managed(server: SandboxServer, client: KlaviyoAPI) -> None:
    topic = "event:klaviyo.unsubscribed_from_email_marketing"
    assert topic in {one.id for one in client.Webhooks.get_webhook_topics().data}
    assert client.Webhooks.get_webhook_topic(topic).data.id == topic
    body = {
        "data": {
            "type": "webhook",
            "attributes": {
                "name": "Opt-outs",
                "endpoint_url": "https://shop.example/hooks",
                "secret_key": "a secret of the shop",
            },
            "relationships": {"webhook-topics": {"data": [{"type": "webhook-topic", "id": topic}]}},
        }
    }
    made = client.Webhooks.create_webhook(body).data
    changes = {"data": {"type": "webhook", "id": made.id, "attributes": {"enabled": False}}}
    assert client.Webhooks.update_webhook(made.id, changes).data.attributes.enabled is False
    assert client.Webhooks.get_webhook(made.id).data.attributes.endpoint_url == "https://shop.example"
    server.sandbox.new_month()  # so that the second list within a second is let in: one request a second (XS)
    assert [one.id for one in client.Webhooks.get_webhooks().data] == [made.id]
    client.Webhooks.delete_webhook(made.id)
    server.sandbox.new_month()
    assert client.Webhooks.get_webhooks().data == []


def test_people_are_deleted_on_request(client: KlaviyoAPI) -> None:
    made = client.Profiles.create_profile({"data": profile(email="ann@mapleshop.com")}).data
    named = {"type": "profile", "attributes": {"email": "ann@mapleshop.com"}}
    job = {"data": {"type": "data-privacy-deletion-job", "attributes": {"profile": {"data": named}}}}
    client.Data_Privacy.request_profile_deletion(job)
    assert client.Profiles.get_profiles().data == []
    assert refused(lambda: client.Profiles.get_profile(made.id)).status == 404


def test_a_key_that_is_none_is_refused(server: SandboxServer) -> None:
    stranger = KlaviyoAPI("pk_00000000000000000000000000000000", max_delay=1, max_retries=1, test_host=server.url)
    error = refused(stranger.Accounts.get_accounts)
    assert error.status == 401
    assert error.data.errors[0].code == "not_authenticated"


def test_ids_alone_are_shown_for_a_job_and_a_list_and_lists_go(client: KlaviyoAPI) -> None:
    (news,) = client.Lists.get_lists().data
    rows = {"profiles": {"data": [profile(email="ann@mapleshop.com")]}}
    lists = {"lists": {"data": [{"type": "list", "id": news.id}]}}
    body = {"data": {"type": "profile-bulk-import-job", "attributes": rows, "relationships": lists}}
    job = finished(client, client.Profiles.bulk_import_profiles(body).data.id)
    (ann,) = client.Profiles.get_profile_ids_for_bulk_import_profiles_job(job.id).data
    assert [one.id for one in client.Lists.get_profile_ids_for_list(news.id).data] == [ann.id]
    assert [one.attributes.name for one in client.Profiles.get_list_for_bulk_import_profiles_job(job.id).data] == [
        "News"
    ]
    assert [one.id for one in client.Profiles.get_list_ids_for_bulk_import_profiles_job(job.id).data] == [news.id]
    client.Lists.delete_list(news.id)
    assert client.Lists.get_lists().data == []
    assert refused(lambda: client.Lists.get_profile_ids_for_list(news.id)).status == 404


def test_two_profiles_are_merged(client: KlaviyoAPI) -> None:
    kept, gone = (client.Profiles.create_profile({"data": profile(email=f"{n}@mapleshop.com")}).data.id for n in "ab")
    sources = {"profiles": {"data": [{"type": "profile", "id": gone}]}}
    client.Profiles.merge_profiles({"data": {"type": "profile-merge", "id": kept, "relationships": sources}})
    (found,) = client.Profiles.get_profiles(filter="equals(email,'b@mapleshop.com')").data
    assert (found.id, found.attributes.email) == (kept, "a@mapleshop.com")


def test_click_tracking_is_known_to_the_client_and_to_the_sandbox(server: SandboxServer, client: KlaviyoAPI) -> None:
    (news,) = client.Lists.get_lists().data
    granted = {"email": {"click_tracking": {"consent": "SUBSCRIBED"}}}
    rows = {"profiles": {"data": [profile(email="ann@mapleshop.com", subscriptions=granted)]}}
    kind = "profile-subscription-bulk-create-job"
    relationships = {"list": {"data": {"type": "list", "id": news.id}}}
    client.Profiles.bulk_subscribe_profiles(
        {"data": {"type": kind, "attributes": rows, "relationships": relationships}}
    )
    assert b'"email.click_tracking"' in server.sandbox.dump_consents()


def test_the_plan_of_the_account_is_told(client: KlaviyoAPI) -> None:
    client.Profiles.create_profile({"data": profile(email="ann@mapleshop.com")})
    (usage,) = client.Billing.list_billing_usage().data
    assert usage.attributes.usage_used == 1


CALLS = {
    "GET /api/accounts": "Accounts.get_accounts",
    "GET /api/billing-usage": "Billing.list_billing_usage",
    "POST /api/profile-import": "Profiles.create_or_update_profile",
    "POST /api/profiles": "Profiles.create_profile",
    "GET /api/profiles": "Profiles.get_profiles",
    "GET /api/profiles/{id}": "Profiles.get_profile",
    "PATCH /api/profiles/{id}": "Profiles.update_profile",
    "POST /api/profile-merge": "Profiles.merge_profiles",
    "POST /api/profile-bulk-import-jobs": "Profiles.bulk_import_profiles",
    "GET /api/profile-bulk-import-jobs": "Profiles.get_bulk_import_profiles_jobs",
    "GET /api/profile-bulk-import-jobs/{id}": "Profiles.get_bulk_import_profiles_job",
    "GET /api/profile-bulk-import-jobs/{id}/import-errors": "Profiles.get_errors_for_bulk_import_profiles_job",
    "GET /api/profile-bulk-import-jobs/{id}/profiles": "Profiles.get_profiles_for_bulk_import_profiles_job",
    "GET /api/profile-bulk-import-jobs/{id}/relationships/profiles": (
        "Profiles.get_profile_ids_for_bulk_import_profiles_job"
    ),
    "GET /api/profile-bulk-import-jobs/{id}/lists": "Profiles.get_list_for_bulk_import_profiles_job",
    "GET /api/profile-bulk-import-jobs/{id}/relationships/lists": "Profiles.get_list_ids_for_bulk_import_profiles_job",
    "GET /api/lists": "Lists.get_lists",
    "POST /api/lists": "Lists.create_list",
    "GET /api/lists/{id}": "Lists.get_list",
    "DELETE /api/lists/{id}": "Lists.delete_list",
    "GET /api/lists/{id}/profiles": "Lists.get_profiles_for_list",
    "GET /api/lists/{id}/relationships/profiles": "Lists.get_profile_ids_for_list",
    "POST /api/lists/{id}/relationships/profiles": "Lists.add_profiles_to_list",
    "DELETE /api/lists/{id}/relationships/profiles": "Lists.remove_profiles_from_list",
    "POST /api/profile-subscription-bulk-create-jobs": "Profiles.bulk_subscribe_profiles",
    "POST /api/profile-subscription-bulk-delete-jobs": "Profiles.bulk_unsubscribe_profiles",
    "POST /api/profile-suppression-bulk-create-jobs": "Profiles.bulk_suppress_profiles",
    "GET /api/profile-suppression-bulk-create-jobs": "Profiles.get_bulk_suppress_profiles_jobs",
    "GET /api/profile-suppression-bulk-create-jobs/{id}": "Profiles.get_bulk_suppress_profiles_job",
    "POST /api/profile-suppression-bulk-delete-jobs": "Profiles.bulk_unsuppress_profiles",
    "GET /api/profile-suppression-bulk-delete-jobs": "Profiles.get_bulk_unsuppress_profiles_jobs",
    "GET /api/profile-suppression-bulk-delete-jobs/{id}": "Profiles.get_bulk_unsuppress_profiles_job",
    "POST /api/events": "Events.create_event",
    "POST /api/event-bulk-create-jobs": "Events.bulk_create_events",
    "GET /api/events": "Events.get_events",
    "GET /api/events/{id}": "Events.get_event",
    "POST /api/data-privacy-deletion-jobs": "Data_Privacy.request_profile_deletion",
    "GET /api/webhooks": "Webhooks.get_webhooks",
    "POST /api/webhooks": "Webhooks.create_webhook",
    "GET /api/webhooks/{id}": "Webhooks.get_webhook",
    "PATCH /api/webhooks/{id}": "Webhooks.update_webhook",
    "DELETE /api/webhooks/{id}": "Webhooks.delete_webhook",
    "GET /api/webhook-topics": "Webhooks.get_webhook_topics",
    "GET /api/webhook-topics/{id}": "Webhooks.get_webhook_topic",
    "GET /api/metrics": "Metrics.get_metrics",
    "GET /api/metrics/{id}": "Metrics.get_metric",
}


@pytest.mark.parametrize("route", [route.name for route in ROUTES])
def test_every_endpoint_has_its_call_here(route: str) -> None:
    assert f"client.{CALLS[route]}" in Path(__file__).read_text(encoding="utf-8")
