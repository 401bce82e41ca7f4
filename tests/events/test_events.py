"""Events from rows to Klaviyo and back: one event an order, revenue that ties, nothing twice, whatever dies."""

from __future__ import annotations

import contextlib
import csv
import math
import os
import random
import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl import pipeline
from etl.config import parse_event_mapping
from etl.errors import ConfigError, ExitCode, GuardError
from etl.report import render_html, render_text
from etl.transform import merge_order, requests_of
from etl.transform.events.transformer import STANDARD, event_record, near_miss
from tests.support.databases import opened
from tests.support.effort import FULL, examples
from tests.support.event_cases import (
    COLUMNS,
    GROUPED,
    HEADER,
    ORDERS,
    codes,
    imported,
    order,
    outcomes,
    requests,
    stored,
)
from tests.support.importer import ImporterFixture


@pytest.fixture
def desk(tmp_path: Path) -> ImporterFixture:
    return ImporterFixture(tmp_path, processing_seconds=0.5)


# --- from outside -----------------------------------------------------------------------------------------------------


def test_orders_become_events_with_revenue(desk: ImporterFixture) -> None:
    desk.write([order(1, "19.90"), order(2, "$1,200.05", "EUR"), order(3, "")], HEADER)
    report = imported(desk)
    assert outcomes(report) == {"loaded": 3}
    first, second, third = sorted(stored(desk), key=lambda event: event["unique_id"])
    assert (first["metric"], first["unique_id"]) == ("Placed Order", "Placed Order:o1")
    assert (first["value"], first["value_currency"]) in {(19.9, "USD"), ("19.9", "USD")}
    assert first["time"].startswith("2024-05-01T14:00:00"), "New York is four hours behind"
    assert first["properties"]["OrderId"] == "o1"
    assert first["properties"]["$value"] == 19.9
    assert str(second["value"]) == "1200.05"
    assert third["value"] is None
    assert [(one.currency, one.read, one.loaded) for one in report.revenue] == [
        ("EUR", "1200.05", "1200.05"), ("USD", "19.90", "19.90"),
    ]  # fmt: skip
    assert b"metric_flow" not in desk.sandbox.dump_messages(), "no flow starts unless it is asked for"


def test_flows_start_only_where_they_are_asked_for(desk: ImporterFixture) -> None:
    desk.write([order(1)], HEADER)
    imported(desk, fire_flows=True)
    assert b"metric_flow" in desk.sandbox.dump_messages()


def test_a_second_run_sends_nothing(desk: ImporterFixture) -> None:
    desk.write([order(number) for number in range(30)], HEADER)
    imported(desk)
    before = requests(desk)
    report = imported(desk)
    assert outcomes(report) == {"unchanged": 30}
    assert requests(desk) == before
    assert report.revenue[0].unchanged == "300.00"
    assert len(stored(desk)) == 30


def test_line_items_become_one_order(desk: ImporterFixture) -> None:
    rows = [
        (*order(1, "10.00"), "A", "1"),
        (*order(2, "5.00"), "B", "2"),
        (*order(1, "2.50"), "C", "3"),
    ]
    desk.write(rows, (*HEADER, "SKU", "Quantity"))
    mapping = {**GROUPED, "event": {**GROUPED["event"], "items_as": "Ordered Product"}}
    report = imported(desk, mapping)
    assert outcomes(report) == {"loaded": 2, "duplicate": 1}
    assert codes(report) == {"order-line": 1} or codes(report) == {}
    events = {event["unique_id"]: event for event in stored(desk)}
    assert set(events) == {
        "Placed Order:o1", "Placed Order:o1:1", "Placed Order:o1:2", "Placed Order:o2", "Placed Order:o2:1",
    }  # fmt: skip
    assert events["Placed Order:o1"]["properties"]["Items"] == [
        {"SKU": "A", "Quantity": 1},
        {"SKU": "C", "Quantity": 3},
    ]
    assert str(events["Placed Order:o1"]["value"]) == "12.5"
    assert events["Placed Order:o1:2"]["metric"] == "Ordered Product"
    assert report.revenue[0].read == report.revenue[0].loaded == "17.50"


def test_an_order_whose_rows_repeat_its_total_counts_it_once(desk: ImporterFixture) -> None:
    rows = [(*order(1, "10.00"), "A", "1"), (*order(1, "10.00"), "B", "1"), (*order(2, "7.00"), "C", "1")]
    desk.write(rows, (*HEADER, "SKU", "Quantity"))
    report = imported(desk, {**GROUPED, "event": {"metric": "Placed Order", "group_by_order": True}})
    assert report.revenue[0].read == report.revenue[0].loaded == "17.00"
    assert "1 rows are further line items: they are in the event of their order" in report.notes


def test_a_refused_order_whose_rows_repeat_its_total_counts_once(desk: ImporterFixture) -> None:
    bad = ("o1", "nobody", "2024-05-01 10:00", "1000.00", "USD", "")
    desk.write([(*bad, "A", "1"), (*bad, "B", "1"), (*order(2, "7.00"), "C", "1")], (*HEADER, "SKU", "Quantity"))
    report = imported(desk, {**GROUPED, "event": {"metric": "Placed Order", "group_by_order": True}})
    (usd,) = report.revenue
    assert (usd.read, usd.rejected, usd.loaded) == ("1007.00", "1000.00", "7.00")
    assert "1,007.00" in render_html(report)


def test_bad_rows_are_refused_and_their_amounts_counted(desk: ImporterFixture) -> None:
    desk.write(
        [
            order(1, "10.00"),
            ("o2", "nobody", "2024-05-01 10:00", "5.00", "USD", ""),
            ("o3", "ann@mapleshop.com", "yesterday", "7.00", "USD", ""),
            ("o4", "ann@mapleshop.com", "1989-05-01 10:00", "1.00", "USD", ""),
            ("o5", "ann@mapleshop.com", "2024-05-01 10:00", "much", "USD", ""),
            ("o6", "ann@mapleshop.com", "2024-05-01 10:00", "1.00", "dollars", ""),
            order(1, "10.00"),
            order(1, "99.00"),
        ],
        HEADER,
    )
    report = imported(desk)
    assert outcomes(report) == {"loaded": 1, "rejected": 5, "duplicate": 2}
    assert {"email-invalid", "event-time-out-of-range", "money-invalid", "currency-invalid", "event-conflict"} <= set(
        codes(report)
    )
    (usd,) = [one for one in report.revenue if one.currency == "USD"]
    assert (usd.read, usd.loaded, usd.rejected, usd.duplicate) == ("132.00", "10.00", "13.00", "109.00")
    assert usd.ties
    text = render_text(report)
    assert "132.00  USD in the source: every amount is accounted for" in text
    assert "132.00" in render_html(report)
    assert report.exit_code is ExitCode.ROWS_NOT_LOADED


def test_rows_that_klaviyo_names_fail_and_the_rest_goes_again(desk: ImporterFixture) -> None:
    rows = [order(number) for number in range(20)]
    rows[7] = ("o7", "person@sandbox-refused.com", "2024-05-01 10:00", "10.00", "USD", "")
    desk.write(rows, HEADER)
    report = imported(desk)
    assert len(stored(desk)) == report.tally.loaded
    assert report.tally.read == 20
    assert report.tally.failed + report.tally.loaded == 20


def test_a_near_miss_of_a_standard_name_is_said(desk: ImporterFixture) -> None:
    desk.write([order(1)], HEADER)
    report = imported(desk, {**ORDERS, "event": {"metric": "placed order"}}, check=True)
    (group,) = report.issues
    assert (group.code, group.detail) == ("metric-near-miss", "did you mean 'Placed Order'?")
    assert report.tally.pending == 1


@pytest.mark.parametrize(
    ("name", "standard"),
    [
        ("Placed Order", None),
        ("placed order", "Placed Order"),
        ("Order Placed", "Placed Order"),
        ("placed_order", "Placed Order"),
        ("Refunded Orders", "Refunded Order"),
        ("Visited the shop", None),
    ],
)
def test_near_misses(name: str, standard: str | None) -> None:
    assert near_miss(name) == standard
    assert all(near_miss(known) is None for known in STANDARD)


def test_a_whole_request_is_never_refused_for_a_repeated_id(desk: ImporterFixture) -> None:
    desk.write([order(number % 40, f"{number}.00") for number in range(200)], HEADER)
    report = imported(desk)
    assert outcomes(report) == {"loaded": 40, "duplicate": 160}
    assert report.tally.failed == 0
    assert len(stored(desk)) == 40


@pytest.mark.slow
def test_thousands_of_orders_add_up(desk: ImporterFixture) -> None:
    """In the source, in the report and in Klaviyo: per currency, to the cent."""
    orders = 5_000 if FULL else 1_500
    chance = random.Random(7)
    truth: Counter[str] = Counter()
    rows = []
    for number in range(orders):
        amount = Decimal(chance.randrange(1, 100_000)) / 100
        currency = chance.choice(["USD", "EUR", "GBP"])
        truth[currency] += amount  # type: ignore[assignment]
        day = f"2024-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02} {chance.randrange(24):02}:00"
        rows.append((f"o{number}", f"person{number % 1_500}@mapleshop.com", day, str(amount), currency, "Lyon"))
    desk.write(rows, HEADER)
    report = imported(desk)
    assert outcomes(report) == {"loaded": orders}
    assert requests(desk) == math.ceil(orders / 1_000)
    assert {one.currency: Decimal(one.loaded) for one in report.revenue} == dict(truth)
    sent: Counter[str] = Counter()
    for event in stored(desk):
        sent[event["value_currency"]] += Decimal(str(event["value"]))  # type: ignore[assignment]
    assert dict(sent) == dict(truth)
    before = requests(desk)
    assert outcomes(imported(desk)) == {"unchanged": orders}
    assert requests(desk) == before


def test_the_command_and_what_follows_it(desk: ImporterFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    from etl.cli import _main  # noqa: PLC0415 - only here

    monkeypatch.chdir(desk.folder)
    desk.write([order(1)], HEADER)
    (desk.folder / "people.toml").write_text(
        '[event]\nmetric = "Placed Order"\n[columns]\nOrder = "order_id"\nEmail = "email"\n'
        'Date = { to = "time", format = "%Y-%m-%d %H:%M" }\nTotal = "value"\nCurrency = "currency"\n'
    )
    assert _main(["events", "people.csv", "--sandbox", "--yes"]) == ExitCode.OK
    with (desk.folder / "people.toml").open("a", encoding="utf-8") as mapping:
        mapping.write('[guards]\nexpect_account = "REAL01"\n')
    assert _main(["events", "people.csv", "--sandbox", "--yes"]) == ExitCode.OK, "a rehearsal is in no real account"
    assert _main(["events", "people.csv", "--check"]) == ExitCode.OK
    assert _main(["report"]) == ExitCode.OK
    assert _main(["runs"]) == ExitCode.OK


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"columns": {"E": "email"}}, "no column goes to time"),
        ({"columns": {"T": "time"}}, "who it was"),
        ({"event": {}}, "what happened"),
        ({"event": {"metric": "X", "group_by_order": True}, "columns": {"E": "email", "T": "time"}}, "order_id"),
        ({"columns": {"E": "email", "T": "time", "S": "item.SKU"}}, "group_by_order"),
        ({"columns": {"E": "email", "T": "tme"}}, "not a target of events"),
        ({"columns": {"E": "email", "T": {"to": "time", "format": "%d"}}}, "year"),
        ({"event": {"metric": "X", "currency": "euro"}}, "currency"),
    ],
)
def test_a_mapping_that_makes_no_sense_is_refused(change: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        parse_event_mapping({**ORDERS, **change})


# --- guards, several files, only what is new --------------------------------------------------------------------------


def test_a_guard_stops_a_bad_export_of_orders(desk: ImporterFixture) -> None:
    guarded = {**ORDERS, "guards": {"max_row_count_change_percent": 20}}
    desk.write([order(number) for number in range(10)], HEADER)
    assert imported(desk, guarded).complete
    desk.write([order(number) for number in range(3)], HEADER)
    refused = imported(desk, guarded)
    assert refused.exit_code is ExitCode.GUARD
    assert any("3 rows against 10 last time" in note for note in refused.notes)
    forced = imported(desk, guarded, force=True)
    assert outcomes(forced) == {"unchanged": 3}
    assert any("guard overridden by --force" in note for note in forced.notes)


def test_the_rows_of_a_rejects_file_are_a_repair(desk: ImporterFixture) -> None:
    guarded = {**ORDERS, "guards": {"max_row_count_change_percent": 20, "min_rows": 5}}
    desk.write([*map(order, range(9)), ("o9", "nobody", *order(9)[2:])], HEADER)
    first = imported(desk, guarded)
    rejects = desk.folder / "runs" / first.run / "rejects.csv"
    rejects.write_text(rejects.read_text(encoding="utf-8-sig").replace("nobody", "bea@mapleshop.com"), encoding="utf-8")
    repaired = pipeline.events(rejects, guarded, context=desk.context)
    assert (repaired.parent, outcomes(repaired)) == (first.run, {"loaded": 1})
    assert len(stored(desk)) == 10


def test_what_failed_is_sent_again(desk: ImporterFixture) -> None:
    desk.write([*map(order, range(3)), ("o9", "ann@sandbox-refused.com", *order(9)[2:])], HEADER)
    first = imported(desk)
    assert outcomes(first) == {"loaded": 3, "failed": 1}
    before = requests(desk)
    again = pipeline.retry(context=desk.context)
    assert (again.parent, outcomes(again)) == (first.run, {"failed": 1})
    assert requests(desk) == before + 1


def test_orders_do_not_go_to_an_account_that_is_not_expected(desk: ImporterFixture) -> None:
    desk.write([order(1)], HEADER)
    with pytest.raises(GuardError) as refused:
        imported(desk, {**ORDERS, "guards": {"expect_account": "OTHER1"}})
    assert refused.value.code == "account-unexpected"
    assert not requests(desk)


def test_orders_from_an_old_file_are_stopped(desk: ImporterFixture) -> None:
    desk.write([order(1)], HEADER)
    os.utime(desk.source, (desk.clock.now() - 7_200,) * 2)
    refused = imported(desk, {**ORDERS, "guards": {"max_source_age_hours": 1}})
    assert refused.exit_code is ExitCode.GUARD
    assert not requests(desk)


def test_orders_of_several_files_keep_their_lines(desk: ImporterFixture) -> None:
    for name, rows in (("day-1.csv", [order(1), order(2)]), ("day-2.csv", [order(3), ("o4", "nobody", *order(4)[2:])])):
        with (desk.folder / name).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([HEADER, *rows])
    report = pipeline.events(str(desk.folder / "day-*.csv"), ORDERS, context=desk.context)
    assert outcomes(report) == {"loaded": 3, "rejected": 1}
    assert "day-2.csv:3" in render_text(report)


def test_a_database_beside_the_mapping_is_found_from_anywhere(desk: ImporterFixture) -> None:
    beside = desk.folder / "shop"
    beside.mkdir()
    with contextlib.closing(sqlite3.connect(beside / "shop.db")) as shop:
        shop.execute("CREATE TABLE orders AS SELECT 'o1' AS number, 'ann@mapleshop.com' AS email, '2024-05-01' AS at")
        shop.commit()
    (beside / "orders.toml").write_text(
        '[source]\nurl = "sqlite:///shop.db"\nquery = "SELECT * FROM orders ORDER BY number"\n'
        '[event]\nmetric = "Placed Order"\n'
        '[columns]\nnumber = "order_id"\nemail = "email"\nat = { to = "time", timezone = "UTC" }\n',
        encoding="utf-8",
    )
    assert outcomes(pipeline.events(None, beside / "orders.toml", context=desk.context)) == {"loaded": 1}


def test_a_query_of_orders_goes_on_where_it_stopped(desk: ImporterFixture) -> None:
    (database,) = opened("sqlite", desk.folder)
    database.execute("CREATE TABLE {t} (number TEXT, email TEXT, at TEXT, total TEXT, moved TEXT)")

    def put(number: int, minute: int) -> None:
        values = (
            f"'o{number}', 'person{number}@mapleshop.com', '2024-05-01 10:00', '10.00', '2026-03-01 10:{minute:02}'"
        )
        database.execute(f"INSERT INTO {{t}} VALUES ({values})")

    source = {
        "url": database.url,
        "query": f"SELECT * FROM {database.table} WHERE moved > :since ORDER BY moved, number",
        "watermark": "moved",
        "parameters": {"since": "1970-01-02 00:00"},
    }
    columns = {"number": "order_id", "email": "email", "at": COLUMNS["Date"], "total": "value"}
    mapping = {"source": source, "event": {"metric": "Placed Order", "currency": "USD"}, "columns": columns}
    for number in range(3):
        put(number, number)
    told: list[str] = []
    context = replace(desk.context, announce=told.append)
    assert pipeline.events(None, mapping, context=context).tally.loaded == 3
    put(9, 30)
    again = pipeline.events(None, mapping, context=context)
    assert (again.tally.read, again.tally.loaded) == (1, 1)
    assert not any("mapping has changed" in sentence for sentence in told)
    assert len(stored(desk)) == 4


# --- grouping ---------------------------------------------------------------------------------------------------------

AMOUNTS = st.integers(-10_000, 10_000).map(lambda cents: format(Decimal(cents) / 100, "f"))
GROUP = st.lists(st.tuples(AMOUNTS, st.text("ABC", min_size=1, max_size=2)), min_size=2, max_size=6)


def record(line: int, amount: str, sku: str) -> Any:
    event = {
        "metric": "Placed Order", "time": f"2024-05-{line + 1:02}T00:00:00+00:00", "value": amount,
        "currency": "USD", "unique_id": "u", "properties": {"OrderId": "o", "Items": [{"SKU": sku}]},
    }  # fmt: skip
    return event_record(line, {"email": "ann@mapleshop.com"}, event)


@given(GROUP, st.randoms(use_true_random=False))
def test_an_order_is_the_same_whatever_the_order_of_its_rows(group: Sequence[tuple[str, str]], chance: Any) -> None:
    mapping = parse_event_mapping(GROUPED)
    records = [record(line, *cells) for line, cells in enumerate(group)]
    shuffled = list(records)
    chance.shuffle(shuffled)
    merged = merge_order(shuffled, mapping)
    assert merged.record == merge_order(records, mapping).record
    ((_, event),) = requests_of(merged.record.body, items_as=None)
    assert Decimal(str(event["value"])) == sum(Decimal(amount) for amount, _ in group)
    assert [item["SKU"] for item in event["properties"]["Items"]] == [sku for _, sku in group]


@settings(max_examples=examples(5), deadline=None)
@given(st.lists(st.tuples(st.integers(1, 4), AMOUNTS), min_size=1, max_size=12), st.integers(1, 5))
def test_the_sum_ties_however_the_file_is_cut(rows: Sequence[tuple[int, str]], size: int) -> None:
    import tempfile  # noqa: PLC0415 - only here

    from etl.pipeline.staging import sources  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patched:
        desk = ImporterFixture(Path(folder))
        with desk.source.open("w", newline="") as out:
            lines = [(*order(number, amount), "A", "1") for number, amount in rows]
            csv.writer(out).writerows([(*HEADER, "SKU", "Quantity"), *lines])
        whole: Any = vars(sources)["open_file"]

        def cut(*arguments: Any) -> Any:
            source = whole(*arguments)
            chunks = source.chunks

            def smaller() -> Any:
                from etl.model import Chunk  # noqa: PLC0415

                for chunk in chunks():
                    for start in range(0, len(chunk.frame), size):
                        yield Chunk(chunk.frame.iloc[start : start + size], position=chunk.position)

            source.chunks = smaller
            return source

        patched.setattr(sources, "open_file", cut)
        report = imported(desk, GROUPED)
    assert report.tally.read == len(rows)
    assert report.tally.loaded == len({number for number, _ in rows})
    assert Decimal(report.revenue[0].loaded) == sum(Decimal(amount) for _, amount in rows)
