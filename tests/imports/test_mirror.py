"""``missing = "mirror"``: the list ends up equal to the source, whoever put people on it or took them off."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from etl import pipeline
from etl.errors import ConfigError, ExitCode
from tests.support.crash_scenario import UNFINISHED
from tests.support.effort import examples, walk
from tests.support.importer import ImporterFixture
from tests.support.in_process import CrashError, CrashPoints

ROWS = [(f"c{number}", f"person{number}@mapleshop.com", "Ann") for number in range(30)]


@pytest.fixture
def mirrored(desk: ImporterFixture) -> ImporterFixture:
    desk.mapping["load"] |= {"missing": "mirror", "only_changed": True}
    desk.write(ROWS)
    return desk


def members(desk: ImporterFixture, name: str = "News") -> set[str]:
    return {
        str(one["email"] or one["phone_number"] or one["external_id"]) for one in people(desk) if name in one["lists"]
    }


def people(desk: ImporterFixture) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in desk.sandbox.dump().splitlines()]


def emails(rows: list[tuple[str, str, str]]) -> set[str]:
    return {email for _, email, _ in rows}


def put_on_list(desk: ImporterFixture, *profiles: dict[str, str], lists: tuple[str, ...] = ("News",)) -> list[str]:
    """Put people on a list behind the importer's back; return their ids."""
    with desk.context.open_client() as client:
        ids = []
        for attributes in profiles:
            body = orjson.dumps({"data": {"type": "profile", "attributes": attributes}})
            ids.append(str(client.upsert_profile(body).document["data"]["id"]))
        for name in lists:
            (target,) = client.find_lists(name)
            client.add_to_list(target.id, ids)
    return ids


def take_off_list(desk: ImporterFixture, *wanted: str) -> None:
    with desk.context.open_client() as client:
        (target,) = client.find_lists("News")
        client.remove_from_list(target.id, [one.id for one in client.profiles_by("email", wanted)])


def test_who_is_not_in_the_source_leaves_the_list(mirrored: ImporterFixture) -> None:
    put_on_list(
        mirrored,
        {"email": "stranger@mapleshop.com"},
        {"phone_number": "+14155550123"},
        lists=("News", "VIP"),
    )
    report = mirrored.run(force=True)
    assert report.tally.loaded == 30
    assert members(mirrored) == emails(ROWS)
    assert members(mirrored, "VIP") == {"stranger@mapleshop.com", "+14155550123"}
    assert mirrored.profiles == 32, "nobody is deleted"
    child = next(run for run in pipeline.runs(context=mirrored.context) if run.command == "mirror")
    assert (child.parent, child.tally.read, child.tally.unchanged, child.complete) == (report.run, 2, 2, True)
    assert any("2 of the 2 profiles on News" in note and "taken off it" in note for note in report.notes)


def test_who_was_taken_off_by_hand_is_put_on_again(mirrored: ImporterFixture) -> None:
    assert mirrored.run().tally.loaded == 30
    take_off_list(mirrored, ROWS[3][1], ROWS[4][1])
    assert members(mirrored) == emails(ROWS) - {ROWS[3][1], ROWS[4][1]}
    report = mirrored.run()
    assert report.tally.unchanged == 30
    assert members(mirrored) == emails(ROWS)
    assert not any("taken off" in note for note in report.notes)


def test_a_second_run_sends_nothing(mirrored: ImporterFixture) -> None:
    mirrored.run()
    before = mirrored.writes
    assert mirrored.run().tally.unchanged == 30
    assert mirrored.writes == before
    assert [run.command for run in pipeline.runs(context=mirrored.context)] == ["run", "run"]


def test_any_identifier_in_the_source_keeps_its_person(mirrored: ImporterFixture) -> None:
    mirrored.mapping["columns"]["Phone"] = "phone_number"
    rows = [
        ("c1", "Ann@MapleShop.com", "Ann", "+14155550101"),
        ("c2", "", "Bob", "+14155550102"),
        ("c3", "", "Cleo", ""),
        ("c4", "", "", ""),
    ]
    mirrored.write(rows, header=("Id", "Email", "Name", "Phone"))
    put_on_list(
        mirrored,
        {"email": "ann@mapleshop.com"},
        {"phone_number": "+14155550102", "email": "bob@mapleshop.com"},
        {"external_id": "c3", "email": "cleo@mapleshop.com"},
        # Their row is rejected: they are in the source all the same.
        {"external_id": "c4", "email": "dan@mapleshop.com"},
        {"email": "stranger@mapleshop.com"},
    )
    mirrored.mapping["columns"]["Name"] = {"to": "first_name", "required": True}
    report = mirrored.run(force=True)
    assert report.tally.rejected == 1
    assert {email.casefold() for email in members(mirrored)} == {
        "ann@mapleshop.com",
        "bob@mapleshop.com",
        "cleo@mapleshop.com",
        "dan@mapleshop.com",
    }


def test_too_many_strangers_stop_the_run_before_anything_is_sent(mirrored: ImporterFixture) -> None:
    mirrored.run()
    mirrored.write(ROWS[15:])
    writes = mirrored.writes
    report = mirrored.run()
    assert report.exit_code == ExitCode.GUARD
    assert any("15 of the 30 profiles on the list (50.0 %)" in note for note in report.notes)
    assert mirrored.writes == writes
    assert [run.command for run in pipeline.runs(context=mirrored.context)] == ["run", "run"], "nothing is left behind"
    assert mirrored.run(force=True).complete
    assert members(mirrored) == emails(ROWS[15:])


def test_a_pilot_and_a_list_to_be_made_take_nobody_off(mirrored: ImporterFixture) -> None:
    mirrored.run()
    assert mirrored.run(limit=3).complete
    assert members(mirrored) == emails(ROWS)
    mirrored.mapping["load"] |= {"list": "Brand new", "create_list": True}
    assert mirrored.run().complete
    assert members(mirrored, "Brand new") == emails(ROWS)


def test_no_list_to_mirror_is_a_mistake_of_the_mapping(mirrored: ImporterFixture) -> None:
    del mirrored.mapping["load"]["list"]
    with pytest.raises(ConfigError) as error:
        mirrored.run()
    assert error.value.code == "mirror-without-list"
    assert mirrored.writes == 0
    mirrored.mapping["source"] = {"url": "sqlite:///x.db", "query": "SELECT 1", "watermark": "changed"}
    with pytest.raises(ConfigError, match="needs the whole source"):
        mirrored.run()


def test_a_no_to_the_first_write_leaves_nothing_behind(mirrored: ImporterFixture) -> None:
    put_on_list(mirrored, {"email": "stranger@mapleshop.com"})
    mirrored.mapping["guards"] = {"max_missing_percent": 100}
    context = mirrored.process(confirm=lambda _: False)
    with pytest.raises(Exception, match="Nothing was sent"):
        pipeline.run(mirrored.source, mirrored.mapping, context=context)
    assert [(run.command, run.status.value) for run in pipeline.runs(context=mirrored.context)] == [
        ("run", "abandoned")
    ]
    assert members(mirrored) == {"stranger@mapleshop.com"}


def test_plan_says_who_would_leave_and_what_run_then_does(mirrored: ImporterFixture) -> None:
    mirrored.run()
    put_on_list(mirrored, {"email": "stranger@mapleshop.com"})
    take_off_list(mirrored, ROWS[7][1])
    writes = mirrored.writes
    plan = pipeline.plan(mirrored.source, mirrored.mapping, context=mirrored.context)
    assert plan.foresight.leaving == 1
    assert ("list removals", 1) in plan.foresight.requests
    assert [count for _, count in plan.lists] == [1]
    assert any("1 of the 30 profiles on News" in note for note in plan.notes)
    assert mirrored.writes == writes
    assert mirrored.run().complete
    assert members(mirrored) == emails(ROWS)
    assert mirrored.writes == writes + 2, "one list addition, one removal"


def test_a_list_of_many_pages_is_read_to_its_end(mirrored: ImporterFixture) -> None:
    strangers = [{"email": f"stranger{number}@mapleshop.com"} for number in range(230)]
    mirrored.write(1_200)
    mirrored.run()
    put_on_list(mirrored, *strangers)
    mirrored.mapping["guards"] = {"max_missing_percent": 20}
    assert mirrored.run().complete
    assert len(members(mirrored)) == 1_200
    child = next(run for run in pipeline.runs(context=mirrored.context) if run.command == "mirror")
    assert child.tally.read == 230


@pytest.mark.parametrize("part", range(4))
def test_dying_anywhere_ends_with_the_same_list(mirrored: ImporterFixture, part: int) -> None:
    desk = mirrored
    desk.mapping["guards"] = {"max_missing_percent": 100}
    desk.run()
    put_on_list(desk, {"email": "stranger@mapleshop.com"})
    desk.write(ROWS[2:])
    calm = CrashPoints()
    pipeline.run(desk.source, desk.mapping, context=desk.process(calm), verify="none")
    assert members(desk) == emails(ROWS[2:])
    for point in walk(calm.passed, part=part, parts=4):
        desk.write(ROWS)
        assert desk.run().complete
        put_on_list(desk, {"email": "stranger@mapleshop.com"})
        desk.write(ROWS[2:])
        with pytest.raises(CrashError):
            pipeline.run(
                desk.source, desk.mapping, context=desk.process(CrashPoints(frozenset({point}))), verify="none"
            )
        with desk.context.open_store() as store:
            unfinished = store.runs.latest(UNFINISHED, commands=["run"]) is not None
        if unfinished:
            assert pipeline.resume(context=desk.process()).complete
        elif members(desk) != emails(ROWS[2:]):
            assert desk.run().complete
        assert members(desk) == emails(ROWS[2:]), f"after a crash at {point}"
        with desk.context.open_store() as store:
            staging = [
                run for run in store.runs.newest(200) if run.status.value == "staging" and run.command == "mirror"
            ]
            parents = {run.id for run in store.runs.newest(200)}
        assert not [run for run in staging if run.parent not in parents]


@settings(
    max_examples=examples(4),
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    there=st.sets(st.integers(0, 11), max_size=12),
    rows=st.sets(st.integers(0, 11), min_size=1, max_size=12),
    again=st.sets(st.integers(0, 11), min_size=1, max_size=12),
)
def test_the_list_equals_the_source_whatever_was_on_it(
    tmp_path_factory: pytest.TempPathFactory, there: set[int], rows: set[int], again: set[int]
) -> None:
    desk = ImporterFixture(tmp_path_factory.mktemp("desk"))
    desk.mapping["load"] |= {"missing": "mirror", "only_changed": True}
    desk.mapping["guards"] = {"max_missing_percent": 100}
    if there:
        put_on_list(desk, *({"email": ROWS[number][1]} for number in there))
    for wanted in (rows, again):
        desk.write([ROWS[number] for number in sorted(wanted)])
        report = desk.run()
        assert report.exit_code == ExitCode.OK
        assert members(desk) == {ROWS[number][1] for number in wanted}
        assert (report.tally.unknown, report.tally.failed) == (0, 0)
