"""Absence is judged by patience, and people by the id that Klaviyo answers with, not by the address it shows."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import orjson
import pytest

from etl import pipeline
from etl.errors import ExitCode
from etl.sandbox import SANDBOX_KEY, Request, Switches
from tests.support.importer import ImporterFixture
from tests.support.in_process import BASE_URL


def on_list(desk: ImporterFixture, name: str) -> int:
    query = "SELECT count(*) FROM members m JOIN lists l ON l.id = m.list_id WHERE l.name = ?"
    return int(desk.sandbox.store.connection.execute(query, (name,)).fetchone()[0])


def routed(desk: ImporterFixture, count: int = 8) -> None:
    desk.mapping["columns"]["Name"] = "list"
    desk.write([(f"c{n}", f"person{n}@mapleshop.com", "VIP") for n in range(count)])


def call(desk: ImporterFixture, method: str, path: str, body: Any) -> Any:
    headers = {
        "authorization": f"Klaviyo-API-Key {SANDBOX_KEY}",
        "revision": "2026-07-15",
        "accept": "application/vnd.api+json",
        "content-type": "application/vnd.api+json",
    }
    raw = orjson.dumps(body)
    return desk.sandbox.handle(
        Request(method=method, path=path, query=(), headers=headers, body=raw, base_url=BASE_URL)
    )


def with_secondary(desk: ImporterFixture, email: str, other: str) -> None:
    """Give a profile a second address; Klaviyo goes on showing the first."""
    data = {
        "type": "profile",
        "attributes": {"email": email},
        "meta": {"patch_identifiers": {"append": {"email": [other]}}},
    }
    assert call(desk, "POST", "/api/profile-import", {"data": data}).status in {200, 201}


# --- late -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "switches",
    [
        {"profiles_visible_after": 6.0, "job_profiles_visible_after": 6.0},
        {"profiles_visible_after": 60.0, "job_profiles_visible_after": math.inf},
        {"profiles_visible_after": math.inf},
    ],
    ids=["6 s", "60 s, and no job tells", "only the job tells"],
)
def test_a_profile_that_is_seen_late_joins_its_list(desk: ImporterFixture, switches: dict[str, Any]) -> None:
    routed(desk)
    desk.sandbox.set_switches(Switches(**switches))
    report = desk.run()
    assert (report.tally.loaded, report.exit_code) == (8, ExitCode.OK), report.issues
    assert on_list(desk, "VIP") == 8


def test_a_profile_that_nobody_ever_sees_is_unknown_and_goes_again(desk: ImporterFixture) -> None:
    desk.mapping["load"]["only_changed"] = True
    routed(desk)
    desk.sandbox.set_switches(Switches(profiles_visible_after=3_000, job_profiles_visible_after=3_000))
    report = desk.run()
    assert (report.tally.failed, report.tally.unknown) == (0, 8)
    assert {group.code for group in report.issues} == {"profile-not-found"}
    desk.clock.time += 4_000
    desk.sandbox.set_switches(Switches())
    assert desk.run().tally.loaded == 8
    assert on_list(desk, "VIP") == 8


def test_a_job_whose_counters_do_not_tell_is_read_back_with_patience(desk: ImporterFixture) -> None:
    desk.write(8)
    desk.faults({"fault": "counters_null", "endpoint": "POST /api/profile-bulk-import-jobs"})
    desk.sandbox.set_switches(Switches(profiles_visible_after=30.0, job_profiles_visible_after=math.inf))
    report = desk.run()
    assert (report.tally.loaded, report.tally.unknown, report.tally.failed) == (8, 0, 0), report.issues


def test_consent_waits_for_a_profile_that_is_seen_late(desk: ImporterFixture) -> None:
    desk.mapping["columns"]["Name"] = "consent.email"
    desk.mapping["consent"] = {"date": "2024-05-01"}
    desk.write([(f"c{n}", f"person{n}@mapleshop.com", "subscribed") for n in range(5)])
    desk.sandbox.set_switches(Switches(profiles_visible_after=40.0, consents_visible_after=6.0))
    report = desk.run()
    assert report.tally.loaded == 5, report.issues
    assert report.consents[0].confirmed == 5


@pytest.mark.parametrize("small", [0, 50], ids=["jobs", "single profiles"])
def test_what_an_import_wrote_a_moment_ago_is_not_written_over(desk: ImporterFixture, small: int) -> None:
    """The look before a value that may only fill a blank waits for a profile that is known to be there."""
    desk.mapping["load"] = {"small_run": small}
    desk.write([("1", "ann@mapleshop.com", "Ann"), ("2", "bob@mapleshop.com", "Bob")])
    desk.sandbox.set_switches(Switches(profiles_visible_after=40.0))
    assert desk.run().tally.loaded == 2
    desk.mapping["columns"]["Name"] = {"to": "first_name", "write": "only_if_existing_blank"}
    desk.write([("1", "ann@mapleshop.com", "Nobody"), ("3", "cat@mapleshop.com", "Cat")])
    assert desk.run().tally.loaded == 2
    desk.clock.time += 100
    names = {one["email"]: one["first_name"] for one in map(orjson.loads, desk.sandbox.dump().splitlines())}
    assert names == {"ann@mapleshop.com": "Ann", "bob@mapleshop.com": "Bob", "cat@mapleshop.com": "Cat"}


def test_an_unchanged_row_whose_profile_is_gone_is_no_zombie(desk: ImporterFixture) -> None:
    """It was known, so it was never sent again; and its list call failed night after night."""
    desk.mapping["load"] = {"only_changed": True, "small_run": 0}
    desk.write(3)
    assert desk.run().tally.loaded == 3
    desk.sandbox.store.connection.execute("DELETE FROM profiles WHERE email = 'person1@mapleshop.com'")
    desk.mapping["load"]["list"] = "News"
    report = desk.run()
    assert (report.tally.unchanged, report.tally.unknown) == (2, 1)
    assert desk.run().tally.loaded == 1
    assert on_list(desk, "News") == 3


# --- secondary addresses ----------------------------------------------------------------------------------------------


@pytest.fixture
def two_addresses(desk: ImporterFixture) -> ImporterFixture:
    """The source knows Ann by an address that her profile has and does not show."""
    desk.mapping["columns"] = {"Email": "email", "Name": "first_name"}
    desk.write([(f"c{n}", f"person{n}@mapleshop.com", "Ann") for n in range(6)])
    assert desk.run().tally.loaded == 6
    with_secondary(desk, "person2@mapleshop.com", "ann.private@mapleshop.com")
    rows = [(f"c{n}", "ann.private@mapleshop.com" if n == 2 else f"person{n}@mapleshop.com", "Ann") for n in range(6)]
    desk.write(rows)
    return desk


def test_verify_knows_a_person_by_a_secondary_address(two_addresses: ImporterFixture) -> None:
    report = two_addresses.run(verify="full")
    assert [(one.verdict, one.count) for one in report.observed] == [("confirmed", 6)]
    assert (report.exit_code, two_addresses.profiles) == (ExitCode.OK, 6)


def test_a_list_column_finds_a_person_by_a_secondary_address(two_addresses: ImporterFixture) -> None:
    two_addresses.mapping["columns"]["Name"] = "list"
    rows = [(f"c{n}", "ann.private@mapleshop.com" if n == 2 else f"person{n}@mapleshop.com", "VIP") for n in range(6)]
    two_addresses.write(rows)
    assert two_addresses.run().tally.loaded == 6
    assert on_list(two_addresses, "VIP") == 6


def test_mirror_leaves_a_person_with_two_addresses_alone(two_addresses: ImporterFixture) -> None:
    """Night after night she was taken off the list, and put on it again."""
    two_addresses.mapping["load"] |= {"missing": "mirror", "only_changed": True}
    two_addresses.guards(max_missing_percent=50)
    for night in range(3):
        before = dict(two_addresses.sandbox.requests)
        report = two_addresses.run(verify="full" if night else "none")
        assert report.exit_code == ExitCode.OK, report.notes
        removed = sum(
            count - before.get(name, 0) for name, count in two_addresses.sandbox.requests.items() if "DELETE" in name
        )
        assert removed == 0, f"night {night}"
        assert on_list(two_addresses, "News") == 6
        if night:
            assert report.tally.unchanged == 6


def test_mirror_still_takes_off_who_is_not_in_the_source(two_addresses: ImporterFixture) -> None:
    """The negative control: a profile that no address of the source answers for leaves."""
    two_addresses.mapping["load"] |= {"missing": "mirror"}
    two_addresses.guards(max_missing_percent=50)
    rows = [(f"c{n}", "ann.private@mapleshop.com" if n == 2 else f"person{n}@mapleshop.com", "Ann") for n in range(5)]
    two_addresses.write(rows)
    assert two_addresses.run().exit_code == ExitCode.OK
    assert on_list(two_addresses, "News") == 5


# --- suppressed, whatever the reason ----------------------------------------------------------------------------------

REASONS = ("HARD_BOUNCE", "INVALID_EMAIL", "SPAM_COMPLAINT", "UNSUBSCRIBE", "USER_SUPPRESSED")


def suppressed(desk: ImporterFixture, *reasons: str) -> Path:
    desk.mapping = {"columns": {"Email": "email"}}
    desk.write([("", f"person{n}@mapleshop.com", "") for n in range(len(reasons))])
    assert desk.run().tally.loaded == len(reasons)
    store = desk.sandbox.store.connection
    for number, reason in enumerate(reasons):
        query = "INSERT INTO suppressions SELECT seq, '', ?, 1.0 FROM profiles WHERE email = ?"
        assert store.execute(query, (reason, f"person{number}@mapleshop.com")).rowcount == 1
    path = desk.folder / "gone.csv"
    path.write_text("Email\n" + "\n".join(f"person{n}@mapleshop.com" for n in range(len(reasons))), encoding="utf-8")
    return path


def test_suppressing_is_done_where_anything_suppresses(desk: ImporterFixture) -> None:
    path = suppressed(desk, *REASONS)
    desk.sandbox.set_switches(Switches(suppressed_already="skip"))
    before = desk.writes
    report = pipeline.suppress(path, context=desk.context)
    assert (report.tally.loaded, report.exit_code) == (5, ExitCode.OK), report.issues
    assert report.consents[0].already == 5
    assert desk.writes == before


def test_lifting_says_what_it_cannot_lift(desk: ImporterFixture) -> None:
    path = suppressed(desk, *REASONS)
    report = pipeline.suppress(path, undo=True, context=desk.context)
    assert (report.tally.loaded, report.tally.unknown) == (5, 0), report.issues
    assert (report.consents[0].confirmed, report.consents[0].withheld) == (1, 4)
    assert {group.code for group in report.issues} == {"consent-withheld"}
    assert "suppressed by hand" in report.issues[0].detail


def test_an_answer_without_suppressions_proves_no_lifting(desk: ImporterFixture) -> None:
    path = suppressed(desk, "USER_SUPPRESSED")
    desk.sandbox.set_switches(Switches(subscriptions="absent"))
    report = pipeline.suppress(path, undo=True, context=desk.context)
    assert (report.tally.loaded, report.tally.unknown) == (0, 1)
