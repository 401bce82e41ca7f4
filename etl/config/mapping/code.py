"""What a mapping knows of the Python code that it names."""

from __future__ import annotations

from typing import Self

from pydantic import PrivateAttr

from etl.config.base import Model
from etl.user_code import Code, ImportedCode


class UsesCode(Model):
    """A mapping that may name code. One made by a program may import anything, one read from a file nothing yet."""

    _code: Code = PrivateAttr(default_factory=ImportedCode)

    @property
    def code(self) -> Code:
        """Where the modules that the mapping names come from."""
        return self._code

    def with_code(self, code: Code) -> Self:
        """Return the mapping with other code."""
        copied = self.model_copy()
        copied._code = code  # noqa: SLF001 - of our own kind
        return copied
