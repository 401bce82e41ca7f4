"""Every line of a source counts: an opt-out on one that is refused, merged, contested or beyond a pilot counts."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from etl import pipeline
from etl.report import Report
from tests.consent.test_consent_run import codes, state_of
from tests.support.effort import FULL
from tests.support.importer import ImporterFixture

DAY = "2024-05-01"
HEADER = ("Id", "Email", "Phone", "Age", "Mail", "Text", "At", "Text at")
COLUMNS: dict[str, Any] = {
    "Id": "external_id",
    "Email": "email",
    "Phone": "phone_number",
    "Age": {"to": "properties.age", "type": "integer", "required": True},
    "Mail": "consent.email",
    "Text": "consent.sms",
    "At": "consent.email_at",
    "Text at": "consent.sms_at",
}
ANN, BOB = "person0@mapleshop.com", "person1@mapleshop.com"
P, Q = "+14155552000", "+14155552001"


@pytest.fixture
def desk(tmp_path: Path) -> ImporterFixture:
    found = ImporterFixture(tmp_path, processing_seconds=0.5)
    found.mapping = {"columns": COLUMNS, "load": {"list": "News", "small_run": 0}}
    return found


def line(who: str, email: str, phone: str = "", mail: str = "", text: str = "", *, age: str = "30") -> tuple[str, ...]:
    return (who, email, phone, age, mail, text, DAY, DAY)


def imported(desk: ImporterFixture, *rows: tuple[str, ...], **options: Any) -> Report:
    desk.write(list(rows), HEADER)
    desk.clock.time += 10
    return desk.run(**options)


YES = line("c0", ANN, P, "subscribed", "subscribed")
REJECTED: dict[str, tuple[str, ...]] = {
    "another cell is bad": line("c0", ANN, P, "unsubscribed", "unsubscribed", age="thirty"),
    "a required cell is empty": line("c0", ANN, P, "cleaned", "unsubscribed", age=""),
    "by another spelling": line("", "Person0@MapleShop.com", P, "unsubscribed", "unsubscribed", age=""),
    "by the id alone": line("c0", "", "", "unsubscribed", "unsubscribed", age=""),
    "by the phone alone": line("", "", "(415) 555-2000", "unsubscribed", "unsubscribed", age=""),
    "the e-mail cannot be read": line("", "person0@mapleshop", P, "unsubscribed", "unsubscribed", age=""),
    "the e-mail can be corrected": line("", "person0@mapleshop,com", "", "unsubscribed", "", age=""),
    "an unknown word": line("c0", ANN, P, "hmm", "hmm", age=""),
    "too few cells": ("c0", ANN, P, "30", "unsubscribed", "unsubscribed"),
    "too many cells": ("c0", ANN, P, "30", "x", "unsubscribed", "unsubscribed", DAY, DAY),
}


PLACES = ("first", "last")
# Each reason in one place, or in both (``make matrix``).
PLACED = [(why, place) for at, why in enumerate(REJECTED) for place in (PLACES if FULL else PLACES[at % 2 :][:1])]


@pytest.mark.parametrize(("why", "place"), PLACED)
def test_an_opt_out_on_a_rejected_line_keeps_the_other_line_from_subscribing(
    desk: ImporterFixture, why: str, place: str
) -> None:
    desk.mapping = {**desk.mapping, "defaults": {"country": "US"}}
    rows = [REJECTED[why], YES] if place == "first" else [YES, REJECTED[why]]
    report = imported(desk, *rows, line("c1", BOB, Q, "subscribed", "subscribed"))
    assert state_of(desk, 0) != "SUBSCRIBED"
    if why != "the e-mail can be corrected":
        assert state_of(desk, 0, "sms") != "SUBSCRIBED"
    assert {"consent-contradicted", "consent-withheld"} & codes(report).keys()
    assert (state_of(desk, 1), state_of(desk, 1, "sms")) == ("SUBSCRIBED", "SUBSCRIBED"), "of others it says nothing"


@pytest.mark.parametrize("rule", ["merge", "first", "last", "reject"])
def test_an_opt_out_on_a_duplicate_counts_whatever_becomes_of_duplicates(desk: ImporterFixture, rule: str) -> None:
    desk.mapping = {**desk.mapping, "profile": {"duplicates": rule}}
    imported(desk, YES, line("c0", ANN, P, "unsubscribed", "unsubscribed"), YES)
    assert state_of(desk, 0) != "SUBSCRIBED"
    assert state_of(desk, 0, "sms") != "SUBSCRIBED"


@pytest.mark.parametrize("place", ["first", "last"])
def test_a_contested_phone_that_opted_out_on_either_line_is_not_subscribed(desk: ImporterFixture, place: str) -> None:
    """Ann and Bob have one number. Ann's line comes first and keeps it; Bob's says it must not be texted."""
    bob, ann = line("c1", BOB, P, "", "unsubscribed"), line("c0", ANN, P, "subscribed", "subscribed")
    imported(desk, *([bob, ann] if place == "first" else [ann, bob]))
    assert {state_of(desk, 0, "sms"), state_of(desk, 1, "sms")} & {"SUBSCRIBED"} == set()
    assert state_of(desk, 0) == "SUBSCRIBED", "a shared phone says nothing of the mail to the other"


def test_an_opt_out_of_a_contested_phone_reaches_the_one_who_keeps_it(desk: ImporterFixture) -> None:
    imported(desk, line("c0", ANN, P, "", "subscribed"))
    assert state_of(desk, 0, "sms") == "SUBSCRIBED"
    imported(desk, line("c0", ANN, P), line("c1", BOB, P, "", "unsubscribed"))
    assert state_of(desk, 0, "sms") == "UNSUBSCRIBED"


def test_who_is_subscribed_already_is_taken_off_by_a_line_that_is_refused_though_nothing_else_changed(
    desk: ImporterFixture,
) -> None:
    imported(desk, YES)
    assert state_of(desk, 0) == "SUBSCRIBED"
    report = imported(desk, YES, line("c0", ANN, P, "unsubscribed", age=""))
    assert (state_of(desk, 0), state_of(desk, 0, "sms")) == ("UNSUBSCRIBED", "SUBSCRIBED")
    assert codes(report)["consent-contradicted"] == 1


def test_an_opt_out_reaches_a_row_that_got_its_phone_by_merging(desk: ImporterFixture) -> None:
    """The phone stands on no line of its own that is sent: only the merged record has it."""
    desk.mapping = {**desk.mapping, "profile": {"duplicates": "merge"}}
    imported(desk, line("c0", ANN, P, "", "subscribed"))
    assert state_of(desk, 0, "sms") == "SUBSCRIBED"
    imported(desk, line("c0", ANN), line("c0", "", P), line("", "", P, "", "unsubscribed", age=""))
    assert state_of(desk, 0, "sms") == "UNSUBSCRIBED"


@pytest.mark.parametrize("limit", [1, 2, 50])
def test_a_pilot_subscribes_nobody_whose_opt_out_stands_further_down(desk: ImporterFixture, limit: int) -> None:
    others = [line(f"c{each}", f"person{each}@mapleshop.com", "", "no") for each in range(2, 120)]
    out = line("c0", ANN, P, "unsubscribed", "unsubscribed")
    report = imported(desk, YES, line("c1", BOB, "", "subscribed"), *others, out, limit=limit)
    assert state_of(desk, 0) != "SUBSCRIBED"
    assert state_of(desk, 0, "sms") != "SUBSCRIBED"
    assert state_of(desk, 1) == ("SUBSCRIBED" if limit > 1 else "NEVER_SUBSCRIBED")
    assert sum(count for _, count in report.tally.parts) == limit


def test_a_dropping_rule_drops_the_line_and_not_its_opt_out(desk: ImporterFixture) -> None:
    desk.mapping = {**desk.mapping, "rules": [{"name": "gone", "expression": "external_id != 'gone'"}]}
    imported(desk, line("c0", ANN, P, "subscribed"), line("gone", ANN, P, "unsubscribed"))
    assert state_of(desk, 0) != "SUBSCRIBED"


def test_another_file_of_the_source_counts(desk: ImporterFixture) -> None:
    paths = [desk.folder / name for name in ("one.csv", "two.csv")]
    for path, row in zip(paths, [YES, line("c0", ANN, P, "unsubscribed", "unsubscribed", age="")], strict=True):
        with path.open("w", newline="") as out:
            csv.writer(out).writerows([HEADER, row])
    pipeline.run(paths, desk.mapping, context=desk.context, verify="none")
    assert state_of(desk, 0) != "SUBSCRIBED"
    assert state_of(desk, 0, "sms") != "SUBSCRIBED"


def test_a_rejects_file_remembers_what_other_lines_of_the_original_said(desk: ImporterFixture) -> None:
    """Bob's line took Ann's phone off; Ann's own line is rejected, repaired, and run again without Bob's."""
    report = imported(
        desk,
        line("c1", BOB, Q, "", ""),
        line("c1", BOB, P, "", "unsubscribed"),
        line("c0", ANN, P, "", "subscribed", age=""),
    )
    (rejects,) = (desk.folder / "runs" / report.run).glob("rejects*.csv")
    repaired = rejects.read_text(encoding="utf-8-sig").replace(f"{P},,", f"{P},31,")
    desk.source.write_text(repaired)
    desk.clock.time += 10
    again = desk.run()
    assert again.parent == report.run
    assert state_of(desk, 0, "sms") != "SUBSCRIBED"
