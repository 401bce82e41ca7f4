"""What a set revision does not know is refused by name before anything is sent; how old it is, is said."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from etl import pipeline
from etl.errors import ConfigError, ExitCode
from etl.klaviyo import Feature, RevisionAge, check_features, revision_status
from tests.support.importer import ImporterFixture
from tests.support.shop import Shop

QUARTERS = [f"{year}-{month}-15" for year in (2024, 2025, 2026) for month in ("01", "04", "07", "10")]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Shop]:
    made = Shop(tmp_path, monkeypatch, capsys)
    yield made
    made.close()


@pytest.mark.parametrize("feature", list(Feature))
def test_a_feature_is_refused_by_name_up_to_the_revision_that_knows_it(feature: Feature) -> None:
    for revision in QUARTERS:
        if revision >= feature.since:
            check_features(revision, [feature])
            continue
        with pytest.raises(ConfigError) as caught:
            check_features(revision, [feature], option="[some] option")
        assert caught.value.code == "revision-lacks"
        assert feature.title in caught.value.message
        assert feature.since in caught.value.message
        assert "[some] option" in caught.value.message
        assert "KLAVIYO_REVISION" in caught.value.hint


def test_a_beta_knows_what_is_stable_at_its_date_and_its_own() -> None:
    assert Feature.BACKFILL.known_to("2026-07-15.pre")
    assert Feature.BILLING_USAGE.known_to("2026-07-15.pre")
    assert not Feature.BILLING_USAGE.known_to("2026-07-15")
    assert not Feature.CLICK_TRACKING.known_to("2026-07-15.pre")


@pytest.mark.parametrize("option", ["--double-opt-in", "--single-opt-in"])
@pytest.mark.parametrize("revision", ["2025-01-15", "2025-04-15", "2025-07-15"])
def test_the_opt_in_process_of_a_new_list_is_not_asked_of_a_revision_without_it(
    shop: Shop, revision: str, option: str
) -> None:
    shop.set(KLAVIYO_REVISION=revision)
    said = shop.run("lists", "create", "Insiders", option)
    assert said.code == ExitCode.USAGE
    assert "opt_in_process" in said.err
    assert "2025-10-15" in said.err
    assert shop.writes == {}
    assert shop.run("lists", "create", "Insiders").code == ExitCode.OK  # the account's default needs no such field
    shop.set(KLAVIYO_REVISION="2025-10-15")
    assert shop.run("lists", "create", "Others", option).code == ExitCode.OK


@pytest.mark.parametrize("command", ["run", "plan", "doctor", "lists"])
def test_a_revision_from_before_our_media_type_is_refused_before_the_first_request(shop: Shop, command: str) -> None:
    shop.write("people.csv", "Email\nann@mapleshop.com\n")
    shop.write("people.toml", '[columns]\n"Email" = "email"\n')
    shop.set(KLAVIYO_REVISION="2024-07-15")
    arguments = {"doctor": [], "lists": ["find"]}.get(command, ["people.csv"])
    said = shop.run(command, *arguments)
    assert said.code != ExitCode.OK
    assert "2024-07-15" in said.everything
    assert "vnd.api+json" in said.everything
    assert shop.server.sandbox.requests == {}


@pytest.mark.parametrize("revision", ["2026-13-15", "2026-02-30", "0000-00-00", "2026-07-15.beta", "latest"])
def test_what_is_no_day_is_no_revision(shop: Shop, revision: str) -> None:
    shop.set(KLAVIYO_REVISION=revision)
    said = shop.run("doctor")
    assert said.code == ExitCode.USAGE
    assert "KLAVIYO_REVISION" in said.err


@pytest.mark.parametrize(
    ("today", "age", "until"),
    [
        (date(2024, 10, 14), RevisionAge.FUTURE, date(2024, 10, 15)),
        (date(2024, 10, 15), RevisionAge.STABLE, date(2025, 10, 15)),
        (date(2025, 8, 15), RevisionAge.STABLE, date(2025, 10, 15)),
        (date(2025, 8, 16), RevisionAge.ENDING, date(2025, 10, 15)),
        (date(2025, 10, 15), RevisionAge.DEPRECATED, date(2026, 10, 15)),
        (date(2026, 10, 14), RevisionAge.DEPRECATED, date(2026, 10, 15)),
        (date(2026, 10, 15), RevisionAge.RETIRED, date(2026, 10, 15)),
    ],
)
def test_a_revision_ages_by_klaviyo_s_policy(today: date, age: RevisionAge, until: date) -> None:
    """2024-10-15 was supported until 2026-10-15 (reference 1.7)."""
    for revision in ("2024-10-15", "2024-10-15.pre"):
        found = revision_status(revision, today)
        assert (found.age, found.until, found.beta) == (age, until, revision.endswith(".pre"))


@pytest.mark.parametrize(
    ("revision", "words"),
    [
        ("2025-07-15", "deprecated"),
        ("2030-01-15", "future"),
        ("2026-07-15.pre", "beta"),
        ("2026-10-15", None),
    ],
)
def test_run_and_plan_and_doctor_say_how_the_revision_stands(
    desk: ImporterFixture, revision: str, words: str | None
) -> None:
    """The desk's clock stands at January 2027."""
    told: list[str] = []
    context = desk.process(announce=told.append)
    context = replace(context, settings=replace(context.settings, revision=revision))
    desk.write(1)
    plan = pipeline.plan(desk.source, desk.mapping, context=context)
    pipeline.run(desk.source, desk.mapping, context=context, verify="none")
    (finding,) = [one for one in pipeline.doctor(context=context) if one.name == "revision"]
    noted = [note for note in plan.notes if revision in note]
    announced = [sentence for sentence in told if revision in sentence]
    if words is None:
        assert not noted
        assert not announced
        assert finding.ok
    else:
        assert words in noted[0]
        assert words in announced[0]
        assert words in finding.message
        assert not finding.ok


def test_a_retired_revision_is_said_and_then_klaviyo_s_own_410(shop: Shop) -> None:
    shop.write("people.csv", "Email\nann@mapleshop.com\n")
    shop.write("people.toml", '[columns]\n"Email" = "email"\n')
    shop.set(KLAVIYO_REVISION="2024-10-15")
    said = shop.run("run", "people.csv")
    assert said.code == ExitCode.NOT_STARTED
    assert "retired" in said.err
    assert "revision-retired" in said.err
    assert shop.writes == {}
