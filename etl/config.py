"""The mapping file (TOML) and the settings, as pydantic models.

A mapping says which source column goes to which Klaviyo field, as what type and by what rules (design §7). Every error
names the key and the fix. ``mapping_schema()`` gives the JSON Schema for editors.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import tomllib
from collections.abc import Mapping as AbstractMapping
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from zoneinfo import available_timezones

import orjson
import re2
from dotenv import dotenv_values
from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from etl.errors import ConfigError
from etl.source_rule import Model as _Model
from etl.source_rule import SourceRule as SourceRule  # noqa: PLC0414 - part of what this module offers

IDENTIFIERS: Final = ("email", "phone_number", "external_id")
"""What Klaviyo can recognise a profile by."""

ATTRIBUTES: Final = ("first_name", "last_name", "organization", "locale", "title", "image")
"""Plain text attributes of a profile."""

_LOCATION: Final = "address1 address2 city country latitude longitude region zip timezone ip"
LOCATION_FIELDS: Final = tuple(_LOCATION.split())

VALUE_TARGET: Final = "$value"
LIST_TARGET: Final = "list"
PROPERTY_PREFIX: Final = "properties."
LOCATION_PREFIX: Final = "location."

FIXED_TARGETS: Final = (
    *IDENTIFIERS,
    *ATTRIBUTES,
    *(LOCATION_PREFIX + name for name in LOCATION_FIELDS),
    VALUE_TARGET,
    LIST_TARGET,
)

DEFAULT_REVISION: Final = "2026-10-15"
DEFAULT_BASE_URL: Final = "https://a.klaviyo.com"

ValueType = Literal["text", "integer", "decimal", "boolean", "date", "datetime", "list", "money", "json"]
WriteRule = Literal["if_new_not_blank", "always", "clear_if_blank"]
DuplicateRule = Literal["merge", "last", "first", "reject"]
Identifier = Literal["email", "phone_number", "external_id"]


_QUIETLY: Final = re2.Options()
_QUIETLY.log_errors = False  # RE2 would write its complaints to stderr


class ColumnRule(_Model):
    """What becomes of one source column."""

    to: str = Field(description="Target, such as email, location.city, properties.plan, $value or list")
    type: ValueType = Field("text", description="Type of the value in Klaviyo")
    format: str | None = Field(None, description="strptime format of a date or datetime, such as %d/%m/%Y")
    timezone: str | None = Field(
        None, description="IANA zone of datetimes without offset; default: [defaults], else UTC"
    )
    separator: str | None = Field(None, min_length=1, description="Separator of a list; without it, a JSON array")
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
        "if_new_not_blank", description="What an empty cell does: nothing, empty the field, clear it"
    )

    @field_validator("to")
    @classmethod
    def _known_target(cls, target: str) -> str:
        if target in FIXED_TARGETS or (target.startswith(PROPERTY_PREFIX) and target != PROPERTY_PREFIX):
            return target
        if target == PROPERTY_PREFIX:
            raise ValueError(f"{target!r} lacks the property's name; write it like 'properties.plan'")
        near = _near_target(target)
        advice = f"did you mean {near!r}?" if near else f"for a custom property write {PROPERTY_PREFIX + target!r}"
        raise ValueError(f"{target!r} is not a target; {advice}")

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, zone: str | None) -> str | None:
        return _check_zone(zone)

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
        if self.write != "if_new_not_blank" and self.to in (*IDENTIFIERS, LIST_TARGET):
            raise ValueError(f'write = "{self.write}" cannot be used on {self.to}')
        self._options_fit()
        return self

    def _options_fit(self) -> None:
        for option, types in _OPTION_TYPES.items():
            if getattr(self, option) is not None and self.type not in types:
                other = "; for text use min_length and max_length" if option in {"min", "max"} else ""
                raise ValueError(f'{option} is for type = {" or ".join(types)}, not "{self.type}"{other}')
        for least, most in (("min", "max"), ("min_length", "max_length")):
            low, high = getattr(self, least), getattr(self, most)
            if low is not None and high is not None and low > high:
                raise ValueError(f"{least} = {low:g} is above {most} = {high:g}; no value could pass")


_NUMBERS: Final = ("integer", "decimal", "money")
_OPTION_TYPES: Final[dict[str, tuple[str, ...]]] = {
    "format": ("date", "datetime"),
    "timezone": ("datetime",),
    "separator": ("list",),
    **dict.fromkeys(("decimal", "min", "max"), _NUMBERS),
}
# What people call a target when they write it from memory.
_SPOKEN: Final = """phone=phone_number mobile=phone_number sms=phone_number mail=email email_address=email
    id=external_id customer_id=external_id company=organization language=locale job_title=title
    address=location.address1 street=location.address1 state=location.region postal_code=location.zip value=$value"""
_NICKNAMES: Final = dict(pair.split("=") for pair in _SPOKEN.split())


def _near_target(target: str) -> str | None:
    name = re.sub(r"[\s-]+", "_", target.strip().lower()).removeprefix("$")
    if name in _NICKNAMES:
        return _NICKNAMES[name]
    for known in (name, LOCATION_PREFIX + name):
        if known in FIXED_TARGETS:
            return known
    near = difflib.get_close_matches(target, FIXED_TARGETS, n=1)
    return near[0] if near else None


def _check_zone(zone: str | None) -> str | None:
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


class Defaults(_Model):
    """What holds where a row does not say."""

    country: str | None = Field(
        None, description="ISO 3166 code for phone numbers without +", json_schema_extra={"pattern": "^[A-Z]{2}$"}
    )
    country_column: str | None = Field(None, description="Source column with the country of the row")
    timezone: str | None = Field(None, description="IANA zone of datetimes without offset")

    @field_validator("country")
    @classmethod
    def _country_code(cls, country: str | None) -> str | None:
        if country is not None and not re.fullmatch("[A-Z]{2}", country):
            raise ValueError(f"{country!r} is not an ISO 3166 code; write two capitals, such as US")
        return country

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, zone: str | None) -> str | None:
        return _check_zone(zone)


class ProfileRule(_Model):
    """How rows become profiles."""

    key: tuple[Identifier, ...] = Field(
        ("external_id", "email", "phone_number"),
        min_length=1,
        description="Identifiers by priority: the first one a row has is its identity",
    )
    duplicates: DuplicateRule = Field(
        "merge", description="Several lines of one person: merge them, keep the last or first, or reject all"
    )
    schema_: str = Field(
        "schemas.profile:Profile",
        alias="schema",
        pattern=r"^[\w.]+:\w+$",
        description="pandera schema, as module:name",
    )
    value_property: str = Field(VALUE_TARGET, min_length=1, description="Property that $value is written to")


class LoadRule(_Model):
    """How profiles reach Klaviyo."""

    list: str | None = Field(None, description="Id or name of the list every row is added to")
    remove_from_list: str | None = Field(None, description="Id or name of a list every loaded row is taken off")
    create_list: bool = Field(default=False, description="Create a list that does not exist")
    only_changed: bool = Field(default=False, description="Do not send rows that equal the last confirmed import")
    missing: Literal["report", "remove_from_list"] = Field("report", description="What becomes of rows that vanished")
    small_run: int = Field(50, ge=0, description="Up to this many rows go through profile-import one by one")
    batch_rows: int = Field(10_000, ge=1, le=10_000, description="Most profiles in one job (Klaviyo: 10,000)")
    batch_bytes: int = Field(4_600_000, ge=100_000, le=4_900_000, description="Most bytes in one job (Klaviyo: 5 MB)")


class Guards(_Model):
    """What stops a run before anything is sent (exit 6)."""

    max_rejected_percent: float | None = Field(None, ge=0, le=100)
    min_rows: int | None = Field(None, ge=0)
    max_rows: int | None = Field(None, ge=0)
    max_row_count_change_percent: float | None = Field(None, ge=0)
    max_source_age_hours: float | None = Field(None, gt=0)
    expect_account: str | None = Field(None, description="Klaviyo account id (six characters) the key must belong to")
    max_failed_percent: float | None = Field(None, ge=0, le=100, description="Stop loading when more rows sent fail")
    max_missing_percent: float = Field(10, ge=0, le=100, description="Most vanished rows that are taken off the list")


class Mapping(_Model):
    """The whole mapping file."""

    source: SourceRule = SourceRule()
    defaults: Defaults = Defaults()
    columns: dict[str, Column] = Field(min_length=1)
    profile: ProfileRule = ProfileRule()
    load: LoadRule = LoadRule()
    guards: Guards = Guards()

    @model_validator(mode="after")
    def _targets_fit(self) -> Self:
        seen: dict[str, str] = {}
        for header, rule in self.columns.items():
            if rule.to in seen:
                raise ValueError(f"columns {seen[rule.to]!r} and {header!r} both go to {rule.to!r}; keep one")
            seen[rule.to] = header
        clash = PROPERTY_PREFIX + self.profile.value_property
        if VALUE_TARGET in seen and clash in seen:
            raise ValueError(
                f"columns {seen[VALUE_TARGET]!r} and {seen[clash]!r} both go to {clash!r}; keep one, or set "
                "[profile] value_property"
            )
        if not any(name in seen for name in IDENTIFIERS):
            raise ValueError("no column goes to email, phone_number or external_id; Klaviyo needs one of them")
        return self

    @cached_property
    def by_target(self) -> dict[str, tuple[str, ColumnRule]]:
        """Target → (source header, rule)."""
        return {rule.to: (header, rule) for header, rule in self.columns.items()}

    @cached_property
    def clears_anything(self) -> bool:
        """Whether some column may clear a field; only profile-import can do that."""
        return any(rule.write == "clear_if_blank" for rule in self.columns.values())

    @cached_property
    def hash(self) -> str:
        """Hex digest of what shapes a record (columns, defaults, profile), not of how it is loaded."""
        shape = self.model_dump(mode="json", include={"columns", "defaults", "profile"})
        return hashlib.blake2b(orjson.dumps(shape, option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()

    def missing_columns(self, headers: tuple[str, ...]) -> list[str]:
        """Return the source columns this mapping names that ``headers`` lack."""
        wanted = list(self.columns)
        if self.defaults.country_column:
            wanted.append(self.defaults.country_column)
        return [name for name in dict.fromkeys(wanted) if name not in headers]


def load_mapping(path: Path) -> Mapping:
    """Read a mapping file. Raise :class:`ConfigError` naming the key, the fault and the fix."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(
            "mapping-not-found", f"There is no mapping file {path}", "Check the path given with --mapping."
        ) from None
    except UnicodeDecodeError:
        raise ConfigError("mapping-not-utf8", f"{path} is not UTF-8 text", "Save the mapping file as UTF-8.") from None
    except OSError as error:
        raise ConfigError(
            "mapping-unreadable", f"{path} cannot be read: {error.strerror}", "Check the path and its permissions."
        ) from None
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            "mapping-not-toml",
            f"{path} is not valid TOML: {error}",
            'Quote column names that hold spaces: "Email Address" = "email".',
        ) from None
    mapping = parse_mapping(document, where=str(path))
    return mapping.model_copy(update={"source": mapping.source.based_on(path.parent)})


def parse_mapping(document: AbstractMapping[str, Any], *, where: str = "mapping") -> Mapping:
    """Check a mapping given as plain data. Raise :class:`ConfigError` naming every faulty key."""
    try:
        return Mapping.model_validate(document)
    except ValidationError as error:
        faults = [_say(fault) for fault in error.errors(include_url=False, include_input=False)]
        raise ConfigError(
            "mapping-invalid",
            f"{where}:\n" + "\n".join(f"  {fault}" for fault in faults),
            "See docs/mapping.md for every key.",
        ) from None


def _say(fault: ErrorDetails) -> str:
    place = [str(part) for part in fault["loc"]]
    key = ".".join(f'"{part}"' if re.search(r"[^\w$-]", part) else part for part in place) or "(whole file)"
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "missing":
        message = "this key is missing"
    if fault["type"] == "extra_forbidden":
        section = Mapping.model_fields.get(place[0]) if len(place) > 1 else None
        model = Mapping if section is None else ColumnRule if place[0] == "columns" else section.annotation
        assert isinstance(model, type)  # noqa: S101 - what the annotations above say
        assert issubclass(model, BaseModel)  # noqa: S101
        known = [field.alias or name for name, field in model.model_fields.items()]
        near = difflib.get_close_matches(place[-1], known, n=1)
        message = f"unknown key; did you mean {near[0]!r}?" if near else f"unknown key; known here: {', '.join(known)}"
    return f"{key}: {message}"


def mapping_schema() -> dict[str, Any]:
    """Return the JSON Schema of the mapping file, for editors."""
    schema = Mapping.model_json_schema(mode="validation")
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, **schema, "title": "klaviyo-etl mapping"}


class Settings(_Model):
    """What comes from flags, environment and ``.env``: flag > environment > ``.env`` > default."""

    private_key: str | None = Field(None, repr=False)
    revision: str = Field(DEFAULT_REVISION, pattern=r"^\d{4}-\d{2}-\d{2}(\.pre)?$")
    base_url: str = DEFAULT_BASE_URL
    state: str = "klaviyo-etl.db"
    list: str | None = None


def environment(
    environ: AbstractMapping[str, str] | None = None, *, dotenv: Path | None = Path(".env")
) -> dict[str, str]:
    """Return the environment, over what ``.env`` holds."""
    file = dotenv_values(dotenv) if dotenv is not None and dotenv.is_file() else {}
    return {**{name: value for name, value in file.items() if value}, **(os.environ if environ is None else environ)}


_ENVIRONMENT: Final = {
    "private_key": "KLAVIYO_PRIVATE_KEY",
    "revision": "KLAVIYO_REVISION",
    "base_url": "KLAVIYO_BASE_URL",
    "state": "KLAVIYO_ETL_STATE",
    "list": "KLAVIYO_LIST_ID",
}


def load_settings(
    flags: AbstractMapping[str, str | None] | None = None,
    *,
    environ: AbstractMapping[str, str] | None = None,
    dotenv: Path | None = Path(".env"),
) -> Settings:
    """Collect the settings. ``flags`` holds field names of :class:`Settings`. Raise :class:`ConfigError`."""
    environ = os.environ if environ is None else environ
    file: AbstractMapping[str, str | None] = dotenv_values(dotenv) if dotenv is not None and dotenv.is_file() else {}
    values: dict[str, str] = {}
    for field, variable in _ENVIRONMENT.items():
        chosen = (flags or {}).get(field) or environ.get(variable) or file.get(variable)
        if chosen:
            values[field] = chosen
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        fields = {str(fault["loc"][0]) for fault in error.errors()}
        names = ", ".join(_ENVIRONMENT[field] for field in sorted(fields))
        raise ConfigError(
            "setting-invalid", f"{names} is not valid", "A revision is a date such as 2026-10-15."
        ) from None
