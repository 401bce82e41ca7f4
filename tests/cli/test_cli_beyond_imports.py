"""The commands around an import, over real HTTP: lists, one profile, one event, suppressions, webhooks."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from etl.cli import _main
from etl.errors import ExitCode
from etl.model import Channel
from etl.sandbox import SANDBOX_KEY, SandboxServer, SandboxSettings
from etl.state import OptOutEvent, OptOutKind, Store

ANN = ("--set", "email=ann@mapleshop.com")


@pytest.fixture
def server() -> Iterator[SandboxServer]:
    settings = SandboxSettings(
        lists=("Newsletter",), double_opt_in_lists=("Careful",), limits="off", processing_seconds=0.0, job_seconds=0.0
    )
    with SandboxServer(settings) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: SandboxServer) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("KLAVIYO_"):
            monkeypatch.delenv(name)
    (tmp_path / ".env").write_text(f"KLAVIYO_PRIVATE_KEY={SANDBOX_KEY}\n", encoding="utf-8")
    monkeypatch.setenv("KLAVIYO_BASE_URL", server.url)
    return tmp_path


@pytest.fixture
def say(folder: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command that succeeds; return what it printed."""

    def run(*arguments: str, code: ExitCode = ExitCode.OK) -> str:
        capsys.readouterr()
        assert _main([*arguments, "--yes"]) == code, capsys.readouterr().err
        said = capsys.readouterr()
        return said.out if code == ExitCode.OK else said.err

    return run


def profiles(server: SandboxServer) -> list[dict[str, Any]]:
    return [json.loads(line) for line in server.sandbox.dump().splitlines() if line]


def test_lists_are_found_made_and_exported(say: Any, folder: Path) -> None:
    assert "double opt in" in say("lists", "find", "care")
    assert "Newsletter" not in say("lists", "find", "care")
    assert say("lists", "create", "VIP").endswith("created\n")
    assert say("lists", "create", "VIP").endswith("is there already\n")
    say("profile", "upsert", *ANN, "--set", "first_name=Ann", "--list", "VIP")
    assert "profiles  1" in say("lists", "show", "VIP")
    say("lists", "members", "VIP", "--to", "vip.csv")
    header, row = (folder / "vip.csv").read_text(encoding="utf-8").splitlines()
    assert header.startswith("id,email,phone_number")
    assert ",ann@mapleshop.com,,,Ann,," in row
    assert (folder / "vip.csv").stat().st_mode & 0o777 == 0o600


def test_one_profile_is_written_read_changed_and_deleted(say: Any, server: SandboxServer) -> None:
    fields = ("--set", "phone_number=(415) 555-2671", "--set", "properties.seats=3", "--set", "location.city=Lyon")
    first = say("profile", "upsert", *ANN, *fields, "--country", "US", "--subscribe", "email", "--list", "Newsletter")
    assert "created" in first
    assert "email consent: sent" in first
    assert "updated" in say("profile", "upsert", *ANN)
    (person,) = profiles(server)
    assert (person["phone_number"], person["properties"], person["location"]["city"]) == (
        "+14155552671", {"seats": 3}, "Lyon",
    )  # fmt: skip
    told = json.loads(say("profile", "get", "ann@mapleshop.com"))
    assert told["subscriptions"]["email"]["marketing"]["consent"] == "SUBSCRIBED"
    say("profile", "update", "ann@mapleshop.com", "--set", "first_name=Ann", "--clear", "phone_number")
    (person,) = profiles(server)
    assert (person["first_name"], person["phone_number"]) == ("Ann", None)
    assert "accepted" in say("profile", "delete-request", "ann@mapleshop.com")
    assert profiles(server) == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("profile", "upsert", "--set", "email=ann@"), "profile-invalid"),
        (("profile", "upsert", "--set", "email"), "setting-malformed"),
        (("profile", "upsert", *ANN, "--list", "Newsleter"), "list-unknown"),
        (("profile", "get", "nobody@mapleshop.com"), "profile-not-found"),
        (("profile", "update", "nobody@mapleshop.com"), "nothing-to-do"),
        (("event", "track", "X", "--profile", "email=ann@mapleshop.com", "--value", "much"), "profile-invalid"),
        (("event", "track", "X", "--profile", "email=ann@mapleshop.com", "--time", "noon"), "profile-invalid"),
        (("serve",), "secret-missing"),
    ],
)
def test_mistakes_are_told(say: Any, server: SandboxServer, arguments: tuple[str, ...], told: str) -> None:
    assert f"[{told}]" in say(*arguments, code=ExitCode.USAGE)
    assert profiles(server) == []


def test_one_event_is_tracked_once(say: Any, server: SandboxServer) -> None:
    order = (
        *("event", "track", "Placed Order", "--profile", "email=ann@mapleshop.com", "--value", "19.90"),
        *("--currency", "EUR", "--order-id", "77", "--set", "Items=2"),
    )
    assert "Placed Order:77" in say(*order)
    say(*order)
    (event,) = [json.loads(line) for line in server.sandbox.dump_events().splitlines() if line]
    assert "19.9" in json.dumps(event)
    assert "EUR" in json.dumps(event)


def test_a_file_of_addresses_is_suppressed_and_released(say: Any, server: SandboxServer, folder: Path) -> None:
    addresses = [f"person{number}@mapleshop.com" for number in range(230)]
    (folder / "out.csv").write_text("Name,E-Mail\n" + "".join(f"x,{each}\n" for each in addresses) + "y,nobody@\n")
    say("profile", "upsert", "--set", "email=person1@mapleshop.com")
    assert _main(["suppress", "out.csv", "--yes"]) == ExitCode.ROWS_NOT_LOADED
    assert server.sandbox.dump_suppressions().count(b"USER_SUPPRESSED") == 230
    text = say("report")
    assert "230  loaded" in text
    assert "1  rejected" in text
    before = dict(server.sandbox.requests)
    assert _main(["suppress", "out.csv", "--yes"]) == ExitCode.ROWS_NOT_LOADED
    assert "230 already" in say("report")
    posts = [name for name in server.sandbox.requests if name.startswith("POST")]
    assert {name: server.sandbox.requests[name] for name in posts} == {name: before[name] for name in posts}
    server.sandbox.simulate("bounce", email="person7@mapleshop.com")
    assert _main(["suppress", "out.csv", "--undo", "--yes", "--column", "E-Mail"]) == ExitCode.ROWS_NOT_LOADED
    assert server.sandbox.dump_suppressions().count(b"USER_SUPPRESSED") == 0
    assert server.sandbox.dump_suppressions().count(b"HARD_BOUNCE") == 1


def test_a_file_whose_addresses_cannot_be_told_is_asked_about(say: Any, folder: Path) -> None:
    (folder / "out.csv").write_text("A,B\nx,y\n", encoding="utf-8")
    assert "--column" in say("suppress", "out.csv", code=ExitCode.USAGE)


def test_what_webhooks_told_is_shown(say: Any, folder: Path) -> None:
    assert say("suppressions") == "" if Path("klaviyo-etl.db").exists() else True
    with Store.open(folder / "klaviyo-etl.db", clock=_Clock()) as store:
        told = OptOutEvent("e1", "topic", OptOutKind.SPAM, Channel.EMAIL, "Ann@MapleShop.com", None, "P1", 1.0, 1.0)
        store.opt_outs.append("SBX001", [told])
    assert (
        say("suppressions").splitlines()[1] == "SBX001,email,ann@mapleshop.com,spam,1970-01-01T00:00:01+00:00,received"
    )
    say("suppressions", "--log", "--to", "log.csv")
    assert ",topic,e1" in (folder / "log.csv").read_text(encoding="utf-8")
    assert (folder / "log.csv").stat().st_mode & 0o777 == 0o600


class _Clock:
    def now(self) -> float:
        return 2.0

    def monotonic(self) -> float:
        return 2.0

    def sleep(self, seconds: float) -> None:
        raise AssertionError(seconds)


def test_webhooks_are_made_listed_and_deleted(say: Any) -> None:
    made = say("webhooks", "create", "https://hooks.example.com/webhooks/klaviyo")
    assert "KLAVIYO_WEBHOOK_SECRET=" in made
    secret = made.split("KLAVIYO_WEBHOOK_SECRET=")[1].strip()
    listed = say("webhooks", "list")
    assert "unsubscribed_from_email_marketing" in listed
    assert secret not in listed
    assert say("webhooks", "delete", made.split()[0]) == "deleted\n"
    assert "no webhook" in say("webhooks", "list")
