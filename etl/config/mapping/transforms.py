"""``transform`` of a column and ``[computed]``: how cells are changed before they are judged."""

from __future__ import annotations

import re
from collections.abc import Mapping as AbstractMapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from etl.column_names import column_name
from etl.config.base import ColumnName, Model

_FIELD: Final = re.compile(r"\{([^{}]+)\}")
_REFERENCE: Final = r"^[\w.]+:\w+$"


class Step(Model):
    """One change to a cell; exactly one of the keys, ``part`` beside ``split``."""

    do: Literal["strip", "collapse", "lower", "upper", "title", "country_code", "country_name"] | None = None
    default: str | None = Field(None, min_length=1, description="What an empty cell becomes")
    replace: dict[str, str] | None = Field(None, min_length=1, description="Whole cells and what they become")
    split: str | None = Field(None, min_length=1, description="Cut the cell here and keep one part")
    part: int | None = Field(None, description="Which part of a split: 1 the first, -1 the last")
    pad: int | None = Field(None, ge=2, le=40, description="Fill a number up to this many digits, with zeros before it")
    function: str | None = Field(None, pattern=_REFERENCE, description="A Python function of the text, as module:name")

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        given = [
            name for name in ("do", "default", "replace", "split", "pad", "function") if getattr(self, name) is not None
        ]
        if len(given) != 1:
            words = "strip, collapse, lower, upper, title, country_code, country_name"
            tables = "{ default = … }, { replace = { … } }, { split = …, part = … }, { pad = … }, { function = … }"
            raise ValueError(f"a step is one of: {words}, {tables}")
        if (self.split is None) != (self.part is None) or self.part == 0:
            raise ValueError('write a split with its part: { split = " ", part = 1 }')
        return self


def _step_from_word(value: object) -> object:
    return {"do": value} if isinstance(value, str) else value


Steps = tuple[Annotated[Step, BeforeValidator(_step_from_word, json_schema_input_type=str | Step)], ...]


class Computed(Model):
    """A column that the source has not: made of several, or the same for every row."""

    template: str | None = Field(None, min_length=1, description='Text with source columns in braces: "{First} {Last}"')
    join: tuple[ColumnName, ...] | None = Field(
        None, min_length=2, description="Source columns whose cells stand together"
    )
    by: str = Field(" ", description="What stands between joined cells; empty cells are left out")
    constant: str | None = Field(None, min_length=1, description="The same text for every row")
    rule: dict[str, Any] = Field({}, description="Keys of a column: type, format, transform …")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        given = [name for name in ("template", "join", "constant") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError("give exactly one of template, join and constant")
        if self.template is not None and not _FIELD.search(self.template):
            raise ValueError('a template names columns in braces: "{First} {Last}"; without any, use constant')
        return self

    @property
    def headers(self) -> tuple[str, ...]:
        """The source columns this is made of."""
        if self.template is not None:
            return tuple(dict.fromkeys(map(column_name, _FIELD.findall(self.template))))
        return self.join or ()

    @property
    def pieces(self) -> list[str]:
        """A template's fixed texts and headers in turn, beginning with a text."""
        parts = _FIELD.split(self.template or "")
        return [column_name(part) if place % 2 else part for place, part in enumerate(parts)]


TRANSFORM_WAYS: Final = ("template", "join", "by", "constant")
"""Keys that say how a column is computed."""


def computed_from_table(value: object) -> object:
    """Let the keys of a column stand beside those that say how it is made.

    ``rule``, which no column has for a key, holds them already where the table is one that state kept.
    """
    if isinstance(value, Computed):
        return value
    if not isinstance(value, AbstractMapping):
        raise ValueError('a computed column is a table, such as { template = "{First} {Last}" }')  # noqa: TRY004 - pydantic
    if isinstance(value.get("rule"), AbstractMapping):
        return value
    own = {name: value[name] for name in TRANSFORM_WAYS if name in value}
    return {**own, "rule": {name: inner for name, inner in value.items() if name not in own}}


ComputedColumn = Annotated[Computed, BeforeValidator(computed_from_table, json_schema_input_type=dict[str, Any])]
