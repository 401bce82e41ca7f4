"""What state keeps of a run: every document comes back as it was, and those of earlier versions are understood."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.state import (
    ReachedMark,
    RunDetails,
    RunOptions,
    RunProcess,
    StagedFile,
    StagedRevenue,
    Store,
)
from etl.state.runs.document import changed_details
from tests.support.state_backends import begin

WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=9)
COUNTS = st.integers(0, 10**9)
SECONDS = st.floats(0, 1e9)
TEXTS = st.lists(WORDS, max_size=3).map(tuple)
SUMS = st.dictionaries(WORDS, st.decimals(allow_nan=False, allow_infinity=False, places=2).map(str), max_size=2)
OTHERS = st.dictionaries(WORDS.map("later.{}".format), st.one_of(st.none(), WORDS, COUNTS, TEXTS.map(list)), max_size=2)
OPTIONS = st.builds(
    RunOptions,
    kind=WORDS,
    verb=WORDS,
    limit=st.none() | COUNTS,
    list=st.none() | WORDS,
    force=st.booleans(),
    guards_waived=st.booleans(),
    verify=st.sampled_from(["none", "sample", "full"]),
    source_age=st.none() | SECONDS,
    part=st.booleans(),
    events_by_person=st.booleans(),
    process=st.none() | st.builds(RunProcess, COUNTS, WORDS),
    others=OTHERS,
)
DETAILS = st.builds(
    RunDetails,
    records_read=st.none() | COUNTS,
    headers=TEXTS,
    columns=st.lists(st.tuples(WORDS, TEXTS), max_size=3).map(tuple),
    source_facts=st.dictionaries(WORDS, WORDS, max_size=2),
    source_notes=TEXTS,
    set_aside=st.dictionaries(WORDS, COUNTS, max_size=2),
    files=st.lists(st.builds(StagedFile, WORDS, COUNTS, COUNTS), max_size=2).map(tuple),
    watermark=st.none() | st.builds(ReachedMark, WORDS, WORDS, WORDS, WORDS),
    account_name=WORDS,
    list_names=TEXTS,
    notes=TEXTS,
    load=st.none() | st.dictionaries(WORDS, COUNTS | WORDS, max_size=2),
    asked=st.booleans(),
    bounced_flagged=st.booleans(),
    objection=WORDS,
    seconds=st.dictionaries(st.sampled_from(["stage", "load", "verify"]), SECONDS),
    verified=COUNTS,
    revenue=st.none() | st.builds(StagedRevenue, SUMS, SUMS, st.booleans()),
    metrics=TEXTS,
    others=OTHERS,
)


def through_json(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(orjson.dumps(document))
    return found


@given(OPTIONS, st.sampled_from(["run", "retry", "suppress", "mirror", "plan"]))
def test_options_come_back_as_they_were(options: RunOptions, command: str) -> None:
    assert RunOptions.from_stored(through_json(options.to_stored()), command) == options


@given(DETAILS)
def test_details_come_back_as_they_were(details: RunDetails) -> None:
    assert RunDetails.from_stored(through_json(details.to_stored())) == details


@given(DETAILS, st.dictionaries(st.sampled_from(["load", "stage"]), SECONDS), TEXTS)
def test_a_change_leaves_the_rest_alone(details: RunDetails, seconds: dict[str, float], notes: tuple[str, ...]) -> None:
    stored = changed_details(through_json(details.to_stored()), {"seconds": seconds, "notes": notes})
    found = RunDetails.from_stored(through_json(stored))
    assert (found.notes, found.seconds) == (notes, {**details.seconds, **seconds})
    assert {**found.to_stored(), "notes": 0, "seconds": 0} == {**details.to_stored(), "notes": 0, "seconds": 0}


@pytest.mark.parametrize(
    ("command", "stored", "expected"),
    [
        ("check", {"limit": None, "process": {"id": 7, "host": "h"}}, RunOptions(process=RunProcess(7, "h"))),
        (
            "run",
            {"limit": 5, "list": "News", "force": True, "source_age": 2.5, "verify": "sample", "part": True},
            RunOptions(limit=5, list="News", force=True, source_age=2.5, verify="sample", part=True),
        ),
        ("retry", {"list": "News", "force": True}, RunOptions(list="News", guards_waived=True)),
        ("suppress", {"verify": "none", "force": True}, RunOptions(kind="suppressions", guards_waived=True)),
        ("mirror", {}, RunOptions(kind="list_removal")),
        (
            "events",
            {"kind": "events", "events_by_person": True, "limit": None, "force": False, "source_age": None},
            RunOptions(kind="events", verb="events", events_by_person=True),
        ),
        ("events", {"kind": "events", "limit": None}, RunOptions(kind="events", verb="events")),
    ],
)
def test_options_of_version_0_1_are_understood(command: str, stored: dict[str, Any], expected: RunOptions) -> None:
    assert RunOptions.from_stored(stored, command) == expected


def test_a_person_who_forced_and_a_command_without_guards_are_told_apart() -> None:
    forced, waived = RunOptions(force=True), RunOptions(guards_waived=True)
    assert not forced.guarded
    assert not waived.guarded
    assert RunOptions.from_stored(forced.to_stored(), "retry") == forced != waived


def test_what_a_later_version_wrote_is_kept_by_an_update(store: Store) -> None:
    run = begin(store)
    store.runs.update(run, notes=["one"], seconds={"stage": 1.0})
    store.runs.update(run, seconds={"load": 2.0})
    details = store.runs.get(run).details
    assert (details.notes, details.seconds) == (("one",), {"stage": 1.0, "load": 2.0})
