"""Profiles are merged only where somebody agreed to the number and nobody can become mailable by it; and once."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl import pipeline
from etl.errors import ExitCode, GuardError, StoppedError, UnavailableError, UsageError
from etl.klaviyo import Profile
from etl.load.merges.policy import objection
from etl.model import RunStatus
from etl.sandbox.protocol.switches import Switches
from tests.support.effort import examples, walk
from tests.support.importer import ImporterFixture
from tests.support.in_process import CrashError, CrashPoints
from tests.support.shop import Shop

ANN, PHONE = "ann@mapleshop.com", "+12127365001"
MERGE = "POST /api/profile-merge"


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Shop]:
    made = Shop(tmp_path, monkeypatch, capsys)
    made.write(
        "c.toml",
        '[columns]\n"Email" = "email"\n"Phone" = "phone_number"\n"Id" = "external_id"\n"First" = "first_name"\n'
        '[profile]\non_conflict = "merge"\n[load]\nlist = "VIP"\n',
    )
    made.write("c.csv", f"Email,Phone,Id,First\n{ANN},{PHONE},c1,Ann New\nbob@mapleshop.com,,c8,Bob\n")
    yield made
    made.close()


def test_the_case_of_the_issue_is_merged_once_the_number_is_said(shop: Shop) -> None:
    ann = shop.profile(email=ANN, first_name="Ann")
    sms = shop.profile(phone_number=PHONE, first_name="SMS Ann", consent={"sms": "subscribed"})
    plan = shop.run("plan", "c.csv")
    assert plan.code == ExitCode.OK
    assert f"Email {ann}, Phone {sms}" in plan.out
    assert "merged" in plan.out
    assert ANN not in plan.everything
    found = json.loads(shop.run("plan", "c.csv", "--format", "json").out)
    assert dict(found["foresight"]["requests"])["profile merges"] == 1
    assert (found["send"], found["foresight"]["update"]) == (2, 1)
    before, writes = shop.profiles(), sum(shop.writes.values())
    for agreed in ([], ["--merge-profiles", "2"]):
        said = shop.run("run", "c.csv", "--yes", *agreed)
        assert said.code == ExitCode.GUARD
        assert "merge-not-agreed" in said.err
        assert "--merge-profiles 1" in said.err
    assert (shop.profiles(), sum(shop.writes.values())) == (before, writes)

    said = shop.run("run", "c.csv", "--yes", "--merge-profiles", "1", "--format", "json")
    assert said.code == ExitCode.OK, said.everything
    assert json.loads(said.out)["tally"]["loaded"] == 2
    (mine,) = [one for one in shop.profiles() if one["email"] == ANN]
    assert (mine["phone_number"], mine["external_id"], mine["lists"]) == (PHONE, "c1", ["VIP"])
    assert len(shop.profiles()) == 2
    (consent,) = [one for one in shop.consents() if one["consent"] == "SUBSCRIBED"]
    assert (consent["channel"], consent["phone_number"]) == ("sms.marketing", PHONE)
    assert shop.writes[MERGE] == 1


@pytest.mark.parametrize("who", ["destination", "source"])
@pytest.mark.parametrize("channel", ["email", "sms"])
def test_nobody_who_opted_out_is_merged(shop: Shop, who: str, channel: str) -> None:
    """The destination has both addresses, and so has the source: any of the four may have opted out."""
    said = {one: {channel: "unsubscribed"} if one == who else {} for one in ("destination", "source")}
    shop.profile(said["destination"], email=ANN, phone_number="+12127365008", first_name="Ann")
    shop.profile(said["source"], email="sms@mapleshop.com", phone_number=PHONE)
    refused(shop, "opted out" if channel == "sms" else "suppressed|opted out")


def test_nobody_is_merged_whose_address_would_get_the_consent_of_another(shop: Shop) -> None:
    shop.profile(email=ANN, first_name="Ann")
    shop.profile({"email": "subscribed"}, email="sms@mapleshop.com", phone_number=PHONE)
    refused(shop, "could get the other one's consent")


@pytest.mark.parametrize("reading", ["absent", "null", "empty", "unknown_words"])
def test_nobody_is_merged_whose_consent_klaviyo_does_not_say(shop: Shop, reading: str) -> None:
    shop.profile({"email": "subscribed"}, email=ANN, first_name="Ann")
    shop.profile({"sms": "subscribed"}, phone_number=PHONE)
    shop.server.sandbox.set_switches(Switches.model_validate({"subscriptions": reading}))
    refused(shop, "does not say|unknown kind")


def test_two_lines_are_two_people(shop: Shop) -> None:
    """The phone is Bob's in Klaviyo and Ann's in the file; merging would make Bob Ann."""
    shop.profile(email=ANN, first_name="Ann")
    shop.profile(email="bob@mapleshop.com", phone_number=PHONE)
    refused(shop, "line 3 carries")


def refused(shop: Shop, reason: str) -> None:
    """Plan says it, run does not merge, and every consent is what it was."""
    found = json.loads(shop.run("plan", "c.csv", "--format", "json").out)
    (conflict,) = found["conflicts"]
    assert conflict["fate"] == "fail"
    assert any(words in conflict["why"] for words in reason.split("|")), conflict["why"]
    before = shop.consents()
    said = shop.run("run", "c.csv", "--yes", "--merge-profiles", "1", "--format", "json")
    report = json.loads(said.out)
    assert said.code == ExitCode.ROWS_NOT_LOADED, said.err
    (issue,) = [one for one in report["issues"] if one["code"] == "merge-withheld"]
    assert issue["lines"] == [2]
    assert ANN not in said.out
    assert MERGE not in shop.writes
    assert shop.consents() == before


class MergingDesk:
    """A desk with one row in conflict of three profiles, and one of nobody's."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.desk = ImporterFixture(folder, **options)
        self.desk.mapping = {
            "columns": {"Id": "external_id", "Email": "email", "Phone": "phone_number", "Name": "first_name"},
            "profile": {"on_conflict": "merge"},
            "load": {"list": "News", "small_run": 50},
        }
        self.desk.write(
            [["c1", ANN, PHONE, "Ann"], ["", "bob@mapleshop.com", "", "Bob"]], ("Id", "Email", "Phone", "Name")
        )
        with self.desk.context.open_client() as client:
            for one in ({"email": ANN}, {"phone_number": PHONE}, {"external_id": "c1", "title": "Dr"}):
                client.upsert_profile(orjson.dumps({"data": {"type": "profile", "attributes": one}}))

    def run(self, points: CrashPoints | None = None) -> None:
        """Run, and resume for as long as the process dies or Klaviyo is not well."""
        work = pipeline.run
        arguments: tuple[Any, ...] = (self.desk.source, self.desk.mapping)
        for _ in range(40):
            context = self.desk.process(points, agree_to_merges=lambda pairs: pairs == 2)
            try:
                work(*arguments, context=context, verify="none") if arguments else pipeline.resume(context=context)
            except (CrashError, StoppedError, UnavailableError):
                with self.desk.process().open_store() as store:
                    unfinished = store.runs.latest([RunStatus.STAGED, RunStatus.LOADING])
                arguments = () if unfinished is not None else arguments
                continue
            return
        pytest.fail("never done")

    @property
    def merges(self) -> int:
        return self.desk.sandbox.requests.get(MERGE, 0)


def expected(made: MergingDesk) -> None:
    people = [orjson.loads(line) for line in made.desk.sandbox.dump().splitlines()]
    assert sorted((one["email"], one["phone_number"], one["external_id"], one["lists"]) for one in people) == [
        (ANN, PHONE, "c1", ["News"]),
        ("bob@mapleshop.com", None, None, ["News"]),
    ]


def test_three_profiles_become_the_one_of_the_highest_key(tmp_path: Path) -> None:
    made = MergingDesk(tmp_path)
    made.run()
    expected(made)
    assert made.merges == 2
    (ann,) = [one for one in map(orjson.loads, made.desk.sandbox.dump().splitlines()) if one["email"] == ANN]
    assert ann["title"] == "Dr"  # that of the external id, which comes first in the key


def test_a_process_may_die_anywhere(tmp_path: Path) -> None:
    points = CrashPoints()
    (tmp_path / "whole").mkdir()
    MergingDesk(tmp_path / "whole").run(points)
    merging = [number for number, name in enumerate(points.names, 1) if "profile-merge" in name]
    for number in walk(merging[-1] + 8, part=merging[0] - 9):
        folder = tmp_path / str(number)
        folder.mkdir()
        made = MergingDesk(folder)
        made.run(CrashPoints(frozenset({number})))
        expected(made)
        assert made.merges <= 3, points.names[number - 1]


@pytest.mark.parametrize(
    "fault", ["reset_before", "answer_lost", "reset_during", "malformed", "error_json", "error_html", "throttle"]
)
def test_a_lost_answer_is_looked_for(tmp_path: Path, fault: str) -> None:
    made = MergingDesk(tmp_path, processing_seconds=3.0)
    made.desk.faults({"endpoint": MERGE, "fault": fault, "times": 2})
    made.run()
    expected(made)


def test_a_merge_that_never_happens_fails_its_row_and_nothing_of_it_is_sent(tmp_path: Path) -> None:
    made = MergingDesk(tmp_path, processing_seconds=1e9)
    made.run()
    with made.desk.context.open_store() as store:
        run = store.runs.newest(1)[0].id
        outcomes = {line: (outcome, code) for line, outcome, code in store.rows.outcomes(run)}
    assert outcomes == {2: ("failed", "merge-unproven"), 3: ("loaded", None)}
    assert made.merges == 1
    assert len(made.desk.sandbox.dump().splitlines()) == 4


def test_nobody_agrees_by_default(tmp_path: Path) -> None:
    made = MergingDesk(tmp_path)
    before = made.desk.sandbox.dump()
    with pytest.raises(GuardError, match="nobody agreed"):
        made.desk.run()
    assert made.desk.sandbox.dump() == before
    with pytest.raises(UsageError):
        pipeline.resume(context=made.desk.context)
    assert made.merges == 0


CONSENTS = ("SUBSCRIBED", "NEVER_SUBSCRIBED", "UNSUBSCRIBED")
PROFILES = st.fixed_dictionaries(
    {
        "email": st.sampled_from([None, "mine", "theirs"]),
        "phone_number": st.sampled_from([None, "mine", "theirs"]),
        "e": st.sampled_from(CONSENTS),
        "s": st.sampled_from(CONSENTS),
        "held": st.booleans(),
    }
)


def profile_of(name: str, drawn: Mapping[str, Any]) -> Profile:
    marketing: dict[str, Any] = {"consent": drawn["e"]}
    if drawn["held"]:
        marketing["suppression"] = [{"reason": "HARD_BOUNCE"}]
    return Profile(
        name,
        {
            "email": drawn["email"],
            "phone_number": drawn["phone_number"],
            "subscriptions": {"email": {"marketing": marketing}, "sms": {"marketing": {"consent": drawn["s"]}}},
        },
    )


def mailable(profiles: list[dict[str, Any]]) -> set[tuple[str, str]]:
    return {
        (channel, one[address])
        for one in profiles
        for channel, address in (("e", "email"), ("s", "phone_number"))
        if one[address] and one[channel] == "SUBSCRIBED" and not one["held"]
    }


def worst(*two: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what may be left by a Klaviyo that takes the kindest consent of both, for whichever address it keeps."""
    kindest = {name: "SUBSCRIBED" for name in "es" if "SUBSCRIBED" in {one[name] for one in two}}
    return [{**one, **kindest, "held": False} for one in two]


@given(destination=PROFILES, source=PROFILES)
@settings(max_examples=examples(60), deadline=None)
def test_however_klaviyo_joins_consents_nobody_becomes_mailable(
    destination: Mapping[str, Any], source: Mapping[str, Any]
) -> None:
    if objection(profile_of("D", destination), profile_of("S", source)) is None:
        assert mailable(worst(destination, source)) <= mailable([dict(destination), dict(source)])


def test_without_the_gate_somebody_would() -> None:
    """The negative control of the property above."""
    base = {"email": "mine", "phone_number": None, "s": "NEVER_SUBSCRIBED"}
    opted_out, given_by = (dict(base, e=one, held=False) for one in ("UNSUBSCRIBED", "SUBSCRIBED"))
    given_by["email"] = "theirs"
    pairs = list(itertools.permutations((opted_out, given_by), 2))
    assert any(not mailable(worst(one, other)) <= mailable([one, other]) for one, other in pairs)
    assert all(objection(profile_of("D", one), profile_of("S", other)) for one, other in pairs)
