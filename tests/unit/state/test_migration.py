"""A whole migration: five thousand customers with consent and opt-outs, then twenty thousand orders. Truth beforehand.

The truth comes from the seed, never from the importer: who consents to what since when, who has opted out, who must not
be mailed, and what each currency adds up to.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from etl import pipeline
from etl.report import Report
from tests.support.effort import FULL
from tests.support.importer import ImporterFixture

CUSTOMERS = 5_000 if FULL else 600
ORDERS = 20_000 if FULL else 2_000
PEOPLE = ("Id", "Email", "Phone", "First name", "Newsletter", "Newsletter since", "SMS", "SMS since")
MAPPING = {
    "columns": {
        "Id": "external_id",
        "Email": "email",
        "Phone": "phone_number",
        "First name": "first_name",
        "Newsletter": "consent.email",
        "Newsletter since": "consent.email_at",
        "SMS": "consent.sms",
        "SMS since": "consent.sms_at",
    },
    "consent": {"source": "CRM"},
    "load": {"list": "News", "only_changed": True},
}
ORDER_LINES = ("Order", "Email", "Time", "Total", "Currency", "SKU", "Quantity")
EVENTS = {
    "event": {"metric": "Placed Order", "group_by_order": True},
    "columns": {
        "Order": "order_id",
        "Email": "email",
        "Time": "time",
        "Total": "value",
        "Currency": "currency",
        "SKU": "item.SKU",
        "Quantity": {"to": "item.Quantity", "type": "integer"},
    },
}


@dataclass
class Truth:
    """What Klaviyo has to hold in the end."""

    consents: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    suppressed: set[str] = field(default_factory=set)
    left: set[str] = field(default_factory=set)
    revenue: dict[str, Decimal] = field(default_factory=dict)
    orders: Counter[str] = field(default_factory=Counter)


def made(truth: Truth) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    chance = random.Random(2026)
    people: list[tuple[str, ...]] = []
    for number in range(CUSTOMERS):
        who, mail = f"c{number}", f"person{number}@mapleshop.com"
        day = f"20{chance.randrange(15, 25)}-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}"
        word = chance.choices(["subscribed", "yes", "unsubscribed", "cleaned", "no", ""], [50, 10, 10, 3, 15, 12])[0]
        text = chance.choices(["opt-in", "opt-out", "never"], [20, 5, 75])[0]
        if word in {"subscribed", "yes"}:
            truth.consents[who, "email"] = ("SUBSCRIBED", day)
        elif word == "unsubscribed":
            truth.consents[who, "email"] = ("UNSUBSCRIBED", "")
        elif word == "cleaned":
            truth.suppressed.add(who)
        if text != "never":
            truth.consents[who, "sms"] = ("SUBSCRIBED", day) if text == "opt-in" else ("UNSUBSCRIBED", "")
        people.append((who, mail, f"+1415{2_000_000 + number}", "Ann", word, day, text, day))
    lines: list[tuple[str, ...]] = []
    for number in range(ORDERS):
        buyer = chance.randrange(CUSTOMERS)
        amount = Decimal(chance.randrange(100, 50_000)) / 100
        currency = chance.choice(["USD", "EUR"])
        truth.revenue[currency] = truth.revenue.get(currency, Decimal(0)) + amount
        truth.orders[f"person{buyer}@mapleshop.com"] += 1
        moment = f"2024-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}T{chance.randrange(24):02}:00:00Z"
        for item in range(chance.choices([1, 2, 3], [70, 20, 10])[0]):
            total = str(amount) if item == 0 else ""
            lines.append((f"o{number}", f"person{buyer}@mapleshop.com", moment, total, currency, f"S{item}", "1"))
    return people, lines


def rows_of(dump: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in dump.splitlines() if line]


def check_account(desk: ImporterFixture, truth: Truth) -> None:
    consents = {
        (row["external_id"], row["channel"].partition(".")[0]): (row["consent"], row["at"][:10])
        for row in rows_of(desk.sandbox.dump_consents())
        if row["consent"] != "NEVER_SUBSCRIBED"
    }
    expected = dict(truth.consents) | {(who, "email"): ("UNSUBSCRIBED", "") for who in truth.left}
    assert {key: state for key, (state, _) in consents.items()} == {key: state for key, (state, _) in expected.items()}
    wrong = [key for key, (state, day) in expected.items() if state == "SUBSCRIBED" and consents[key][1] != day]
    assert not wrong, f"{len(wrong)} consents have another date"
    by_hand = {
        row["external_id"] for row in rows_of(desk.sandbox.dump_suppressions()) if row["reason"] == "USER_SUPPRESSED"
    }
    assert by_hand == truth.suppressed
    profiles = rows_of(desk.sandbox.dump())
    assert len(profiles) == CUSTOMERS
    assert all(profile["lists"] == ["News"] for profile in profiles)
    events = rows_of(desk.sandbox.dump_events())
    assert len(events) == ORDERS
    assert Counter(event["email"] for event in events) == truth.orders
    sums: dict[str, Decimal] = {}
    for event in events:
        sums[event["value_currency"]] = sums.get(event["value_currency"], Decimal(0)) + Decimal(str(event["value"]))
    assert sums == truth.revenue
    messages = {row["kind"] for row in rows_of(desk.sandbox.dump_messages())}
    assert messages <= {"added_to_list"}, "nobody was asked to confirm, welcomed, or sent a flow of an order"


def outcomes(report: Report) -> dict[str, int]:
    return {name: count for name, count in report.tally.parts if count}


@pytest.mark.slow
def test_a_migration_ends_as_the_truth_has_it_and_a_second_one_changes_nothing(tmp_path: Path) -> None:
    truth = Truth()
    desk = ImporterFixture(tmp_path, processing_seconds=0.2)
    people, lines = made(truth)
    # Some opted out in Klaviyo before: their consent in the CRM is older, and does not count.
    leaving = [
        who for (who, channel), (state, _) in truth.consents.items() if (channel, state) == ("email", "SUBSCRIBED")
    ]
    truth.left = set(leaving[:50])
    for who in truth.left:
        desk.sandbox.simulate("unsubscribe", email=f"person{who[1:]}@mapleshop.com")
    desk.write(people, PEOPLE)
    orders = tmp_path / "orders.csv"
    source, desk.source = desk.source, orders
    desk.write(lines, ORDER_LINES)
    desk.source = source

    profiles = pipeline.run(source, MAPPING, context=desk.context, verify="none")
    assert outcomes(profiles) == {"loaded": CUSTOMERS}
    assert {group.code: group.count for group in profiles.issues} == {"consent-withheld": 50}
    history = pipeline.events(orders, EVENTS, context=desk.context)
    assert outcomes(history) == {"loaded": ORDERS, "duplicate": len(lines) - ORDERS}
    assert {one.currency: Decimal(one.loaded) for one in history.revenue} == truth.revenue
    check_account(desk, truth)

    sent = desk.writes
    assert outcomes(pipeline.run(source, MAPPING, context=desk.context, verify="none")) == {"unchanged": CUSTOMERS}
    again = pipeline.events(orders, EVENTS, context=desk.context)
    assert outcomes(again) == {"unchanged": ORDERS, "duplicate": len(lines) - ORDERS}
    assert desk.writes == sent, "a second migration sends nothing"
    check_account(desk, truth)
