"""An opt-out is the person's, however the address is written, and whatever became of the profile; nobody else's."""

# ruff: noqa: RUF001 - letters that look like others are what this is about
from __future__ import annotations

# ruff: noqa: RUF001 - letters that look like others are what this is about
import json
from pathlib import Path

import pytest

from etl import pipeline
from etl.model import Channel
from etl.report import Report
from etl.state import OptOutEvent, OptOutKind
from tests.consent.test_consent_run import codes
from tests.support.importer import ImporterFixture

DAY = "2024-05-01"


@pytest.fixture
def desk(tmp_path: Path) -> ImporterFixture:
    found = ImporterFixture(tmp_path, processing_seconds=0.5)
    found.mapping = {
        "columns": {
            "Id": "external_id", "Email": "email", "Phone": "phone_number", "Mail": "consent.email",
            "Text": "consent.sms", "At": "consent.email_at", "Text at": "consent.sms_at",
        },
        "load": {"list": "News", "small_run": 0},
    }  # fmt: skip
    return found


def imported(desk: ImporterFixture, *rows: tuple[str, str, str, str, str]) -> Report:
    """Import (id, e-mail, phone, mail, text)."""
    desk.write([(*row, DAY, DAY) for row in rows], ("Id", "Email", "Phone", "Mail", "Text", "At", "Text at"))
    desk.clock.time += 10
    report = desk.run()
    desk.clock.time += 10
    return report


def subscribed(desk: ImporterFixture, channel: str = "email") -> set[str]:
    lines = filter(None, desk.sandbox.dump_consents().splitlines())
    return {
        str(said["external_id"])
        for said in map(json.loads, lines)
        if said["channel"] == f"{channel}.marketing" and said["consent"] == "SUBSCRIBED"
    }


def told(desk: ImporterFixture, email: str | None, phone: str | None = None, profile: str | None = None) -> None:
    """Let a webhook tell of an opt-out."""
    with desk.context.open_store() as store, desk.context.open_client() as client:
        channel = Channel.SMS if phone else Channel.EMAIL
        now = desk.clock.now()
        notice = OptOutEvent(
            f"e{now}{email}{phone}", "t", OptOutKind.UNSUBSCRIBED, channel, email, phone, profile, now, now
        )
        store.opt_outs.append(client.get_account().id, [notice])


SPELLINGS = [
    ("ann@mapleshop.com", "Ann@MapleShop.com"),
    ("ANN@mapleshop.com", "ann@mapleshop.com."),
    ("ann@müller.de", "ann@xn--mller-kva.de"),
    ("ann@xn--mller-kva.de", "Ann@Müller.de"),
    ("ann@mu\u0308ller.de", "ann@müller.de"),
    ("jose\u0301@mapleshop.com", "JOSÉ@mapleshop.com"),
    ("ann@straße.de", "ANN@XN--STRAE-OQA.DE"),
    ("ann@mapleshop.com", '"ann"@mapleshop.com'),
    ("ann@mapleshop.com", "ａｎｎ@mapleshop.com"),
]


@pytest.mark.parametrize(("row", "webhook"), SPELLINGS)
def test_an_opt_out_told_in_another_spelling_holds(desk: ImporterFixture, row: str, webhook: str) -> None:
    told(desk, webhook)
    report = imported(desk, ("c1", row, "", "subscribed", ""), ("c2", "bob@mapleshop.com", "", "subscribed", ""))
    assert subscribed(desk) == {"c2"}
    assert codes(report) == {"consent-withheld": 1}


@pytest.mark.parametrize("written", ["+1 415 555 2000", "001-415-555-2000", "tel:+1-415-555-2000"])
def test_an_opt_out_of_a_phone_holds_however_it_is_written(desk: ImporterFixture, written: str) -> None:
    told(desk, None, written)
    imported(
        desk, ("c1", "a@mapleshop.com", "+14155552000", "", "yes"), ("c2", "b@mapleshop.com", "+14155552001", "", "yes")
    )
    assert subscribed(desk, "sms") == {"c2"}


TWO = [("weiß@mapleshop.de", "weiss@mapleshop.de"), ("ann@straße.de", "ann@strasse.de"), ("ann@faß.de", "ann@fass.de")]


@pytest.mark.parametrize(("one", "other"), [*TWO, *(pair[::-1] for pair in TWO)])
def test_two_people_whose_addresses_only_look_alike_are_judged_each_by_their_own(
    desk: ImporterFixture, one: str, other: str
) -> None:
    """Both are imported (neither is merged away), and the opt-out of one is not the other's."""
    imported(desk, ("c1", one, "", "no", ""), ("c2", other, "", "no", ""))
    assert desk.profiles == 2
    desk.sandbox.simulate("unsubscribe", email=one)
    report = imported(desk, ("c1", one, "", "subscribed", ""), ("c2", other, "", "subscribed", ""))
    assert (subscribed(desk), codes(report)) == ({"c2"}, {"consent-withheld": 1})


@pytest.mark.parametrize(("one", "other"), TWO)
def test_a_webhook_about_one_is_not_about_the_other(desk: ImporterFixture, one: str, other: str) -> None:
    told(desk, one)
    imported(desk, ("c1", one, "", "subscribed", ""), ("c2", other, "", "subscribed", ""))
    assert subscribed(desk) == {"c2"}


@pytest.mark.parametrize(
    ("there", "row"), [("ann@xn--mller-kva.de", "ann@müller.de"), ("jose\u0301@mapleshop.com", "josé@mapleshop.com")]
)
def test_who_opted_out_under_another_spelling_in_klaviyo_is_not_subscribed_under_this_one(
    desk: ImporterFixture, there: str, row: str
) -> None:
    """Whether Klaviyo takes the two for one profile, nobody knows: both are asked for."""
    with desk.context.open_client() as client:
        body = json.dumps({"data": {"type": "profile", "attributes": {"email": there, "external_id": "old"}}})
        client.upsert_profile(body.encode())
    desk.sandbox.simulate("unsubscribe", email=there)
    report = imported(desk, ("c1", row, "", "subscribed", ""))
    assert subscribed(desk) == set()
    assert codes(report) == {"consent-withheld": 1}


def forget(desk: ImporterFixture, email: str) -> None:
    """Let somebody delete the profile in Klaviyo, not by us."""
    with desk.context.open_client() as client:
        client.request_deletion("email", email)
    desk.clock.time += 10
    desk.sandbox.dump()
    assert b"ann@mapleshop.com" not in desk.sandbox.dump()


@pytest.mark.parametrize("named", ["by address", "by id"])
def test_a_profile_deleted_and_made_anew_has_still_said_no(desk: ImporterFixture, named: str) -> None:
    imported(desk, ("c1", "ann@mapleshop.com", "", "no", ""))
    with desk.context.open_client() as client:
        (profile,) = client.profiles_by("email", ["ann@mapleshop.com"])
    # Klaviyo's deliveries are known to name no more than the profile (reference 3.11).
    told(desk, "Ann@MapleShop.com" if named == "by address" else None, profile=profile.id)
    # Any run while the profile is there writes down whose the opt-out is.
    imported(desk, ("c2", "bob@mapleshop.com", "", "no", ""))
    for _ in range(3):
        forget(desk, "ann@mapleshop.com")
        report = imported(desk, ("c1", "ann@mapleshop.com", "", "subscribed", ""))
        assert (subscribed(desk), codes(report)) == (set(), {"consent-withheld": 1})
    forget(desk, "ann@mapleshop.com")
    done = pipeline.upsert_profile({"email": "ANN@mapleshop.com"}, context=desk.context, subscribe=[Channel.EMAIL])
    assert dict(done.consents) == {"email": "withheld"}
