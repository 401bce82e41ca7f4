"""Orders exports become a mapping of events, which runs: one event an order, with value, time and unique id."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner

from etl import pipeline
from etl.cli.commands.init import init as command
from etl.discover import Question
from etl.sandbox import Sandbox
from tests.support.importer import ImporterFixture

SHOPIFY = """\
Name,Email,Financial Status,Paid at,Currency,Subtotal,Total,Created at,Lineitem quantity,Lineitem name,Lineitem price,Lineitem sku,Billing Name,Shipping Zip,Accepts Marketing,Id,Cancelled at
#1001,ann@mapleshop.com,paid,2026-03-01 10:00:00 -0500,USD,30.00,35.50,2026-03-01 09:59:00 -0500,2,Mug,10.00,M1,Ann Lee,'01085,yes,7100000000001,
#1001,ann@mapleshop.com,,,,,,2026-03-01 09:59:00 -0500,1,Bowl,10.00,B1,,,,,
#1002,bob@mapleshop.com,refunded,2026-03-02 10:00:00 -0500,USD,99.00,99.00,2026-03-02 09:58:00 -0500,1,Kettle,99.00,K1,Bob Ray,10001,no,7100000000002,
"""  # noqa: E501 - as they are exported
WOOCOMMERCE = """\
Order Number,Order Status,Order Date,First Name (Billing),Email (Billing),Phone (Billing),Order Total Amount,SKU,Item #,Item Name,Quantity (- Refund),Item Cost
501,Completed,2026-03-01 09:59,Ann,ann@mapleshop.com,413 555 0101,35.5,M1,1,Mug,2,10
501,Completed,2026-03-01 09:59,Ann,ann@mapleshop.com,413 555 0101,35.5,B1,2,Bowl,1,10
502,Processing,2026-03-02 09:58,Bob,bob@mapleshop.com,,99,K1,1,Kettle,1,99
"""  # noqa: E501
GERMAN = """\
Bestellnummer;Bestelldatum;Kunde;E-Mail;Artikel;Menge;Zeilensumme
A-1;13.03.2026;Ann Lee;ann@mapleshop.com;Tasse;2;20,00 €
A-1;13.03.2026;Ann Lee;ann@mapleshop.com;Schale;1;15,50 €
A-2;14.03.2026;Bob Ray;bob@mapleshop.com;Kessel;1;99,00 €
"""
FRENCH = """\
Numéro de commande,Date de commande,Adresse,Montant total,Devise,Mode
C-1,2026-03-13T09:00:00Z,ann@mapleshop.com,"35,50",EUR,carte
C-2,2026-03-14T09:00:00Z,bob@mapleshop.com,"99,00",EUR,carte
"""
CUSTOMERS = {
    "Shopify": (SHOPIFY, {"Lineitem name": "item.ProductName", "Lineitem sku": "item.SKU", "Total": "value"}, 2),
    "WooCommerce": (WOOCOMMERCE, {"Item Name": "item.ProductName", "Order Total Amount": "value"}, 2),
    "German lines": (GERMAN, {"Artikel": "item.ProductName", "Menge": "item.Quantity", "Zeilensumme": "value"}, 2),
    "French, one row an order": (FRENCH, {"Montant total": "value", "Devise": "currency", "Adresse": "email"}, 0),
}


def events_of(sandbox: Sandbox) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in sandbox.dump_events().splitlines()]


@pytest.mark.parametrize("name", CUSTOMERS)
def test_an_orders_export_runs_as_events(name: str, tmp_path: Path) -> None:
    text, wanted, items = CUSTOMERS[name]
    path = tmp_path / "orders.csv"
    path.write_text(text, encoding="utf-8")
    desk = ImporterFixture(tmp_path)
    proposal, made = pipeline.init(path, context=desk.context, beside=tmp_path)
    mapping = tomllib.loads(made)
    targets = {header: rule if isinstance(rule, str) else rule["to"] for header, rule in mapping["columns"].items()}
    assert {header: targets.get(header) for header in wanted} == wanted
    assert {"email", "order_id", "time", "value"} <= set(targets.values())
    assert mapping["event"]["metric"] == "Placed Order"
    assert mapping["event"].get("group_by_order", False) == (items > 0)
    assert any("rows are orders" in advice.text and advice.sure for advice in proposal.advice)
    assert not {"Billing Name", "Shipping Zip", "First Name (Billing)", "Accepts Marketing", "Phone (Billing)"} & set(
        targets
    )
    (tmp_path / "orders.toml").write_text(made, encoding="utf-8")
    report = pipeline.events(path, tmp_path / "orders.toml", context=desk.context)
    assert (report.tally.loaded, report.tally.rejected, report.tally.failed) == (2, 0, 0)
    found = sorted(events_of(desk.sandbox), key=lambda event: event["time"])
    assert [event["email"] for event in found] == ["ann@mapleshop.com", "bob@mapleshop.com"]
    assert [event["properties"]["$value"] for event in found] == [35.5, 99]
    assert [len(event["properties"].get("Items", [])) for event in found] == ([2, 1] if items else [0, 0])
    again = pipeline.events(path, tmp_path / "orders.toml", context=desk.context)
    assert (again.tally.loaded, again.tally.unchanged) == (0, 2), "unique ids: nothing goes twice"


def test_what_is_open_is_asked_and_nothing_is_guessed(tmp_path: Path) -> None:
    """Dates of two readings are refused, not sent; rows that differ may add up; somebody may want profiles."""
    path = tmp_path / "orders.csv"
    path.write_text(
        "Order ID,Date,Email,SKU,Total\n"
        + "".join(f"o{n // 2},0{n + 5}/04/2026,p{n // 2}@mapleshop.com,S{n},{n + 1}0.00\n" for n in range(4)),
        encoding="utf-8",
    )
    desk = ImporterFixture(tmp_path)
    asked: dict[str, Question] = {}

    def first(question: Question) -> str:
        asked[question.about] = question
        return "first" if question.about == "value" else next(iter(question.choices))

    _, made = pipeline.init(path, context=desk.context, ask=first)
    mapping = tomllib.loads(made)
    assert mapping["columns"]["Date"] == {"to": "time", "format": "%d/%m/%Y"}
    assert mapping["event"]["value"] == "first"
    assert asked["value"].cells == {"sum": "10.00 + 20.00", "first": "10.00, 20.00 → 10.00"}
    assert "05/04/2026 → 2026-04-05" in asked["Date"].cells["1"]
    proposal, made = pipeline.init(path, context=desk.context)
    mapping = tomllib.loads(made)
    assert mapping["columns"]["Date"] == "time"
    assert mapping["event"]["value"] == "sum"
    assert {"Date", "value", "time"} <= {advice.about for advice in proposal.advice if not advice.sure}
    (tmp_path / "orders.toml").write_text(made, encoding="utf-8")
    report = pipeline.events(path, tmp_path / "orders.toml", context=desk.context)
    assert report.tally.loaded == 0
    assert not desk.sandbox.dump_events().strip()
    _, made = pipeline.init(path, context=desk.context, ask=lambda q: "profiles" if q.about == "orders" else q.safe)
    assert tomllib.loads(made)["columns"]["Order ID"] == "properties.Order ID"


def test_years_of_two_digits_lie_behind_and_a_check_names_the_command_for_events(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    head = "Order ID,Order date,Email,Total\n"
    path.write_text(f"{head}O1,13.03.26,ann@mapleshop.com,30.00\nO2,04.03.26,bob@mapleshop.com,20.00\n")
    desk = ImporterFixture(tmp_path)
    _, made = pipeline.init(path, context=desk.context)
    (tmp_path / "orders.toml").write_text(made, encoding="utf-8")
    checked = pipeline.events(path, tmp_path / "orders.toml", context=desk.context, check=True)
    assert checked.next_steps == ("Nothing stands in the way: klaviyo-etl events sends these rows.",)
    assert pipeline.events(path, tmp_path / "orders.toml", context=desk.context).tally.loaded == 2
    assert sorted(event["time"][:10] for event in events_of(desk.sandbox)) == ["2026-03-04", "2026-03-13"]
    path.write_text(f"{head}O1,05.03.26,ann@mapleshop.com,30.00\nO2,04.03.26,bob@mapleshop.com,20.00\n")
    _, made = pipeline.init(path, context=desk.context, ask=lambda q: "1" if "1" in q.choices else q.safe)
    assert tomllib.loads(made)["columns"]["Order date"]["format"] == "%d.%m.%y"


@pytest.mark.parametrize(
    "text",
    [
        "Email,Order count,Last order date,Total spent\nann@mapleshop.com,3,2026-03-01,30.00\n",
        "Email,Created at,Total\nann@mapleshop.com,2026-03-01,30.00\n",
        "Email,Order ID,Total\nann@mapleshop.com,O1,30.00\n",
        "Order ID,Date,Email,Total\nO1,soon,ann@mapleshop.com,30.00\n",
        "Order ID,Date,Email,Name\nO1,2026-03-01,ann@mapleshop.com,Ann\n",
    ],
)
def test_customers_stay_profiles(text: str, tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text(text)
    desk = ImporterFixture(tmp_path)
    _, made = pipeline.init(tmp_path / "people.csv", context=desk.context)
    assert "event" not in tomllib.loads(made)


def test_the_command_says_what_to_run_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("orders.csv").write_text(SHOPIFY, encoding="utf-8")
    run = CliRunner().invoke(command, ["orders.csv", "--yes"])
    assert run.exit_code == 0, run.output
    assert "Shopify orders export" in run.output
    assert "Written: orders.toml. Next: klaviyo-etl events orders.csv --check" in run.output
    assert "'Accepts Marketing' says who may be contacted" in " ".join(run.output.split())
    assert "mapleshop" not in run.output
