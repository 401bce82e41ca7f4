"""``[columns]`` of the mapping: what becomes of one source column."""

from __future__ import annotations

import re
from collections.abc import Mapping as AbstractMapping
from datetime import UTC, datetime
from typing import Annotated, Final, Literal, Self
from zoneinfo import available_timezones

import re2
from pydantic import BeforeValidator, Field, field_validator, model_validator

from etl.config.base import Model
from etl.config.mapping.merge_rules import MergeRule, check_merge
from etl.config.mapping.targets import (
    CONSENT_DATES,
    CONSENT_PREFIX,
    CONSENT_TARGETS,
    FIXED_TARGETS,
    LIST_TARGET,
    OPT_OUT_REASONS,
    OPT_OUT_TARGETS,
    PROPERTY_PREFIX,
    UNREACHABLE,
    VALUE_TARGET,
    suggest_target,
)
from etl.config.mapping.transforms import Steps
from etl.model import IDENTIFIERS

ValueType = Literal["text", "integer", "decimal", "boolean", "date", "datetime", "list", "money", "json"]
WriteRule = Literal[
    "if_new_not_blank", "always", "clear_if_blank", "only_if_existing_blank", "append", "remove", "unset_if_blank"
]

LIST_PATCHES: Final = ("append", "remove")
"""Write rules that change some items of a list and leave the others."""

_QUIETLY: Final = re2.Options()
_QUIETLY.log_errors = False  # RE2 would write its complaints to stderr


class ColumnRule(Model):
    """What becomes of one source column."""

    to: str = Field(description="Target, such as email, location.city, properties.plan, $value or list")
    type: ValueType = Field("text", description="Type of the value in Klaviyo")
    format: str | None = Field(None, description="strptime format of a date or datetime, such as %d/%m/%Y")
    pivot: Annotated[int, Field(ge=1800, le=2100)] | Literal["past", "future"] | None = Field(
        None,
        description="Years of two digits: past (birthdays), future (expiry dates), or the first year of a hundred",
    )
    timezone: str | None = Field(
        None, description="IANA zone of datetimes without offset; default: [defaults], else UTC"
    )
    time: Literal["noon"] | None = Field(
        None,
        description="Time of day of dates without one: Klaviyo takes them for midnight UTC, the day before elsewhere",
    )
    separator: str | None = Field(None, min_length=1, description="Separator of a list; without it, a JSON array")
    quoted: bool = Field(default=False, description='Items of a list may stand in double quotes: "VIP","Blog, EN"')
    escape: str | None = Field(
        None, min_length=1, max_length=1, description="Makes the separator after it a part of the item: Food\\, Wine"
    )
    decimal: Literal[".", ","] | None = Field(
        None, description="Decimal sign of a number; default: inferred, not guessed"
    )
    required: bool = Field(default=False, description="An empty or bad cell refuses the row")
    one_of: tuple[str, ...] | None = Field(None, min_length=1, description="The allowed values, as text")
    pattern: str | None = Field(None, description="Regular expression (RE2) the whole cell must match")
    min_length: int | None = Field(None, ge=0)
    max_length: int | None = Field(None, ge=1)
    min: float | None = Field(None, description="Smallest number allowed")
    max: float | None = Field(None, description="Largest number allowed")
    write: WriteRule = Field(
        "if_new_not_blank", description="What becomes of empty cells, of values already there, and of lists"
    )
    unique: bool = Field(default=False, description="No two people of the source may share this value")
    not_in_future: bool = Field(default=False, description="A date or moment that has not come yet is bad")
    repair: bool | None = Field(
        None,
        description="Damaged text (JosÃ©, &amp;, NULL) is left out and said; true mends it and says so, false sends it",
    )
    transform: Steps = Field((), description="How cells are changed before they are judged, step by step")
    apostrophe: Literal["drop", "keep"] | None = Field(
        None,
        description="Whether an apostrophe before a cell is a spreadsheet's mark; default: held back where doubtful",
    )
    merge: MergeRule | None = Field(None, description="What several lines of one person come to; default: last, newest")
    inverted: bool = Field(
        default=False, description="An opt-out column that says yes of people who may be contacted: no is the opt-out"
    )
    every_row: bool = Field(
        default=False, description="A file that has this opt-out column holds nobody else: its empty cells count too"
    )

    @field_validator("to")
    @classmethod
    def _known_target(cls, target: str) -> str:
        if target in FIXED_TARGETS or (target.startswith(PROPERTY_PREFIX) and target != PROPERTY_PREFIX):
            return target
        if target == PROPERTY_PREFIX:
            raise ValueError(f"{target!r} lacks the property's name; write it like 'properties.plan'")
        if target.startswith(CONSENT_PREFIX):
            raise ValueError(_no_consent(target))
        near = suggest_target(target)
        advice = f"did you mean {near!r}?" if near else f"for a custom property write {PROPERTY_PREFIX + target!r}"
        raise ValueError(f"{target!r} is not a target; {advice}")

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, zone: str | None) -> str | None:
        return check_zone(zone)

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            try:
                re2.compile(pattern, _QUIETLY)
            except re2.error as error:
                fault = error.args[0]
                said = fault.decode(errors="replace") if isinstance(fault, bytes) else fault
                raise ValueError(
                    f"RE2 does not take this expression ({said}); it has no look-around and no back-references, "
                    "so that no cell can make it hang"
                ) from None
        return pattern

    @field_validator("format")
    @classmethod
    def _readable(cls, form: str | None) -> str | None:
        if form is None:
            return None
        directives = set(re.findall(r"%(.)", form.replace("%%", "")))
        if "Z" in directives:
            raise ValueError("%Z is not read reliably; use %z for an offset, or set timezone")
        if not directives & {"Y", "y", "G", "c", "x"}:
            raise ValueError(f"{form!r} has no year; write it like %d/%m/%Y")
        try:
            sample = datetime(2004, 2, 29, 13, 14, 15, tzinfo=UTC)
            datetime.strptime(sample.strftime(form), form)  # noqa: DTZ007 - only whether it can be read
        except (ValueError, re.error):
            raise ValueError(f"{form!r} is not a strptime format; write it like %d/%m/%Y") from None
        return form

    @model_validator(mode="after")
    def _fits_type(self) -> Self:
        typed_freely = self.to.startswith(PROPERTY_PREFIX) or self.to == VALUE_TARGET
        if self.to in CONSENT_DATES:
            typed_freely = self.type in {"date", "datetime"}
        if self.time is not None and self.to in CONSENT_DATES:
            raise ValueError(f"time is for dates in custom properties; {self.to} is sent with a time of its own")
        self._opt_out_fits()
        if self.to == LIST_TARGET and self.type not in {"text", "list"}:
            raise ValueError('list holds names or ids of lists: set type = "text", or "list" for several')
        if self.type != "text" and not typed_freely and self.to != LIST_TARGET:
            raise ValueError(f'{self.to} is always text in Klaviyo; type = "{self.type}" is for properties and $value')
        if self.to == VALUE_TARGET and self.type not in {"money", "decimal", "integer"}:
            raise ValueError('$value is a number: set type = "money"')
        if self.write == "always" and self.type not in {"text", "list"}:
            raise ValueError(
                f'write = "always" needs a type with an empty value (text or list), not {self.type}; see clear_if_blank'
            )
        unerasable = self.to in (*IDENTIFIERS, LIST_TARGET) or self.to.startswith(CONSENT_PREFIX)
        if self.write != "if_new_not_blank" and unerasable:
            raise ValueError(f'write = "{self.write}" cannot be used on {self.to}')
        check_patch(self.write, self.type, self.to)
        check_merge(self.merge, self.type, self.to, self.write)
        self._options_fit()
        return self

    def _opt_out_fits(self) -> None:
        if self.every_row and self.to not in OPT_OUT_TARGETS:
            raise ValueError(f"every_row is for columns of opt-outs, such as consent.email_optout_at, not {self.to}")
        if self.inverted and (self.to not in OPT_OUT_TARGETS or self.to in (*CONSENT_DATES, *OPT_OUT_REASONS)):
            raise ValueError(f"inverted is for columns that say yes or no of an opt-out, not {self.to}")
        if self.inverted and self.every_row:
            raise ValueError("inverted and every_row contradict each other; keep one")

    def _options_fit(self) -> None:
        if self.not_in_future and self.type not in {"date", "datetime"}:
            raise ValueError(f'not_in_future is for type = date or datetime, not "{self.type}"')
        for option, types in _OPTION_TYPES.items():
            if getattr(self, option) is not None and self.type not in types:
                other = "; for text use min_length and max_length" if option in {"min", "max"} else ""
                raise ValueError(f'{option} is for type = {" or ".join(types)}, not "{self.type}"{other}')
        if (self.quoted or self.escape) and self.separator is None:
            raise ValueError("quoted and escape go with separator, which is missing")
        if self.escape is not None and self.escape in f'{self.separator}"':
            raise ValueError("escape is a character of its own, neither separator nor quote")
        for least, most in (("min", "max"), ("min_length", "max_length")):
            low, high = getattr(self, least), getattr(self, most)
            if low is not None and high is not None and low > high:
                raise ValueError(f"{least} = {low:g} is above {most} = {high:g}; no value could pass")


def _no_consent(target: str) -> str:
    """Return why nothing goes to a target that begins like those of consent."""
    name = target.removeprefix(CONSENT_PREFIX)
    unreachable = [key for key in UNREACHABLE if name == key or name.startswith(f"{key}_") or name.endswith(f"_{key}")]
    if unreachable:
        return (
            f"{target!r}: {UNREACHABLE[unreachable[0]]} cannot be given or taken by this importer; leave the column out"
        )
    return f"{target!r} is not a target; of consent there are: {', '.join(CONSENT_TARGETS)}"


def check_patch(write: str, kind: str, target: str) -> None:
    """Raise ``ValueError`` for a patch of what Klaviyo cannot patch: it patches custom properties (reference 3.1)."""
    if write in LIST_PATCHES and (kind != "list" or not target.startswith(PROPERTY_PREFIX)):
        raise ValueError(
            f'write = "{write}" is for lists in custom properties: set type = "list" and to = "properties…"'
        )
    if write == "unset_if_blank" and not target.startswith(PROPERTY_PREFIX) and target != VALUE_TARGET:
        raise ValueError('write = "unset_if_blank" takes a custom property away; elsewhere use "clear_if_blank"')


_NUMBERS: Final = ("integer", "decimal", "money")
_OPTION_TYPES: Final[dict[str, tuple[str, ...]]] = {
    "format": ("date", "datetime"),
    "pivot": ("date", "datetime"),
    "timezone": ("datetime",),
    "time": ("date", "datetime"),
    "separator": ("list",),
    **dict.fromkeys(("decimal", "min", "max"), _NUMBERS),
}


def check_zone(zone: str | None) -> str | None:
    """Return the zone. Raise ``ValueError`` if IANA does not know it."""
    if zone is not None and zone not in available_timezones():
        raise ValueError(f"{zone!r} is not an IANA time zone; write it like 'America/New_York'")
    return zone


def _column_from_text(value: object) -> object:
    if isinstance(value, str):
        return {"to": value}
    if isinstance(value, (AbstractMapping, ColumnRule)):
        return value
    raise ValueError('a column is a target, such as "email", or a table, such as { to = "properties.x" }')


Column = Annotated[ColumnRule, BeforeValidator(_column_from_text, json_schema_input_type=str | ColumnRule)]
