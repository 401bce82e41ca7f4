"""``[[rules]]``: what must hold across the cells of a row, as an expression over its fields."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from typing import Final, Literal

from pydantic import Field

from etl.config.base import Model

# What an expression may be made of: comparisons, arithmetic, and/or/not, membership, names and constants. No calls, no
# attributes, no subscripts: a mapping that was sent by somebody else runs no code.
_LOGIC: Final = (ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.UAdd)
_COMPARISONS: Final = (ast.Compare, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn)
_ARITHMETIC: Final = (ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Div)
_VALUES: Final = (ast.Name, ast.Load, ast.Constant, ast.List, ast.Tuple)
_ALLOWED: Final = (*_LOGIC, *_COMPARISONS, *_ARITHMETIC, *_VALUES)
_WORD: Final = re.compile(r"\W+")


class RowRule(Model):
    """One rule. A row passes where the expression is true."""

    name: str = Field(min_length=1, description="What the rule is called in reports")
    expression: str = Field(min_length=1, description="Such as plan != 'pro' or total_spent > 0")
    severity: Literal["error", "warning"] = Field("error", description="Whether a row that fails is refused")

    @property
    def names(self) -> tuple[str, ...]:
        """The fields it speaks of. Raise ``SyntaxError`` if it is no expression."""
        tree = ast.parse(self.expression, mode="eval")
        return tuple(dict.fromkeys(node.id for node in ast.walk(tree) if isinstance(node, ast.Name)))


def field_name(target: str) -> str:
    """Return what a target is called in expressions: ``properties.total spent`` is ``total_spent``."""
    return _WORD.sub("_", target.rpartition(".")[2].lstrip("$")).strip("_")


def check_rule(rule: RowRule, targets: Iterable[str]) -> None:
    """Raise ``ValueError`` for an expression that cannot be evaluated over these targets."""
    try:
        tree = ast.parse(rule.expression, mode="eval")
    except SyntaxError as error:
        raise ValueError(f"rule {rule.name!r}: {rule.expression!r} is not an expression ({error.msg})") from None
    for node in ast.walk(tree):
        if not isinstance(node, _ALLOWED):
            what = type(node).__name__.lower()
            said = f"rule {rule.name!r}: {what} is not allowed; compare fields, with and, or, not, in"
            raise ValueError(said)  # noqa: TRY004 - pydantic takes ValueError
    fields = [field_name(target) for target in targets]
    for name in rule.names:
        if name not in fields:
            raise ValueError(f"rule {rule.name!r}: there is no field {name!r}; fields: {', '.join(sorted(fields))}")
        if fields.count(name) > 1:
            raise ValueError(f"rule {rule.name!r}: several targets are called {name!r}")
