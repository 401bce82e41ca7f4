"""Whatever happened, and in whatever order: nobody is subscribed who said no, or of whom nobody can say what they said.

Histories of imports (with lines that are refused, repeated, contested, beyond a pilot's limit or in a second file),
opt-outs in Klaviyo, webhooks in other spellings, profiles that get lost, an account that falls silent, and forms. Each
rule has its negative control: switched off, a history of a few steps breaks the promise.
"""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from etl import pipeline
from etl.load import ConsentDecision, ConsentVerdict
from etl.model import Channel
from etl.sandbox import Switches
from etl.state import OptOutEvent, OptOutKind
from tests.consent.test_consent_every_line import COLUMNS, HEADER, line
from tests.support.effort import examples, sample
from tests.support.importer import ImporterFixture

PEOPLE = 2
PHONES = ("+14155552000", "+14155552001")
WORDS = ("subscribed", "subscribed", "unsubscribed", "cleaned", "no", "", "hmm")
OUT = {"unsubscribed", "cleaned", "hmm"}
SPELLINGS = ("person{}@mapleshop.com", "Person{}@MapleShop.COM", "person{}@mapleshop.com.")


@dataclass(frozen=True)
class ConsentLine:
    """One line of a source: who, what they say, and what is odd about the line."""

    who: int
    mail: str
    text: str = ""
    spelling: int = 0
    refused: bool = False
    shares_phone: bool = False

    def row(self) -> tuple[str, ...]:
        phone = PHONES[0 if self.shares_phone else self.who]
        email = SPELLINGS[self.spelling % 2].format(self.who)
        return line(f"c{self.who}", email, phone, self.mail, self.text, age="" if self.refused else "30")


Step = tuple[str, Any]
LINES = st.lists(
    st.builds(
        ConsentLine,
        who=st.integers(0, PEOPLE - 1),
        mail=st.sampled_from(WORDS),
        text=st.sampled_from(WORDS),
        spelling=st.integers(0, 1),
        refused=st.booleans(),
        shares_phone=st.booleans(),
    ),
    min_size=1,
    max_size=4,
)
WHO = st.integers(0, PEOPLE - 1)
STEPS = st.one_of(
    st.tuples(st.just("import"), LINES),
    st.tuples(st.just("pilot"), LINES),
    st.tuples(st.just("files"), LINES),
    st.tuples(st.just("silent import"), LINES),
    st.tuples(st.just("leave"), WHO),
    st.tuples(st.just("webhook"), st.tuples(WHO, st.integers(0, 2))),
    st.tuples(st.just("lost"), WHO),
    st.tuples(st.just("form"), WHO),
)


class ConsentHistory:
    """An account, and what everybody in it has said so far."""

    def __init__(self, folder: Path) -> None:
        self.desk = ImporterFixture(folder, processing_seconds=0.5)
        self.desk.mapping = {"columns": COLUMNS, "load": {"list": "News", "small_run": 0}}
        self.told: set[str] = set()
        with self.desk.context.open_client() as client:
            self.account = client.get_account().id

    def live(self, steps: list[Step]) -> None:
        for number, (what, about) in enumerate(steps):
            self.desk.clock.time += 20
            match what:
                case "leave":
                    self.desk.sandbox.simulate("unsubscribe", email=SPELLINGS[0].format(about))
                case "webhook":
                    self._webhook(number, *about)
                case "lost":
                    with self.desk.context.open_client() as client:
                        client.request_deletion("email", SPELLINGS[0].format(about))
                case "form":
                    with self.keeping_the_promise({("email.marketing", f"c{about}")} & self._told()):
                        profile = {"email": SPELLINGS[0].format(about), "external_id": f"c{about}"}
                        pipeline.upsert_profile(
                            profile, context=self.desk.context, lists=["News"], subscribe=[Channel.EMAIL]
                        )
                case _:
                    self._import(what, about)

    def _import(self, what: str, lines: list[ConsentLine]) -> None:
        paths = [self.desk.folder / f"{each}.csv" for each in range(2 if what == "files" else 1)]
        for place, path in enumerate(paths):
            with path.open("w", newline="", encoding="utf-8") as out:
                csv.writer(out).writerows([HEADER, *(said.row() for said in lines[place :: len(paths)])])
        silent = what == "silent import"
        self.desk.sandbox.set_switches(Switches(subscriptions="absent" if silent else "shown"))
        everybody = {(channel, f"c{who}") for channel in ("email.marketing", "sms.marketing") for who in range(PEOPLE)}
        with self.keeping_the_promise(everybody if silent else self._told() | said_no(lines)):
            pipeline.run(
                paths, self.desk.mapping, context=self.desk.context, limit=1 if what == "pilot" else None, verify="none"
            )
        self.desk.sandbox.set_switches(Switches())

    def keeping_the_promise(self, said_no: set[tuple[str, str]]) -> Promise:
        return Promise(self.desk, said_no | {each for each, word in consents(self.desk) if word == "UNSUBSCRIBED"})

    def _told(self) -> set[tuple[str, str]]:
        return {("email.marketing", who) for who in self.told}

    def _webhook(self, number: int, who: int, spelling: int) -> None:
        now = self.desk.clock.now()
        email = SPELLINGS[spelling].format(who)
        notice = OptOutEvent(f"e{number}", "t", OptOutKind.UNSUBSCRIBED, Channel.EMAIL, email, None, None, now, now)
        with self.desk.context.open_store() as store:
            store.opt_outs.append(self.account, [notice])
        self.told.add(f"c{who}")


class Promise:
    """Nobody of these is subscribed while it lasts. Who was subscribed before may stay so."""

    def __init__(self, desk: ImporterFixture, said_no: set[tuple[str, str]]) -> None:
        self._desk = desk
        self._said_no = said_no
        self._before = {each for each, word in consents(desk) if word == "SUBSCRIBED"}

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if error is None:
            self._desk.clock.time += 5
            newly = {each for each, word in consents(self._desk) if word == "SUBSCRIBED"} - self._before
            assert not newly & self._said_no, "somebody who had said no was subscribed"


def consents(desk: ImporterFixture) -> Iterator[tuple[tuple[str, str], str]]:
    for said in map(json.loads, filter(None, desk.sandbox.dump_consents().splitlines())):
        yield (said["channel"], said["external_id"]), said["consent"]


def said_no(lines: list[ConsentLine]) -> set[tuple[str, str]]:
    """Return who says no on any of these lines: a phone's no is the no of everybody who has it."""
    found = {("email.marketing", f"c{said.who}") for said in lines if said.mail in OUT}
    phones = {said.row()[2] for said in lines if said.text in OUT}
    people = {said.who for said in lines if said.text in OUT or said.row()[2] in phones}
    return found | {("sms.marketing", f"c{who}") for who in people}


YES, NO = ConsentLine(0, "subscribed", "subscribed"), ConsentLine(0, "unsubscribed", "unsubscribed")
REFUSED_NO = ConsentLine(0, "unsubscribed", "unsubscribed", refused=True)
NEVER = ("import", [ConsentLine(0, "no", "no")])


def lived(steps: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        ConsentHistory(Path(folder)).live(steps)


@pytest.mark.slow
@settings(max_examples=examples(4), deadline=None)
@given(st.lists(STEPS, min_size=2, max_size=5))
@example([("import", [REFUSED_NO, YES])])
@example([NEVER, ("webhook", (0, 1)), ("lost", 0), ("form", 0), ("import", [YES])])
def test_nobody_who_said_no_is_ever_subscribed(steps: list[Step]) -> None:
    lived(steps)


RULES: dict[str, tuple[list[Step], str, Any]] = {
    "a rejected line": ([("import", [YES, REFUSED_NO])], "etl.pipeline.staging.issue_filter.OptOutGatherer.gather", {}),
    "a word nobody understands": (
        [("import", [YES, ConsentLine(0, "hmm", refused=True)])],
        "etl.pipeline.staging.issue_filter.OptOutGatherer.gather",
        {},
    ),
    "a contested phone": (
        [("import", [YES, ConsentLine(1, "", "unsubscribed", shares_phone=True)])],
        "etl.pipeline.staging.issue_filter.OptOutGatherer.gather",
        {},
    ),
    "another file": ([("files", [YES, REFUSED_NO])], "etl.pipeline.staging.issue_filter.OptOutGatherer.gather", {}),
    "beyond a pilot": ([("pilot", [YES, NO])], "etl.pipeline.staging.stage.Reading.rest", ()),
    "a duplicate": ([("import", [YES, NO])], "etl.pipeline.kinds.profiles.stage.merge_consents", None),
    "another spelling": (
        [("webhook", (0, 1)), ("import", [YES])],
        "etl.state.serving.opt_outs.opt_out_key",
        "as it is",
    ),
    "a profile lost": (
        [NEVER, ("webhook", (0, 0)), ("lost", 0), ("import", [YES])],
        "etl.load.consent.evidence.Witness._told",
        {},
    ),
    "silence": (
        [("silent import", [YES])],
        "etl.load.consent.policy._permission",
        ConsentDecision(ConsentVerdict.SEND),
    ),
    "a form": (
        [("webhook", (0, 0)), ("form", 0)],
        "etl.pipeline.single.profiles.may_subscribe",
        ConsentDecision(ConsentVerdict.SEND),
    ),
}


@pytest.mark.parametrize("rule", sample(list(RULES), 2))
def test_without_the_rule_the_promise_breaks(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    steps, switched_off, instead = RULES[rule]
    lived(steps)
    if instead == "as it is":
        monkeypatch.setattr(switched_off, lambda _name, value: value)
    else:
        monkeypatch.setattr(switched_off, lambda *_, **__: instead)
    if rule == "a duplicate":
        # Two rules hold this one, and each alone is enough.
        lived(steps)
        monkeypatch.setattr("etl.pipeline.staging.issue_filter.OptOutGatherer.gather", lambda *_: {})
    with pytest.raises(AssertionError, match="was subscribed"):
        lived(steps)
