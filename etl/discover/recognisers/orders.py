"""Orders exports: told by their columns, and proposed as events 'Placed Order' instead of profiles. Pure."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from etl.discover.drafts import Ask, Draft, Probes, Question
from etl.discover.headers import target_of
from etl.discover.profiling import ColumnFacts
from etl.discover.recognisers import permissions
from etl.discover.recognisers.readings import ask_reading
from etl.discover.types import Guess, infer
from etl.model import IDENTIFIERS
from schemas.words import fold

if TYPE_CHECKING:
    import pandas as pd

METRIC: Final = "Placed Order"
_EVENTS: Final = "events"
_ITEM: Final = "item."
_MIN_TELLING: Final = 2
_USUAL: Final = 0.5
_SHOWN: Final = 3
_OF_A_PERSON: Final = re.compile(r"billing|shipping (?!method)|rechnungs\w*|liefer\w*|facturation|livraison|envio")
_OF_AN_ITEM: Final = re.compile(r"line ?item|item|product|artikel|produkt")
_OFFSET: Final = re.compile(r"(?:Z|[+-][0-9]{2}:?[0-9]{2})$")
_SIGNS: Final = {"€": "EUR", "£": "GBP", "zł": "PLN", "Kč": "CZK", "₹": "INR", "₺": "TRY"}


@dataclass(frozen=True, slots=True)
class OrdersFound:
    """What an orders export becomes.

    ``drafts``: every column with where it goes. ``event``: keys of ``[event]``. ``said``: about what, a sentence, and
    whether everything speaks for it. ``name``: of the export, ``""`` where it is none of those that are known.
    """

    drafts: tuple[Draft, ...]
    event: Mapping[str, Any]
    said: tuple[tuple[str, str, bool], ...]
    name: str


def recognise_orders(
    facts: Sequence[ColumnFacts], sample: pd.DataFrame, probes: Probes, ask: Ask
) -> OrdersFound | None:
    """Return the events that these rows are; ``None`` where they are no orders, or somebody says so.

    ``sample``: the first rows, headers as columns. A row is (part of) an order where a column numbers the orders, one
    says when, one says who, and one says what for or how much.
    """
    name, own = _export([column.header for column in facts])
    found = _targets(facts, own, probes)
    what = [target for target in found if target == "value" or target.startswith(_ITEM)]
    if not {"order_id", "time"} <= set(found) or not what or not set(IDENTIFIERS) & set(found):
        return None
    telling = ", ".join(repr(found[target].header) for target in ("order_id", "time", what[0]))
    question = Question(
        "orders",
        f"{telling}: these rows look like orders. How should they be imported?",
        {
            _EVENTS: f"events {METRIC!r}, one an order, with the value that Klaviyo's reports add up",
            "profiles": "profiles: one a customer, with these columns as properties",
        },
        _EVENTS,
    )
    if ask(question) != _EVENTS:
        return None
    drafts = {column.header: Draft(column) for column in facts}
    for target, column in found.items():
        drafts[column.header].rule = {"to": target}
        drafts[column.header].why = f"known from the {name}" if column.header in own else "by its name"
    said = [("orders", f"{telling} say that these rows are orders: they become events {METRIC!r}.", True)]
    _time(drafts[found["time"].header], probes, ask, said)
    for target in {"value", "item.ItemPrice"} & set(found):
        _amount(drafts[found[target].header], probes, ask)
    if "item.Quantity" in found:
        drafts[found["item.Quantity"].header].rule = {"to": "item.Quantity", "type": "integer"}
    lines = any(target.startswith(_ITEM) for target in found) or _repeats(sample, found["order_id"].header)
    for draft in drafts.values():
        if draft.rule is None:
            _other(draft, probes, said, lines=lines)
    event = _event(found, sample, ask, said, lines=lines)
    return OrdersFound(tuple(drafts.values()), event, tuple(said), name)


def _event(
    found: Mapping[str, ColumnFacts], sample: pd.DataFrame, ask: Ask, said: list[tuple[str, str, bool]], *, lines: bool
) -> dict[str, Any]:
    """Return the keys of ``[event]``. ``lines``: rows are line items."""
    event: dict[str, Any] = {"metric": METRIC}
    if lines:
        event["group_by_order"] = True
    if "value" not in found:
        said.append(("value", "No column holds what an order came to: its events have no value.", False))
        return event
    if lines:
        event["value"] = _value_of(sample, found["order_id"].header, found["value"].header, ask)
    if "currency" not in found and (currency := _currency(found["value"].cells)):
        event["currency"] = currency
    return event


def _export(headers: Sequence[str]) -> tuple[str, Mapping[str, str]]:
    """Return the name of the export and where its own columns go."""
    for export in (table for key, table in _table().items() if key != "columns"):
        if len(set(export["telling"]) & set(headers)) >= _MIN_TELLING:
            return export["name"], {header: to for header, to in export["columns"].items() if header in headers}
    return "", {}


def _targets(facts: Sequence[ColumnFacts], own: Mapping[str, str], probes: Probes) -> dict[str, ColumnFacts]:
    """Return the column of each target: the export's own, else that with the best name whose cells are what it says."""
    filled = [column for column in facts if column.filled]
    found = {own[column.header]: column for column in filled if column.header in own}
    for target, names in _table()["columns"].items():
        places = {name: place for place, name in enumerate(names)}
        fitting = [column for column in filled if fold(column.header) in places and column not in found.values()]
        fitting = [column for column in fitting if _is(target, column, probes)]
        if target not in found and fitting:
            found[target] = min(fitting, key=lambda column: places[fold(column.header)])
    if "email" not in found:
        addresses = [column for column in filled if probes.emails(column.cells) >= _USUAL]
        if addresses:
            found["email"] = max(addresses, key=lambda column: column.filled)
    if "email" in found and not _international(found.get("phone_number")):
        # Of which country its phones are nobody says, and the address says who it was.
        found.pop("phone_number", None)
    return found


def _is(target: str, column: ColumnFacts, probes: Probes) -> bool:
    cells = column.cells
    if target == "email":
        return probes.emails(cells) >= _USUAL
    if target == "time":
        guess = infer(column.header, cells, probes.converts)
        return "date" in guess.rule.get("type", "") or any("format" in other for other in guess.others)
    if target in {"value", "item.Quantity", "item.ItemPrice"}:
        return sum(any(letter.isdigit() for letter in cell) for cell in cells) >= _USUAL * len(cells)
    return True


def _international(column: ColumnFacts | None) -> bool:
    return column is not None and all(cell.lstrip("'").startswith("+") for cell in column.cells)


def _time(draft: Draft, probes: Probes, ask: Ask, said: list[tuple[str, str, bool]]) -> None:
    guess = infer(draft.facts.header, draft.facts.cells, probes.converts)
    rule = {"to": "time", **_read_as(guess.rule)}
    # What was ordered lies behind us, so of two centuries it is the past one.
    others = tuple({"type": "datetime", **_read_as(other)} for other in guess.others if _may_be_past(other))
    if others and "format" not in rule:
        choices = {str(place): _order_of(other["format"]) for place, other in enumerate(others, 1)}
        choices["open"] = "rows whose date can be read in two ways are refused"
        guess = Guess(guess.rule, guess.evidence, others)
        chosen = ask(ask_reading(draft, guess, choices, {"type": "datetime"}, probes))
        if chosen != "open":
            rule |= _read_as(others[int(chosen) - 1])
    if guess.evidence:
        draft.why = f"{draft.why}; {guess.evidence}"
    draft.rule = rule
    if not all(_OFFSET.search(cell) for cell in draft.facts.cells):
        header = draft.facts.header
        said.append(("time", f"{header!r} names no time zone: UTC is taken. Set timezone in [defaults].", False))


def _read_as(rule: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in rule.items() if name in {"format", "pivot"}}


def _may_be_past(rule: Mapping[str, Any]) -> bool:
    return "format" in rule and rule.get("pivot") in {None, "past"}


def _order_of(form: str) -> str:
    return f"the {'day' if form.startswith('%d') else 'month'} comes first ({form})"


def _amount(draft: Draft, probes: Probes, ask: Ask) -> None:
    rule = dict(draft.rule or {})
    if rule["to"] != "value":
        rule["type"] = "money"
    guess = infer("total", draft.facts.cells, probes.converts)
    if "decimal" in guess.rule:
        rule["decimal"] = guess.rule["decimal"]
    elif guess.others:
        signs = {".": "the point is the decimal sign", ",": "the comma is the decimal sign"}
        choices = {str(place): signs[other["decimal"]] for place, other in enumerate(guess.others, 1)}
        choices["open"] = "amounts that can be read in two ways are left out"
        chosen = ask(ask_reading(draft, guess, choices, {"type": "money"}, probes))
        if chosen != "open":
            rule["decimal"] = guess.others[int(chosen) - 1]["decimal"]
    draft.rule = rule


def _other(draft: Draft, probes: Probes, said: list[tuple[str, str, bool]], *, lines: bool) -> None:
    """Decide about a column that says neither who, when, how much nor what: a property, if it is of the order."""
    header = draft.facts.header
    words = fold(header)
    known = target_of(header)
    if not draft.facts.filled:
        draft.why = "every cell is empty"
    elif permissions.recognise_consent(draft.facts) is not None:
        draft.why = "says who may be contacted: import it as profiles (--preset)"
        said.append(
            (header, f"{header!r} says who may be contacted. Events say nothing of that: import it as profiles.", False)
        )
    elif _OF_A_PERSON.search(words) or (known is not None and known[0].partition(".")[0] in _PERSONAL):
        draft.why = "of the customer, not of the order"
    elif header.startswith("$"):
        draft.why = "Klaviyo keeps names with $ for itself"
    else:
        item = lines and _OF_AN_ITEM.match(words) is not None
        draft.rule = {"to": f"{'item.' if item else 'properties.'}{header}"}
        guess = infer(header, draft.facts.cells, probes.converts)
        draft.rule |= guess.rule
        draft.why = f"of the {'item' if item else 'order'}" + (f"; {guess.evidence}" if guess.evidence else "")


_PERSONAL: Final = frozenset((*IDENTIFIERS, "first_name", "last_name", "organization", "location"))


def _repeats(sample: pd.DataFrame, order: str) -> bool:
    numbers = [number for number in _texts(sample, order) if number]
    return len(set(numbers)) < len(numbers)


def _value_of(sample: pd.DataFrame, order: str, value: str, ask: Ask) -> str:
    """Return whether an order's value stands on its first row, or its rows add up to it."""
    amounts: dict[str, list[str]] = {}
    for number, amount in zip(_texts(sample, order), _texts(sample, value), strict=True):
        if number:
            amounts.setdefault(number, []).append(amount)
    different = [each for each in amounts.values() if len({amount for amount in each if amount}) > 1]
    if not different:
        return "first"
    shown = [amount for amount in different[0] if amount][:_SHOWN]
    question = Question(
        "value",
        f"The rows of one order differ in {value!r}. What is the order's value?",
        {"sum": "what its rows come to", "first": "what stands on its first row"},
        "sum",
        cells={"sum": " + ".join(shown), "first": f"{', '.join(shown)} → {shown[0]}"},
    )
    return ask(question)


def _texts(sample: pd.DataFrame, header: str) -> list[str]:
    return [str(text) for text in sample[header].fillna("").str.strip().tolist()]


def _currency(cells: Sequence[str]) -> str | None:
    fitting = [code for sign, code in _SIGNS.items() if cells and all(sign in cell for cell in cells)]
    return fitting[0] if fitting else None


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(files("schemas").joinpath("orders.toml").read_text(encoding="utf-8"))
