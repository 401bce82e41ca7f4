"""Deleted on request stays deleted: no later file, form, event or command makes the person anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from etl import pipeline
from etl.errors import EtlError
from etl.sandbox.protocol.settings import SANDBOX_KEY, SCOPES
from tests.consent.test_consent_run import codes, outcomes
from tests.server.test_forms_delivered import accept, deliver
from tests.support.event_cases import HEADER as ORDER_HEADER
from tests.support.event_cases import ORDERS, order, stored
from tests.support.importer import ImporterFixture

HEADER = ("Id", "Email", "Phone", "Name")
ANN, PHONE = "ann@mapleshop.com", "+14155552000"


@pytest.fixture
def desk(tmp_path: Path) -> ImporterFixture:
    found = ImporterFixture(tmp_path, processing_seconds=0.5)
    found.mapping = {
        "columns": {"Id": "external_id", "Email": "email", "Phone": "phone_number", "Name": "first_name"},
        "load": {"list": "News", "small_run": 0},
    }
    return found


def forget(desk: ImporterFixture, who: str = ANN) -> None:
    """Import Ann, and delete her."""
    desk.write([("c1", ANN, PHONE, "Ann")], HEADER)
    desk.run()
    pipeline.delete_profile(who, context=desk.context)
    desk.clock.time += 10
    assert desk.profiles == 0


ROWS = {
    "as she was": ("c1", ANN, PHONE, "Ann"),
    "by another spelling": ("", "Ann@MapleShop.com", "", "Ann"),
    "by her phone": ("", "", PHONE, "Ann"),
    "by her id in the shop": ("c1", "", "", "Ann"),
    "with an address of hers and a new one": ("c1", "new@mapleshop.com", "", "Ann"),
}


@pytest.mark.parametrize("who", [ANN, PHONE, "ANN@mapleshop.com"])
@pytest.mark.parametrize("row", ROWS)
def test_a_row_of_somebody_deleted_is_refused_and_others_are_not(desk: ImporterFixture, row: str, who: str) -> None:
    forget(desk, who)
    desk.write([ROWS[row], ("c2", "bob@mapleshop.com", "", "Bob")], HEADER)
    report = desk.run()
    assert (outcomes(report), codes(report)) == ({"rejected": 1, "loaded": 1}, {"forgotten": 1})
    assert desk.profiles == 1


def test_what_is_remembered_names_nobody(desk: ImporterFixture) -> None:
    pipeline.delete_profile("somebody.else@mapleshop.com", context=desk.context)
    for path in desk.folder.glob("state.db*"):
        assert b"somebody.else" not in path.read_bytes()


def test_commands_forms_and_events_make_nobody_anew(desk: ImporterFixture) -> None:
    forget(desk)
    with pytest.raises(EtlError, match="deleted") as refused:
        pipeline.upsert_profile({"email": "Ann@mapleshop.com"}, context=desk.context)
    assert refused.value.code == "forgotten"
    with pytest.raises(EtlError, match="deleted"):
        pipeline.track({"metric": "Ordered", "profile": {"email": ANN}}, context=desk.context)
    accept(desk.context, {"profile": {"email": ANN}, "lists": [], "consent": ["email"]})
    accept(desk.context, {"profile": {"email": ANN}, "metric": "Ordered"}, "event")
    deliver(desk.context)
    assert (desk.profiles, stored(desk)) == (0, [])


def test_an_order_of_somebody_deleted_makes_nobody_anew(desk: ImporterFixture) -> None:
    pipeline.delete_profile("person1@mapleshop.com", context=desk.context)
    desk.write([order(1), order(2)], ORDER_HEADER)
    report = pipeline.events(desk.source, ORDERS, context=desk.context)
    assert (outcomes(report), codes(report)) == ({"rejected": 1, "loaded": 1}, {"forgotten": 1})
    assert b"person1@" not in desk.sandbox.dump()


def test_a_request_that_klaviyo_refuses_deletes_nobody_and_remembers_nothing(tmp_path: Path) -> None:
    desk = ImporterFixture(tmp_path, keys={SANDBOX_KEY: SCOPES - {"data-privacy:write"}})
    with pytest.raises(EtlError) as refused:
        pipeline.delete_profile(ANN, context=desk.context)
    assert refused.value.code == "key-lacks-scope"
    desk.write([("c1", ANN, "Ann")])
    assert outcomes(desk.run()) == {"loaded": 1}


def test_who_comes_back_can_be_let_in_again(desk: ImporterFixture) -> None:
    forget(desk)
    assert pipeline.allow_profile(ANN, context=desk.context)
    assert not pipeline.allow_profile(ANN, context=desk.context)
    desk.write([ROWS["as she was"]], HEADER)
    assert outcomes(desk.run()) == {"loaded": 1}
