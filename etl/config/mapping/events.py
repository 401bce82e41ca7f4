"""The mapping file of events: orders and anything else that happened, one row each or one row a line item."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping as AbstractMapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import orjson
from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator

from etl.column_names import distinct
from etl.config.base import ColumnName, Model
from etl.config.mapping.document import MappingDocument
from etl.config.mapping.model import Mapping, describe_fault, parse_toml, read_mapping
from etl.config.mapping.notify import MappingNotifyRule
from etl.config.mapping.sections import Defaults, Guards, StateRule
from etl.config.mapping.source import SourceRule
from etl.errors import ConfigError
from etl.model import DIGEST_BYTES, IDENTIFIERS
from etl.user_code import UntrustedCode

EVENT_FIELDS: Final = ("time", "value", "currency", "order_id", "unique_id", "metric")
ITEM_PREFIX: Final = "item."
_PROPERTY: Final = "properties."
_LONGEST_METRIC: Final = 127
"""Klaviyo: a metric's name has fewer than 128 characters (reference 3.9)."""


class EventColumn(Model):
    """What becomes of one column: its target, and the keys that a column of profiles may have too."""

    to: str = Field(description="email, time, value, currency, order_id, properties.x, item.x ...")
    rule: dict[str, Any] = Field({}, description="type, format, timezone, decimal, transform ...")

    @field_validator("to")
    @classmethod
    def _known_target(cls, target: str) -> str:
        named = target.removeprefix(_PROPERTY) if target.startswith(_PROPERTY) else target.removeprefix(ITEM_PREFIX)
        if target in (*IDENTIFIERS, *EVENT_FIELDS) or (named and named != target):
            return target
        known = ", ".join((*IDENTIFIERS, *EVENT_FIELDS))
        raise ValueError(f"{target!r} is not a target of events; targets: {known}, properties.<name>, item.<name>")

    @property
    def as_column(self) -> dict[str, Any]:
        """The same as a column of a mapping of profiles, where it can be judged and typed."""
        rule = dict(self.rule)
        if self.to in IDENTIFIERS:
            return {**rule, "to": self.to}
        if self.to == "time":
            return {"type": "datetime", **rule, "to": "properties.$time", "required": True}
        if self.to in EVENT_FIELDS:
            rule.pop("decimal", None)
            return {**rule, "to": f"properties.${self.to}"}
        return {**rule, "to": f"properties.{self.to}"}


def _column_from(value: object) -> object:
    if isinstance(value, str):
        return {"to": value}
    if isinstance(value, AbstractMapping) and "rule" not in value:
        return {"to": value.get("to"), "rule": {name: inner for name, inner in value.items() if name != "to"}}
    return value


class EventRule(Model):
    """What happened, and how rows become events."""

    metric: str | None = Field(None, min_length=1, max_length=_LONGEST_METRIC, description="Name of the metric")
    currency: str | None = Field(None, pattern="^[A-Z]{3}$", description="ISO 4217 code of amounts without one")
    group_by_order: bool = Field(default=False, description="Rows of one order_id are line items of one event")
    value: Literal["first", "sum"] = Field("first", description="An order's value: its first row's, or the sum")
    items_as: str | None = Field(None, min_length=1, max_length=_LONGEST_METRIC, description="One more event per item")
    backfill: bool = Field(default=True, description="Recorded without starting flows; false lets flows start")


class EventMapping(MappingDocument):
    """The whole mapping file of events."""

    source: SourceRule = SourceRule()
    defaults: Defaults = Defaults()
    event: EventRule = EventRule()
    columns: Annotated[
        dict[ColumnName, Annotated[EventColumn, BeforeValidator(_column_from)]], BeforeValidator(distinct)
    ] = Field(min_length=1)
    guards: Guards = Guards()
    notify: MappingNotifyRule | None = Field(None, description="Who is told when the condition of this import changes")
    state: StateRule = StateRule()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        targets = [column.to for column in self.columns.values()]
        if not set(IDENTIFIERS) & set(targets):
            raise ValueError("no column says who it was: email, phone_number or external_id")
        if "time" not in targets:
            raise ValueError("no column goes to time: an event without its time would count as happening now")
        if self.event.metric is None and "metric" not in targets:
            raise ValueError('nothing says what happened: set metric in [event], such as "Placed Order"')
        if self.event.group_by_order and "order_id" not in targets:
            raise ValueError("group_by_order needs a column that goes to order_id")
        if any(target.startswith(ITEM_PREFIX) for target in targets) and not self.event.group_by_order:
            raise ValueError("item.<name> is for rows that are line items: set group_by_order = true")
        if self.event.items_as is not None and not self.event.group_by_order:
            raise ValueError("items_as needs group_by_order = true")
        self.compiled  # noqa: B018 - its faults are this mapping's
        return self

    @cached_property
    def compiled(self) -> Mapping:
        """The mapping of profiles that judges and types the cells."""
        columns = {header: column.as_column for header, column in self.columns.items()}
        try:
            mapping = Mapping.model_validate(
                {
                    "source": self.source,
                    "defaults": self.defaults,
                    "columns": columns,
                    "guards": self.guards,
                    "state": self.state,
                }
            )
            return mapping.with_code(self.code)
        except ValidationError as error:
            fault = error.errors(include_url=False, include_input=False)[0]
            raise ValueError(describe_fault(fault)) from None

    @property
    def code_references(self) -> tuple[str, ...]:
        """The functions and schemas (``module:name``) that the mapping names."""
        return self.compiled.code_references

    @cached_property
    def hash(self) -> str:
        """Hex digest of what shapes an event."""
        shape = orjson.dumps([self.compiled.hash, self.event.model_dump(mode="json")])
        return hashlib.blake2b(shape, digest_size=DIGEST_BYTES).hexdigest()

    def header_of(self, target: str) -> str | None:
        """Return the source column that goes to a target."""
        return next((header for header, column in self.columns.items() if column.to == target), None)

    def decimal_of(self, target: str) -> Literal[".", ","] | None:
        """Return the decimal sign that the column of a target was given."""
        sign = next((column.rule.get("decimal") for column in self.columns.values() if column.to == target), None)
        return sign if sign in {".", ","} else None


def load_event_mapping(path: Path) -> EventMapping:
    """Read a mapping file of events. Raise :class:`ConfigError` naming the key, the fault and the fix."""
    text = read_mapping(path)
    mapping = parse_event_mapping(parse_toml(text, path), where=str(path))
    based = mapping.model_copy(update={"source": mapping.source.based_on(path.parent)})
    return based.with_code(UntrustedCode(path, text))


def parse_event_mapping(document: AbstractMapping[str, Any], *, where: str = "mapping") -> EventMapping:
    """Check a mapping given as plain data. Raise :class:`ConfigError` naming every faulty key."""
    try:
        return EventMapping.model_validate(document)
    except ValidationError as error:
        faults = [describe_fault(fault) for fault in error.errors(include_url=False, include_input=False)]
        raise ConfigError(
            "mapping-invalid",
            f"{where}:\n" + "\n".join(f"  {fault}" for fault in faults),
            "See klaviyo-etl docs events for every key.",
        ) from None
