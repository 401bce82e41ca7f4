"""What every section of the mapping is."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict

from etl.column_names import column_name

ColumnName = Annotated[str, AfterValidator(column_name)]
"""A column of the source, as sources name theirs."""


class Model(BaseModel):
    """Strict about unknown keys: a misspelt key must not be ignored in silence."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with other values; what was worked out from the old ones stays behind."""
        copied = super().model_copy(update=update, deep=deep)
        for name in [name for name in vars(copied) if isinstance(getattr(type(self), name, None), cached_property)]:
            del vars(copied)[name]
        return copied
