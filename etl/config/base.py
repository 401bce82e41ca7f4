"""What every section of the mapping is."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """Strict about unknown keys: a misspelt key must not be ignored in silence."""

    model_config = ConfigDict(extra="forbid", frozen=True)
