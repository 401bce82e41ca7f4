"""An event whose time cannot be is taken as happened when it was received, and marked; it breaks nothing."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from etl.cli import _main
from etl.config import Settings
from etl.model import Channel
from etl.pipeline import Context
from etl.state import OptOutEvent, OptOutKind
from etl.state.db import schema
from etl.state.db.engine import open_engine, parse_url
from tests.support.serving import ACCOUNT, Serving, event, tell

OUT, BACK = "unsubscribed_from_email_marketing", "subscribed_to_email_marketing"
NEVER = "http://127.0.0.1:9"

ODD: dict[str, Any] = {
    "milliseconds": 1_776_120_600_000,
    "microseconds": 1_776_120_600_000_000,
    "null": None,
    "zero": 0,
    "negative": -1_776_120_600,
    "true": True,
    "huge": 10**19,
    "float": 1.7e308,
    "text": "yesterday",
    "nested": {"at": [1_776_120_600]},
    "list": [1_776_120_600],
    "year 99999": 3_093_527_980_800,
    "in a year": 4_000_000_000,
    "before Klaviyo": 1_000_000_000,
}


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(Settings(private_key=None, base_url=NEVER, state=str(tmp_path / "state.db")), output=tmp_path)


def exported(context: Context, *options: str) -> list[dict[str, str]]:
    """Return what the command line exports."""
    out = context.output / "export.csv"
    out.unlink(missing_ok=True)
    assert _main(["suppressions", "--state", context.settings.state, "--to", str(out), *options]) == 0
    if not out.exists():
        return []
    with out.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def addresses(context: Context) -> set[str]:
    return {row["address"] for row in exported(context)}


PEOPLE = [f"person{number}@mapleshop.com" for number in range(len(ODD))]


@pytest.mark.parametrize("where", ["timestamp", "datetime"])
def test_an_opt_out_at_an_odd_time_holds(context: Context, where: str) -> None:
    with Serving(context, token=None) as client:
        for email, odd in zip(PEOPLE, ODD.values(), strict=True):
            attributes = {"timestamp": None, where: odd}
            assert tell(client, event(OUT, email, email, **attributes)).status_code == 200, odd
        page = client.get("/metrics").text
    standing, logged = exported(context), exported(context, "--log")
    assert {row["address"] for row in standing} == set(PEOPLE)
    assert {row["time"] for row in [*standing, *logged]} == {"received"}
    assert all(row["happened_at"] == row["received_at"] != "" for row in logged)
    assert f"klaviyo_etl_notices_untimed_total {len(ODD)}.0" in page


def test_an_opt_in_at_an_odd_time_takes_back_what_was_told_before_and_nothing_later(context: Context) -> None:
    with Serving(context, token=None) as client:
        for email, odd in zip(PEOPLE, ODD.values(), strict=True):
            tell(client, event(OUT, f"1 {email}", email, timestamp=1_776_120_600))
            tell(client, event(BACK, f"2 {email}", email, timestamp=odd))
        assert addresses(context) == set()
        tell(client, *(event(OUT, f"3 {email}", email, timestamp=1_776_120_700) for email in PEOPLE))
        assert addresses(context) == set(PEOPLE)
        tell(client, *(event(BACK, f"4 {email}", email, timestamp=1_776_120_701) for email in PEOPLE))
        assert addresses(context) == set()


def test_of_one_delivery_the_opt_out_wins_over_an_opt_in_without_a_time(context: Context) -> None:
    with Serving(context, token=None) as client:
        tell(client, event(OUT, "e1"), event(BACK, "e2", timestamp=None))
    assert addresses(context) == {"ann@mapleshop.com"}


def test_a_time_in_milliseconds_beside_a_good_one_costs_nothing(context: Context) -> None:
    with Serving(context, token=None) as client:
        tell(client, event(OUT, timestamp=1_776_120_600_000, datetime="2026-04-13T22:50:00+00:00"))
    (logged,) = exported(context, "--log")
    assert (logged["happened_at"], logged["time"]) == ("2026-04-13T22:50:00+00:00", "told")


@pytest.mark.parametrize("stored", [1.776e12, -1.0, 1e300, 9e15, float("inf"), 0.0])
def test_a_log_of_today_with_odd_times_is_survived(context: Context, stored: float) -> None:
    """Written by the version before, straight into the table."""
    with context.open_store():
        pass
    engine = open_engine(parse_url(context.settings.state), create=False)
    row = {"account": ACCOUNT, "channel": "email", "email": "ann@mapleshop.com", "received_at": 1_776_200_000.0}
    rows = [
        {**row, "event_id": "e1", "topic": OUT, "kind": "unsubscribed", "happened_at": 1_776_120_600.0},
        {**row, "event_id": "e2", "topic": BACK, "kind": "subscribed", "happened_at": stored},
        {**row, "event_id": "e3", "topic": OUT, "kind": "unsubscribed", "happened_at": 1_776_120_700.0},
    ]
    with engine.begin() as connection:
        connection.exec_driver_sql("BEGIN")
        connection.execute(sa.insert(schema.notices), rows)
        connection.exec_driver_sql("COMMIT")
    engine.dispose()
    assert addresses(context) == {"ann@mapleshop.com"}
    assert [row["time"] for row in exported(context, "--log")] == ["told", "received", "told"]


def test_both_back_ends_judge_alike(open_store: Any) -> None:
    store = open_store()
    common: dict[str, Any] = {
        "topic": "t",
        "channel": Channel.EMAIL,
        "email": "a@b.com",
        "phone_number": None,
        "profile_id": None,
    }
    for number, (kind, at, timed) in enumerate(
        [(OptOutKind.UNSUBSCRIBED, 1.7e9, True), (OptOutKind.SUBSCRIBED, 1.75e9, False)]
    ):
        told = OptOutEvent(f"e{number}", kind=kind, happened_at=at, received_at=1.75e9, timed=timed, **common)
        assert store.opt_outs.append(ACCOUNT, [told]) == 1
    assert store.opt_outs.among(ACCOUNT, Channel.EMAIL, ["a@b.com"]) == {}
    later = OptOutEvent("e9", kind=OptOutKind.SPAM, happened_at=1.7e9, received_at=1.75e9 + 1, **common)
    assert store.opt_outs.append(ACCOUNT, [later, later]) == 1
    assert store.opt_outs.has(ACCOUNT, ["e0", "e1", "e9", "e9"])
    assert not store.opt_outs.has(ACCOUNT, ["e0", "e2"])
    assert store.opt_outs.among(ACCOUNT, Channel.EMAIL, ["a@b.com"]) == {"a@b.com": OptOutKind.SPAM}
    (standing,) = store.opt_outs.current(ACCOUNT)
    assert (standing.since, standing.timed) == (1.7e9, True)
