"""klaviyo-etl events at the command line, over HTTP: what once went wrong, and what plan foretells."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from etl.sandbox import Switches
from tests.support.shop import Shop

WEBINAR = """[event]
metric = "Attended Webinar"
[columns]
"Webinar" = "unique_id"
"Email" = "email"
"When" = "time"
"""
ORDERS = """[event]
metric = "Placed Order"
group_by_order = true
value = "sum"
currency = "USD"
[columns]
"Order" = "order_id"
"Email" = "email"
"Created" = "time"
"Total" = { to = "value", decimal = "." }
"SKU" = "item.SKU"
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Shop]:
    shop = Shop(tmp_path, monkeypatch, capsys, switches=Switches(metric_twin="Shopify"))
    shop.write("webinar.toml", WEBINAR)
    names = ("ann", "bob", "eve")
    people = "".join(f"webinar-2024-05,{name}@mapleshop.com,2024-05-02T18:00:00+00:00\n" for name in names)
    shop.write("webinar.csv", "Webinar,Email,When\n" + people)
    shop.write("orders.toml", ORDERS)
    shop.write(
        "orders.csv",
        "Order,Email,Created,Total,SKU\n"
        "1001,ann@mapleshop.com,2024-05-02T18:00:00+00:00,10.00,A\n"
        "1001,bob@mapleshop.com,2024-05-03T18:00:00+00:00,99.00,B\n",
    )
    yield shop
    shop.close()


def events(shop: Shop) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in shop.server.sandbox.dump_events().splitlines() if line]


def report(shop: Shop, *arguments: str) -> dict[str, Any]:
    said = shop.run("events", *arguments, "--format", "json")
    assert said.code == 0, said.everything
    return dict(orjson.loads(said.out))


def tally(document: dict[str, Any]) -> dict[str, int]:
    return {name: count for name, count in document["tally"].items() if count}


def test_a_webinar_and_an_order_number_of_two_people(shop: Shop) -> None:
    assert tally(report(shop, "webinar.csv", "--yes")) == {"read": 3, "loaded": 3}
    assert tally(report(shop, "webinar.csv", "--yes")) == {"read": 3, "unchanged": 3}
    done = report(shop, "orders.csv", "--yes")
    assert tally(done) == {"read": 2, "loaded": 2}
    assert [(one["read"], one["loaded"]) for one in done["revenue"]] == [("109.00", "109.00")]
    amounts = {
        one["profile"]["email"] if "profile" in one else one["email"]: one["value"]
        for one in events(shop)
        if one["value"]
    }
    assert {who: float(value) for who, value in amounts.items()} == {
        "ann@mapleshop.com": 10.0,
        "bob@mapleshop.com": 99.0,
    }
    assert shop.run("verify").code == 0


def test_plan_foretells_and_keeps_nothing(shop: Shop) -> None:
    assert tally(report(shop, "orders.csv", "--yes")) == {"read": 2, "loaded": 2}
    shop.write(
        "orders.csv",
        (shop.folder / "orders.csv").read_text() + "1002,eve@mapleshop.com,2024-05-03T18:00:00+00:00,7.00,C\n",
    )
    before, runs = dict(shop.writes), shop.run("runs").out
    foretold = report(shop, "orders.csv", "--plan")
    assert tally(foretold) == {"read": 3, "unchanged": 2, "pending": 1}
    assert any("another metric 'Placed Order', of Shopify" in note for note in foretold["notes"])
    assert shop.writes == before
    assert shop.run("runs").out == runs
    done = report(shop, "orders.csv", "--yes")
    assert tally(done) == {"read": 3, "unchanged": 2, "loaded": 1}
    assert any("another metric 'Placed Order', of Shopify" in note for note in done["notes"])


def test_a_revision_without_backfill_is_refused_by_name(shop: Shop) -> None:
    shop.set(KLAVIYO_REVISION="2026-04-15")
    said = shop.run("events", "orders.csv", "--yes")
    assert said.code == 2, said.everything
    assert "backfill" in said.err
    assert "KLAVIYO_REVISION" in said.err
    assert shop.run("events", "orders.csv", "--plan").code == 2
    assert not shop.writes
    assert shop.run("events", "orders.csv", "--yes", "--fire-flows").code == 0
