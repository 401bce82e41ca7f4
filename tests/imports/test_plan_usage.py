"""New profiles against the plan: said by plan and doctor, a guard of run; where it is not known, nothing breaks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from etl.errors import ExitCode
from etl.sandbox import SANDBOX_KEY
from etl.sandbox.protocol.settings import SCOPES, AccountSettings
from tests.support.shop import Shop

MAPPING = '[columns]\n"Email" = "email"\n[load]\nsmall_run = 0\n'
GUARD = "[guards]\nmax_plan_percent = 90\n"


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Any]:
    shops: list[Shop] = []

    def open_shop(*, without: str = "", **settings: Any) -> Shop:
        keys = {SANDBOX_KEY: SCOPES - {without}}
        shop = Shop(tmp_path, monkeypatch, capsys, account=AccountSettings(plan_profiles=10), keys=keys, **settings)
        shops.append(shop)
        shop.write("people.csv", "Email\n" + "".join(f"p{number}@mapleshop.com\n" for number in range(8)))
        shop.write("people.toml", MAPPING)
        for number in range(4):
            shop.profile(email=f"p{number}@mapleshop.com")
        return shop

    yield open_shop
    for shop in shops:
        shop.close()


def test_plan_and_doctor_say_how_full_the_plan_is(opened: Any) -> None:
    shop = opened()
    said = shop.run("plan", "people.csv")
    assert said.code == ExitCode.OK
    assert "4 of 10 profiles of the plan are used (40 %); 4 new ones would make it 80 %" in said.out
    assert "4 of 10 profiles of the plan are used (40 %)" in shop.run("doctor").out


@pytest.mark.parametrize(("percent", "stops"), [(79, True), (80, False)])
def test_the_guard_stops_before_anything_is_sent(opened: Any, percent: int, *, stops: bool) -> None:
    shop = opened()
    shop.write("people.toml", f"{MAPPING}[guards]\nmax_plan_percent = {percent}\n")
    writes = dict(shop.writes)
    foreseen = shop.run("plan", "people.csv")
    assert (foreseen.code == ExitCode.GUARD) == stops
    said = shop.run("run", "people.csv", "--yes")
    if stops:
        assert said.code == ExitCode.GUARD
        assert "max_plan_percent is 79" in said.out + foreseen.out
        assert dict(shop.writes) == writes
        assert shop.run("run", "people.csv", "--yes", "--force").code == ExitCode.OK
    assert len(shop.profiles()) == 8
    # Nobody is new now, so the plan is no fuller, however full it is.
    shop.write("people.toml", f"{MAPPING}[guards]\nmax_plan_percent = 10\n")
    assert shop.run("run", "people.csv", "--yes").code == ExitCode.OK


@pytest.mark.parametrize("why", ["scope", "revision"])
def test_what_is_not_known_is_said_and_only_the_guard_minds(
    opened: Any, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    shop = opened(without="usage:read" if why == "scope" else "")
    if why == "revision":
        monkeypatch.setenv("KLAVIYO_REVISION", "2026-07-15")
    words = "usage:read" if why == "scope" else "billing-usage"
    plan, doctor = shop.run("plan", "people.csv"), shop.run("doctor")
    assert plan.code == ExitCode.OK
    assert "is not known" in plan.out
    assert words in plan.out
    assert words in doctor.out
    shop.write("people.toml", MAPPING + GUARD)
    before = shop.profiles()
    assert shop.run("run", "people.csv", "--yes").code == ExitCode.GUARD
    assert shop.profiles() == before
    shop.write("people.toml", MAPPING)
    assert shop.run("run", "people.csv", "--yes").code == ExitCode.OK


@pytest.mark.parametrize(("scope", "feature"), [("lists:read", "finding lists"), ("metrics:read", "proving events")])
def test_doctor_names_the_scope_that_is_missing_and_what_needs_it(opened: Any, scope: str, feature: str) -> None:
    said = opened(without=scope).run("doctor")
    assert said.code == ExitCode.NOT_STARTED
    assert f"the key lacks {scope}" in said.out
    assert feature in said.out
