"""The mapping file (TOML) as a whole: read, checked, hashed.

Every error names the key and the fix. ``mapping_schema()`` gives the JSON Schema for editors.
"""

from __future__ import annotations

import difflib
import hashlib
import re
import tomllib
from collections import Counter
from collections.abc import Mapping as AbstractMapping
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Self

import orjson
from pydantic import BaseModel, BeforeValidator, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from etl.column_names import distinct
from etl.config.base import ColumnName
from etl.config.mapping.columns import Column, ColumnRule
from etl.config.mapping.document import MappingDocument
from etl.config.mapping.merge_rules import check_merges
from etl.config.mapping.notify import MappingNotifyRule
from etl.config.mapping.row_rules import RowRule, check_rule
from etl.config.mapping.sections import ConsentRule, Defaults, Guards, LoadRule, ProfileRule, StateRule
from etl.config.mapping.source import SourceRule
from etl.config.mapping.targets import (
    CONSENT_PREFIX,
    CONSENT_STATES,
    GIVEN_DATES,
    PROPERTY_PREFIX,
    REPEATABLE,
    VALUE_TARGET,
    consent_needs,
)
from etl.config.mapping.transforms import TRANSFORM_WAYS, Computed, ComputedColumn, Step
from etl.errors import ConfigError
from etl.model import DIGEST_BYTES, IDENTIFIERS
from etl.user_code import UntrustedCode

_MAX_BYTES: Final = 10**7

# A date or a source of a consent says nothing without the consent, and a consent nothing without an address.
_CONSENT_NEEDS: Final = {
    **{target: consent_needs(target) for target in REPEATABLE},
    **{date: (date.removesuffix("_at"),) for date in GIVEN_DATES},
    "consent.source": CONSENT_STATES,
    "consent.date_of_birth": CONSENT_STATES,
}

# Options that came later: mappings without them keep the hash they had.
_LATER: Final = {
    **dict.fromkeys(("quoted", "inverted", "every_row"), False),
    **dict.fromkeys(("escape", "time", "pivot", "repair", "apostrophe")),
}


def computed_header(target: str) -> str:
    """Return what a computed column is called where a source column would be named."""
    return f"[computed] {target}"


class Mapping(MappingDocument):
    """The whole mapping file."""

    source: SourceRule = SourceRule()
    defaults: Defaults = Defaults()
    columns: Annotated[dict[ColumnName, Column], BeforeValidator(distinct)] = Field(min_length=1)
    computed: dict[str, ComputedColumn] = Field({}, description="Columns made of several, by target")
    rules: tuple[RowRule, ...] = ()
    profile: ProfileRule = ProfileRule()
    consent: ConsentRule = ConsentRule()
    load: LoadRule = LoadRule()
    guards: Guards = Guards()
    notify: MappingNotifyRule | None = Field(None, description="Who is told when the condition of this import changes")
    state: StateRule = StateRule()

    @field_validator("computed", mode="before")
    @classmethod
    def _known_keys(cls, tables: object) -> object:
        """Name a misspelt key as such, before anything is missed that it was meant to say."""
        known = [*TRANSFORM_WAYS, *(name for name in ColumnRule.model_fields if name != "to")]
        for target, table in tables.items() if isinstance(tables, AbstractMapping) else ():
            # What state kept holds the keys of a column by themselves.
            if not isinstance(table, AbstractMapping) or isinstance(table.get("rule"), AbstractMapping):
                continue
            for key in table:
                if key not in known:
                    raise ValueError(f"{target!r}: {key}: {_unknown_key(str(key), known)}")
        return tables

    @model_validator(mode="after")
    def _targets_fit(self) -> Self:
        seen: dict[str, str] = {}
        for header, rule in (*self.columns.items(), *self._computed_rules.items()):
            if rule.to in seen and rule.to not in REPEATABLE:
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
        rules = (*self.columns.values(), *self._computed_rules.values())
        check_merges((rule.merge for rule in rules), self.profile.duplicates, self.profile.newest_by)
        for row_rule in self.rules:
            check_rule(row_rule, self.by_target)
        if self.load.missing != "report" and self.source.watermark is not None:
            raise ValueError("load.missing needs the whole source, and a watermark reads only what is new")
        for target, needed in _CONSENT_NEEDS.items():
            if target in seen and not any(other in seen for other in needed):
                raise ValueError(f"column {seen[target]!r} goes to {target}, which needs {' or '.join(needed)} too")
        if self.consent.every_row is not None and not any(name in seen for name in ("email", "phone_number")):
            raise ValueError("consent.every_row needs a column that goes to email or phone_number")
        return self

    @cached_property
    def by_target(self) -> dict[str, tuple[str, ColumnRule]]:
        """Target → (source header, rule). Of several columns for one target the second is ``TARGET#2``."""
        found: dict[str, tuple[str, ColumnRule]] = {}
        counted = Counter[str]()
        for header, rule in (*self.columns.items(), *self._computed_rules.items()):
            counted[rule.to] += 1
            found[rule.to if counted[rule.to] == 1 else f"{rule.to}#{counted[rule.to]}"] = (header, rule)
        return found

    @cached_property
    def _computed_rules(self) -> dict[str, ColumnRule]:
        """Header of a computed column → its rule."""
        rules = {}
        for target, computed in self.computed.items():
            try:
                rules[computed_header(target)] = ColumnRule.model_validate({**computed.rule, "to": target})
            except ValidationError as error:
                fault = error.errors(include_url=False, include_input=False)[0]
                place = (*("computed", target), *fault["loc"])
                raise ValueError(describe_fault({**fault, "loc": place})) from None
        return rules

    @property
    def code_references(self) -> tuple[str, ...]:
        """The functions and schemas (``module:name``) that the mapping names."""
        steps = (step for _, rule in self.by_target.values() for step in rule.transform)
        functions = (step.function for step in steps if step.function is not None)
        return tuple(dict.fromkeys((self.profile.schema_, *functions)))

    @cached_property
    def asks_consent(self) -> bool:
        """Whether rows say something of consent."""
        columns = any(target.startswith(CONSENT_PREFIX) for target in self.by_target)
        return columns or self.consent.every_row is not None

    @cached_property
    def clears_anything(self) -> bool:
        """Whether some column may clear a field; only profile-import can do that."""
        return any(rule.write == "clear_if_blank" for _, rule in self.by_target.values())

    @cached_property
    def hash(self) -> str:
        """Hex digest of what shapes a record (columns, defaults, profile), not of how it is loaded."""
        shape = self.model_dump(mode="json", include={"columns", "defaults", "profile"})
        # How it is loaded, not what it is.
        del shape["profile"]["on_conflict"]
        for column in shape["columns"].values():
            for step in column["transform"]:
                if step["pad"] is None:
                    del step["pad"]
            for option, usual in _LATER.items():
                if column[option] == usual:
                    del column[option]
        if self.computed:
            shape["computed"] = self.model_dump(mode="json", include={"computed"})["computed"]
        if self.source.repair is not None:
            shape["repair"] = self.source.repair
        if self.asks_consent:
            shape["consent"] = self.consent.model_dump(mode="json", exclude={"ignore"})
            if self.consent.every_row is None:
                del shape["consent"]["every_row"]
        return hashlib.blake2b(orjson.dumps(shape, option=orjson.OPT_SORT_KEYS), digest_size=DIGEST_BYTES).hexdigest()

    def uses_of(self, header: str) -> tuple[str, ...]:
        """Return what a source column is used for: targets, or in words; nothing for one that is not imported."""
        uses = [self.columns[header].to] if header in self.columns else []
        uses += [target for target, computed in self.computed.items() if header in computed.headers]
        if header == self.defaults.country_column:
            uses.append("country of phone numbers")
        if header == self.profile.newest_by:
            uses.append("order of a person's lines")
        return tuple(dict.fromkeys(uses))

    def missing_columns(self, headers: tuple[str, ...]) -> list[str]:
        """Return the source columns this mapping names that ``headers`` lack."""
        wanted = [*self.columns, *(header for computed in self.computed.values() for header in computed.headers)]
        if self.defaults.country_column:
            wanted.append(self.defaults.country_column)
        if self.profile.newest_by:
            wanted.append(self.profile.newest_by)
        there = frozenset(headers)
        return [name for name in dict.fromkeys(wanted) if name not in there]


def read_mapping(path: Path) -> bytes:
    """Return the bytes of a mapping file. Raise :class:`ConfigError`."""
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(
            "mapping-not-found", f"There is no mapping file {path}", "Check the path given with --mapping."
        ) from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "its name holds a NUL"
        raise ConfigError(
            "mapping-unreadable", f"{path} cannot be read: {why}", "Check the path and its permissions."
        ) from None
    if len(text) > _MAX_BYTES:
        raise ConfigError("mapping-unreadable", f"{path} is larger than any mapping", "Check the path.")
    return text


def parse_toml(text: bytes, path: Path) -> dict[str, Any]:
    """Return a mapping file as plain data. ``path``: for messages. Raise :class:`ConfigError`."""
    try:
        return tomllib.loads(text.decode("utf-8-sig").replace("\r\n", "\n"))
    except UnicodeDecodeError:
        raise ConfigError("mapping-not-utf8", f"{path} is not UTF-8 text", "Save the mapping file as UTF-8.") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            "mapping-not-toml",
            f"{path} is not valid TOML: {error}",
            'Quote column names that hold spaces: "Email Address" = "email".',
        ) from None


def load_mapping(path: Path) -> Mapping:
    """Read a mapping file; code that it names is not trusted yet.

    Raise :class:`ConfigError` naming the key, the fault and the fix.
    """
    text = read_mapping(path)
    mapping = parse_mapping(parse_toml(text, path), where=str(path))
    based = mapping.model_copy(update={"source": mapping.source.based_on(path.parent)})
    return based.with_code(UntrustedCode(path, text))


def parse_mapping(document: AbstractMapping[str, Any], *, where: str = "mapping") -> Mapping:
    """Check a mapping given as plain data. Raise :class:`ConfigError` naming every faulty key."""
    try:
        return Mapping.model_validate(document)
    except ValidationError as error:
        faults = [describe_fault(fault) for fault in error.errors(include_url=False, include_input=False)]
        raise ConfigError(
            "mapping-invalid",
            f"{where}:\n" + "\n".join(f"  {fault}" for fault in faults),
            "See klaviyo-etl docs mapping for every key.",
        ) from None


def load_notify_rule(path: Path) -> dict[str, Any]:
    """Read ``[notify]`` of a mapping file of any kind, as it is written; empty where it has none.

    Raise :class:`ConfigError`.
    """
    section = parse_toml(read_mapping(path), path).get("notify")
    if section is None:
        return {}
    try:
        return MappingNotifyRule.model_validate(section).model_dump(mode="json", by_alias=True)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        faults = [describe_fault({**fault, "loc": ("notify", *fault["loc"])}) for fault in found]
        raise ConfigError(
            "mapping-invalid",
            f"{path}:\n" + "\n".join(f"  {fault}" for fault in faults),
            "See klaviyo-etl docs operations for every key.",
        ) from None


_MEMBERS: Final[dict[str, type[BaseModel]]] = {
    "columns": ColumnRule,
    "rules": RowRule,
    "computed": Computed,
    "notify": MappingNotifyRule,
}
"""Sections that hold several of a kind, or may be missing."""


def describe_fault(fault: ErrorDetails) -> str:
    """Return what pydantic found as a sentence that names the key."""
    place = [str(part) for part in fault["loc"]]
    key = ".".join(f'"{part}"' if re.search(r"[^\w$-]", part) else part for part in place) or "(whole file)"
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "missing":
        message = "this key is missing"
    if fault["type"] == "extra_forbidden":
        section = Mapping.model_fields.get(place[0]) if len(place) > 1 else None
        model: object = Mapping if section is None else _MEMBERS.get(place[0], section.annotation)
        if "transform" in place[2:-1]:
            model = Step
        fields = model.model_fields if isinstance(model, type) and issubclass(model, BaseModel) else {}
        message = _unknown_key(place[-1], [field.alias or name for name, field in fields.items()])
    return f"{key}: {message}"


def _unknown_key(key: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    return f"unknown key; did you mean {near[0]!r}?" if near else f"unknown key; known here: {', '.join(known)}"


def mapping_schema() -> dict[str, Any]:
    """Return the JSON Schema of the mapping file, for editors."""
    schema = Mapping.model_json_schema(mode="validation")
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, **schema, "title": "klaviyo-etl mapping"}
