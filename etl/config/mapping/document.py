"""What the mapping of every kind of record is: a checked document, kept as it was given."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ModelWrapValidatorHandler, PrivateAttr, model_validator
from pydantic_core import to_jsonable_python

from etl.config.base import Model
from etl.user_code import Code, ImportedCode


class MappingDocument(Model):
    """A mapping. State keeps it as it was given, before defaults, and reads it back by the same parser.

    It may name code. One made by a program may import anything, one read from a file nothing yet.
    """

    _given: dict[str, Any] | None = PrivateAttr(default=None)
    _code: Code = PrivateAttr(default_factory=ImportedCode)

    @model_validator(mode="wrap")
    @classmethod
    def _keep_given(cls, data: object, handler: ModelWrapValidatorHandler[Self]) -> Self:
        made = handler(data)
        if isinstance(data, Mapping):
            made._given = to_jsonable_python(dict(data), by_alias=True)  # noqa: SLF001 - of our own kind
        return made

    @property
    def given(self) -> dict[str, Any]:
        """The mapping as it was given, as JSON has it."""
        return self.model_dump(mode="json", by_alias=True) if self._given is None else dict(self._given)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with other sections, which count as given."""
        copied = super().model_copy(update=update, deep=deep)
        if self._given is not None and update:
            changed = {name: _as_given(section) for name, section in update.items()}
            copied._given = {**self._given, **changed}  # noqa: SLF001 - of our own kind
        return copied

    @property
    def code(self) -> Code:
        """Where the modules that the mapping names come from."""
        return self._code

    def with_code(self, code: Code) -> Self:
        """Return the mapping with other code."""
        copied = self.model_copy()
        copied._code = code  # noqa: SLF001 - of our own kind
        return copied

    @cached_property
    def hash(self) -> str:
        """Hex digest of what shapes a record, not of how it is loaded."""
        raise NotImplementedError

    @property
    def code_references(self) -> tuple[str, ...]:
        """The functions and schemas (``module:name``) that the mapping names."""
        return ()


R = TypeVar("R", bound=MappingDocument)
"""The mapping of one kind of record."""


def _as_given(section: object) -> Any:
    if isinstance(section, BaseModel):
        return section.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return to_jsonable_python(section, by_alias=True)
