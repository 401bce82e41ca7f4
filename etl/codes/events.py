"""Events: what rows of orders get wrong, and what became of them."""

from __future__ import annotations

from typing import Final

from etl.codes.base import Code
from etl.model import Stage

CODES: Final = (
    Code(
        "metric-invalid",
        Stage.TRANSFORM,
        "Metric without a name, or with one too long",
        "Name what happened, in fewer than 128 characters.",
    ),
    Code(
        "metric-near-miss",
        Stage.TRANSFORM,
        "Metric is nearly one of Klaviyo's standard names",
        "Klaviyo compares names letter by letter; flows and reports of the standard metric will not see it.",
    ),
    Code("event-time-missing", Stage.TRANSFORM, "Event without a time", "Say when it happened, with its time zone."),
    Code(
        "event-time-out-of-range",
        Stage.TRANSFORM,
        "Time outside the range that Klaviyo accepts",
        "Klaviyo accepts 1990 to a year from now; correct the date or its format.",
    ),
    Code("currency-invalid", Stage.TRANSFORM, "Not a currency", "Write its ISO 4217 code, such as EUR."),
    Code(
        "event-too-large",
        Stage.TRANSFORM,
        "Event is larger than Klaviyo accepts",
        "At most 400 properties, and 100 kB a text; unmap the longest column.",
    ),
    Code(
        "order-line", Stage.DEDUPE, "Row is a line item of an order", "Nothing to do: it is in the event of its order."
    ),
    Code(
        "event-duplicate",
        Stage.DEDUPE,
        "The same event as another row",
        "Nothing to do; if they are line items of one order, set group_by_order = true.",
    ),
    Code(
        "event-conflict",
        Stage.DEDUPE,
        "Two rows are one event and differ",
        "The first was kept; give each event an id of its own, or correct the other.",
    ),
    Code(
        "order-values-differ",
        Stage.DEDUPE,
        "Rows of one order name several amounts",
        'The first was taken; if they are the items\' amounts, set value = "sum".',
    ),
    Code(
        "order-currencies-differ",
        Stage.DEDUPE,
        "Amounts of one order are in several currencies",
        'They cannot be added up; correct the currency, or set value = "first".',
    ),
    Code(
        "order-incomplete",
        Stage.DEDUPE,
        "A row of the order was refused, and with it a part of the amount",
        "Nothing of the order is sent; correct the row that is named, and import all rows of the order again.",
    ),
    Code(
        "event-unproven",
        Stage.LOAD,
        "Sent and accepted, but Klaviyo does not show the event",
        "It may still come; klaviyo-etl retry sends it again without harm.",
    ),
)
