"""Transform: strings become typed values, rows become records, lines of one person become one."""

from etl.transform.cells.converters import Converted, converter
from etl.transform.computed import CellTransformer
from etl.transform.consent import ConsentReader, by_line, consent_digest, strictest
from etl.transform.duplicates.resolve import resolve_duplicates
from etl.transform.events.identity import former_record, same_people
from etl.transform.events.incomplete import IncompleteOrders
from etl.transform.events.merging import merge_order
from etl.transform.events.order_lines import OrderLines
from etl.transform.events.transformer import EventBuilder, requests_of
from etl.transform.events.transformer import add as add_amount
from etl.transform.record import fingerprint, make_record
from etl.transform.row_rules import RowRules
from etl.transform.transformer import Transformer

__all__ = [
    "CellTransformer",
    "ConsentReader",
    "Converted",
    "EventBuilder",
    "IncompleteOrders",
    "OrderLines",
    "RowRules",
    "Transformer",
    "add_amount",
    "by_line",
    "consent_digest",
    "converter",
    "fingerprint",
    "former_record",
    "make_record",
    "merge_order",
    "requests_of",
    "resolve_duplicates",
    "same_people",
    "strictest",
]
