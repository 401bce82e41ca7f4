"""Transform: strings become typed values, rows become records, lines of one person become one."""

from etl.transform.body import fingerprint, make_record
from etl.transform.consent import ConsentReader, by_line, consent_print, strictest
from etl.transform.dedupe import resolve_duplicates
from etl.transform.event_identity import former_record, same_people
from etl.transform.event_merging import merge_order
from etl.transform.events import EventBuilder, requests_of
from etl.transform.events import add as add_amount
from etl.transform.order_lines import OrderLines
from etl.transform.reshaping import Reshaper
from etl.transform.row_rules import RowRules
from etl.transform.transformer import Transformer
from etl.transform.values import Converted, converter

__all__ = [
    "ConsentReader",
    "Converted",
    "EventBuilder",
    "OrderLines",
    "Reshaper",
    "RowRules",
    "Transformer",
    "add_amount",
    "by_line",
    "consent_print",
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
