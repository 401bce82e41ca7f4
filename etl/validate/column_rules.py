"""The mapping's rules per column, compiled to pandera checks. A check's name is the code that a failing row gets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import pandas as pd
import pandera.pandas as pa

from etl.config import ColumnRule
from etl.config import Mapping as ColumnMapping
from schemas.columns import matches, no_longer_than

Check = Callable[["pd.Series[str]"], "pd.Series[bool]"]

_NAMED: Final = 10  # allowed values that a detail lists


def rule_schema(mapping: ColumnMapping) -> pa.DataFrameSchema:
    """Return the schema of the mapping's own rules, over target columns of strings; an empty cell passes them.

    ``required`` is not in here: it is asked after bad cells were blanked, see ``validator.py``. ``min`` and ``max`` are
    about numbers and are asked once cells are typed, in transform.
    """
    columns = {target: pa.Column(str, _checks(rule)) for target, (_, rule) in mapping.by_target.items()}
    return pa.DataFrameSchema({name: column for name, column in columns.items() if column.checks})


def details(mapping: ColumnMapping) -> Mapping[tuple[str, str], str]:
    """Return what to say of a failed rule: (target, code) → detail. Never holds a cell's value."""
    said: dict[tuple[str, str], str] = {}
    for target, (_, rule) in mapping.by_target.items():
        if rule.min_length is not None:
            said[target, "text-too-short"] = f"at least {rule.min_length} characters"
        if rule.max_length is not None:
            said[target, "text-too-long"] = f"at most {rule.max_length} characters"
        if rule.pattern is not None:
            said[target, "pattern-mismatch"] = f"pattern {rule.pattern}"
        if rule.one_of is not None:
            more = ", …" if len(rule.one_of) > _NAMED else ""
            said[target, "not-in-list"] = f"one of {', '.join(rule.one_of[:_NAMED])}{more}"
    return said


def _checks(rule: ColumnRule) -> list[pa.Check]:
    checks: list[pa.Check] = []

    def add(code: str, holds: Check) -> None:
        # The mask of the check is what is read, so that pandera need not list every failing cell.
        checks.append(pa.Check(lambda cells: (cells == "") | holds(cells), name=code, n_failure_cases=1))

    if rule.one_of is not None:
        allowed = list(rule.one_of)
        add("not-in-list", lambda cells: cells.isin(allowed))
    if rule.min_length is not None:
        least = rule.min_length
        add("text-too-short", lambda cells: ~no_longer_than(cells, least - 1))
    if rule.max_length is not None:
        most = rule.max_length
        add("text-too-long", lambda cells: no_longer_than(cells, most))
    if rule.pattern is not None:
        pattern = rf"\A(?:{rule.pattern})\z"
        add("pattern-mismatch", lambda cells: matches(cells, pattern))
    return checks
