"""Identifiers of different profiles: foretold by plan, and settled by run as the mapping says, nobody harmed."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etl import pipeline
from etl.errors import ExitCode
from etl.klaviyo import ApiError, Profile, Reply, ReplyKind
from etl.load import find_owners
from etl.load.steps.transitions import ReplyAction, after_reply
from etl.model import BatchKind
from tests.support.effort import examples
from tests.support.importer import ImporterFixture
from tests.support.shop import CommandResult, Shop

ANN, PHONE, ID = "ann@mapleshop.com", "+12127365001", "c1"
MAPPING = """
[columns]
"Email" = "email"
"Phone" = "phone_number"
"Id" = "external_id"
"First" = "first_name"
[load]
list = "VIP"
"""
VALUES = {"email": ANN, "phone_number": PHONE, "external_id": ID}
HEADERS = {"email": "Email", "phone_number": "Phone", "external_id": "Id"}


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Shop]:
    made = Shop(tmp_path, monkeypatch, capsys)
    yield made
    made.close()


def customers(shop: Shop, rule: str | None, *, small_run: int = 50, more: str = "", extra: Sequence[str] = ()) -> None:
    """Ann's row, in conflict as the account stands, and Bob's, who is nobody's."""
    said = f'[profile]\non_conflict = "{rule}"\n' if rule else ""
    shop.write("c.toml", f"{MAPPING}small_run = {small_run}\n{said}{more}")
    rows = [f"{ANN},{PHONE},{ID},Ann", "bob@mapleshop.com,,c8,Bob", *extra]
    shop.write("c.csv", "\n".join(["Email,Phone,Id,First", *rows]) + "\n")


def planned(shop: Shop) -> tuple[dict[str, Any], CommandResult]:
    said = shop.run("plan", "c.csv", "--format", "json")
    assert said.code == ExitCode.OK, said.err
    return json.loads(said.out), said


def test_the_case_of_the_issue(shop: Shop) -> None:
    shop.profile(email=ANN, first_name="Ann")
    shop.profile(phone_number=PHONE, first_name="SMS Ann", consent={"sms": "subscribed"})
    shop.profile(email="bob@mapleshop.com", external_id="c7")
    customers(shop, None)
    shown = shop.run("plan", "c.csv")
    assert shown.code == ExitCode.OK
    assert "1  would fail: identifiers of different profiles" in shown.out
    assert "1  would be updated" in shown.out
    assert "on_conflict" in shown.out
    found, said = planned(shop)
    (conflict,) = found["conflicts"]
    assert (conflict["place"], conflict["fate"]) == ("2", "fail")
    assert [column for column, _ in conflict["owners"]] == ["Email", "Phone"]
    for value in (ANN, PHONE, "Ann New", "2127365001"):
        assert value not in shown.everything + said.everything
    before = shop.profiles()

    run = shop.run("run", "c.csv", "--format", "json", "--yes")
    report = json.loads(run.out)
    assert run.code == ExitCode.ROWS_NOT_LOADED
    assert (report["tally"]["loaded"], report["tally"]["failed"]) == (1, 1)
    (issue,) = [one for one in report["issues"] if one["code"] == "klaviyo-duplicate"]
    assert issue["lines"] == [2]
    assert "on_conflict" in issue["hint"]
    assert shop.writes.get("POST /api/profile-import") == 3 + 1  # the seeds, and Bob
    untouched = [one for one in before if not one["email"] or one["email"] == ANN]
    assert [one for one in shop.profiles() if one in untouched] == untouched


SPLITS = (
    "email | phone_number",
    "email | external_id",
    "phone_number | external_id",
    "email | phone_number | external_id",
    "email phone_number | external_id",
    "email | phone_number external_id",
    "email external_id | phone_number",
)
"""Which identifiers of the row belong to one profile; the last one is nobody's where it is not named."""


@pytest.mark.parametrize("rule", [None, "drop_phone"])
@pytest.mark.parametrize("split", SPLITS)
def test_run_does_to_every_combination_what_plan_foretold(shop: Shop, split: str, rule: str | None) -> None:
    parts = [part.split() for part in split.split(" | ")]
    small_run = 50 if len(parts[0]) == 1 else 0  # one by one, or in a job
    ids: dict[str, str] = {}
    for part in parts:
        ids |= dict.fromkeys(part, shop.profile(None, **{name: VALUES[name] for name in part}))
    customers(shop, rule, small_run=small_run)
    found, _ = planned(shop)
    (conflict,) = found["conflicts"]
    assert dict(conflict["owners"]) == {HEADERS[name]: ids[name] for name in ids}
    without = {made for name, made in ids.items() if name != "phone_number"}
    helps = rule == "drop_phone" and len(without) == 1
    assert conflict["fate"] == ("drop_phone" if helps else "fail")
    ahead = found["foresight"]
    assert (found["fail"], found["send"]) == ((0, 2) if helps else (1, 1))
    assert ahead["create"] + ahead["update"] + ahead["same"] == found["send"]
    sent_before = sum(shop.writes.values())
    asks_first = rule is not None or small_run > 0

    report = json.loads(shop.run("run", "c.csv", "--yes", "--format", "json").out)
    assert (report["tally"]["failed"], report["tally"]["loaded"]) == (found["fail"], found["send"])
    codes = Counter({one["code"]: one["count"] for one in report["issues"]})
    assert codes["klaviyo-duplicate"] == found["fail"]
    assert codes["phone-left-out"] == (1 if helps else 0)
    if not helps and asks_first and small_run:
        # One upsert and one list call, both Bob's: nothing of the row in conflict left the house.
        assert sum(shop.writes.values()) - sent_before == 2
    people = {one["email"]: one for one in shop.profiles()}
    assert "VIP" in people["bob@mapleshop.com"]["lists"]
    if helps:
        (mine,) = [one for one in shop.profiles() if one.get("first_name") == "Ann"]
        assert mine["lists"] == ["VIP"]
        assert mine["phone_number"] is None
        (theirs,) = [one for one in shop.profiles() if one["phone_number"] == PHONE]
        assert "first_name" not in theirs


@pytest.mark.parametrize("small_run", [50, 0])
def test_without_its_phone_a_row_keeps_list_and_consent_and_nobody_gets_the_phone_s(shop: Shop, small_run: int) -> None:
    shop.profile(email=ANN)
    shop.profile(phone_number=PHONE, first_name="Somebody else")
    shop.write(
        "c.toml",
        f"""
[columns]
"Email" = "email"
"Phone" = "phone_number"
"Mail ok" = "consent.email"
"Text ok" = "consent.sms"
[consent]
date = 2024-05-01
[profile]
on_conflict = "drop_phone"
[load]
list = "VIP"
small_run = {small_run}
""",
    )
    shop.write("c.csv", f"Email,Phone,Mail ok,Text ok\n{ANN},{PHONE},yes,yes\n")
    foreseen, _ = planned(shop)
    assert [(one["channel"], one["send"]) for one in foreseen["foresight"]["consents"]] == [("email", 1)]
    said = shop.run("run", "c.csv", "--yes", "--format", "json")
    report = json.loads(said.out)
    assert report["tally"]["loaded"] == 1, said.err
    (issue,) = [one for one in report["issues"] if one["code"] == "phone-left-out"]
    assert (issue["lines"], issue["column"], issue["severity"]) == ([2], "Phone", "warning")
    (mine,) = [one for one in shop.profiles() if one["email"] == ANN]
    assert mine["lists"] == ["VIP"]
    consents = [(one["email"], one["phone_number"], one["channel"], one["consent"]) for one in shop.consents()]
    assert consents == [(ANN, None, "email.marketing", "SUBSCRIBED")]
    for value in (ANN, PHONE):
        assert value not in said.out


def test_without_its_phone_a_row_is_unchanged_the_next_night_and_whole_once_the_phone_is_free(shop: Shop) -> None:
    shop.profile(email=ANN)
    shop.profile(phone_number=PHONE, external_id="old")
    customers(shop, "drop_phone", small_run=0, more="")
    shop.write(
        "c.toml", (shop.folder / "c.toml").read_text().replace("small_run = 0", "small_run = 0\nonly_changed = true")
    )
    assert shop.run("run", "c.csv", "--yes").code == ExitCode.OK
    again = json.loads(shop.run("run", "c.csv", "--yes", "--format", "json").out)
    assert (again["tally"]["unchanged"], again["tally"]["loaded"]) == (2, 0)
    shop.profile(external_id="old", phone_number=None)  # the phone is given up
    freed = json.loads(shop.run("run", "c.csv", "--yes", "--format", "json").out)
    assert (freed["tally"]["unchanged"], freed["tally"]["loaded"]) == (1, 1)
    (mine,) = [one for one in shop.profiles() if one["email"] == ANN]
    assert mine["phone_number"] == PHONE


def test_a_conflict_that_no_look_showed_is_refused_by_klaviyo_with_the_profile_named(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a profile is not visible yet: the 409 fails its row, the other one goes on, and nothing is stopped."""
    shop.profile(email=ANN)
    other = shop.profile(phone_number=PHONE)
    monkeypatch.setattr(
        "etl.pipeline.kinds.profiles.conflicts.find_owners", lambda _client, people: {line: {} for line in people}
    )
    customers(shop, "drop_phone")
    report = json.loads(shop.run("run", "c.csv", "--yes", "--format", "json").out)
    assert (report["tally"]["failed"], report["tally"]["loaded"]) == (1, 1)
    (issue,) = [one for one in report["issues"] if one["code"] == "klaviyo-duplicate"]
    assert (issue["lines"], other in issue["detail"]) == ([2], True)
    assert PHONE not in json.dumps(report)


@pytest.mark.parametrize("pointer", ["", "/data", "/data/", "/data/attributes", "/data/attributes/email"])
def test_a_conflict_is_its_row_s_whatever_the_answer_points_at(pointer: str) -> None:
    """It is the row's, at once or because it stands alone; it never stops the run."""
    error = ApiError("duplicate_profile", "A profile already exists.", pointer)
    of_the_row = {ReplyAction.ROW_REFUSED, ReplyAction.ISOLATE}
    assert after_reply(BatchKind.UPSERT, Reply(ReplyKind.REFUSED, 409, (error,))) in of_the_row
    assert after_reply(BatchKind.UPSERT, Reply(ReplyKind.REFUSED, 409)) in of_the_row


def test_retry_looks_again(shop: Shop) -> None:
    shop.profile(email=ANN)
    shop.profile(phone_number=PHONE, external_id="old")
    customers(shop, "fail")
    assert shop.run("run", "c.csv", "--yes").code == ExitCode.ROWS_NOT_LOADED
    assert json.loads(shop.run("retry", "--format", "json").out)["tally"]["failed"] == 1
    shop.profile(external_id="old", phone_number=None)
    assert json.loads(shop.run("retry", "--format", "json").out)["tally"]["loaded"] == 1


def test_a_rule_that_is_set_does_not_change_what_counts_as_known(shop: Shop) -> None:
    customers(shop, None, small_run=0)
    text = (shop.folder / "c.toml").read_text().replace("small_run = 0", "small_run = 0\nonly_changed = true")
    shop.write("c.toml", text)
    assert shop.run("run", "c.csv", "--yes").code == ExitCode.OK
    shop.write("c.toml", f'{text}[profile]\non_conflict = "drop_phone"\n')
    assert json.loads(shop.run("run", "c.csv", "--yes", "--format", "json").out)["tally"]["unchanged"] == 2


class Directory:
    """Answers look-ups like Klaviyo might: profiles are found by secondary e-mails, which they do not show."""

    def __init__(self, people: Sequence[tuple[str, list[str]]]) -> None:
        self._people = people
        self.asked = 0

    def profiles_by(self, field: str, values: Sequence[str]) -> Iterator[Profile]:
        self.asked += 1
        for name, emails in self._people:
            if field == "email" and set(emails) & set(values):
                yield Profile(name, {"email": emails[0]})


@given(
    emails=st.lists(st.integers(0, 60), unique=True, min_size=1, max_size=40),
    people=st.lists(st.integers(1, 3), max_size=12),
)
@settings(max_examples=examples(25), deadline=None)
def test_the_owner_of_a_secondary_email_is_found(emails: list[int], people: list[int]) -> None:
    """Whoever has an address is its owner, whether he shows it or not; who has none of them owns none."""
    numbers = itertools.count()
    accounts = [(f"P{place}", [f"e{next(numbers)}@x.co" for _ in range(size)]) for place, size in enumerate(people)]
    wanted = {number: {"email": f"e{number}@x.co"} for number in emails}
    found = find_owners(Directory(accounts), wanted)  # type: ignore[arg-type]
    owner = {address: name for name, addresses in accounts for address in addresses}
    assert {line: {name: one.id for name, one in whose.items()} for line, whose in found.items()} == {
        line: {"email": owner[attributes["email"]]} if attributes["email"] in owner else {}
        for line, attributes in wanted.items()
    }


@pytest.mark.parametrize(("known", "requests"), [(range(300), 3), (range(0), 3), (range(0, 300, 2), 6)])
def test_looking_costs_a_request_or_two_a_hundred(known: range, requests: int) -> None:
    """Two where some are known and some are not, and nobody has a secondary e-mail."""
    directory = Directory([(f"P{number}", [f"e{number}@x.co"]) for number in known])
    find_owners(directory, {number: {"email": f"e{number}@x.co"} for number in range(300)})  # type: ignore[arg-type]
    assert directory.asked == requests


IDENTIFIERS = st.fixed_dictionaries(
    {},
    optional={
        "email": st.sampled_from([f"p{number}@mapleshop.com" for number in range(4)]),
        "phone_number": st.sampled_from([f"+1212736500{number}" for number in range(4)]),
        "external_id": st.sampled_from([f"c{number}" for number in range(4)]),
    },
).filter(bool)


@given(
    account=st.lists(IDENTIFIERS, max_size=5),
    rows=st.lists(IDENTIFIERS, min_size=1, max_size=5),
    rule=st.sampled_from([None, "fail", "drop_phone"]),
    small_run=st.sampled_from([0, 50]),
)
@settings(max_examples=examples(4), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_conflict_is_met_that_was_not_foretold(
    tmp_path_factory: pytest.TempPathFactory,
    account: list[Mapping[str, str]],
    rows: list[Mapping[str, str]],
    rule: str | None,
    small_run: int,
) -> None:
    """Of any file into any account, also through earlier rows of the same file."""
    desk = ImporterFixture(tmp_path_factory.mktemp("desk"))
    with desk.context.open_client() as client:
        for one in account:
            client.upsert_profile(orjson.dumps({"data": {"type": "profile", "attributes": one}}))
    names = ("email", "phone_number", "external_id")
    desk.mapping = {
        "columns": {"Email": "email", "Phone": "phone_number", "Id": "external_id"},
        "profile": {"on_conflict": rule} if rule else {},
        "load": {"small_run": small_run},
    }
    desk.write([[row.get(name, "") for name in names] for row in rows], ("Email", "Phone", "Id"))
    plan = pipeline.plan(desk.source, desk.mapping, context=desk.context)
    report = desk.run()
    with desk.context.open_store() as store:
        met = {str(line) for line, _, code in store.rows.outcomes(report.run) if code == "klaviyo-duplicate"}
        lost = {str(line) for line, outcome, code in store.rows.outcomes(report.run) if outcome == "failed"}
    foretold = {conflict.place for conflict in plan.conflicts if conflict.fate == "fail"}
    assert met <= foretold
    assert lost == met
    if rule is not None or small_run:
        assert met == foretold  # looked at before anything is sent, so nothing has freed an identifier meanwhile
