"""The one interpreter of pandera's failures: what failed, in which rows, under which code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pandera.pandas as pa
from pandera.config import ValidationDepth, config_context
from pandera.errors import SchemaError, SchemaErrorReason, SchemaErrors

from etl.codes import CODES
from etl.errors import ConfigError
from etl.model import Stage
from etl.validate.schema import CellSchema

Mask = npt.NDArray[np.bool_]

_REASON: Final = SchemaErrorReason
_LONGEST_DETAIL: Final = 120


@dataclass(frozen=True, slots=True, eq=False)
class CheckFailure:
    """One failed check.

    ``column`` is a target, ``None`` for a check of whole rows; ``mask`` marks the failing rows of the frame, in its
    order. ``broken``: the check itself raised, no row failed it. ``advisory``: the schema asks for a warning only.
    """

    code: str
    column: str | None
    mask: Mask
    detail: str = ""
    broken: bool = False
    advisory: bool = False


def assert_compatible(schema: CellSchema, targets: tuple[str, ...]) -> None:
    """Raise :class:`ConfigError` where the schema cannot fit frames of text with the columns ``targets``.

    That is: a column it requires is not filled, it allows no others, or it wants another type without ``coerce``.
    """
    empty = pd.DataFrame({target: pd.Series([], dtype="str") for target in targets})
    try:
        errors, _ = _errors(schema.whole, empty)
    except Exception:  # noqa: BLE001  # a parser that cannot take an empty frame may well take a full one
        return
    for error in errors:
        column = _column(error, empty)
        if error.reason_code is _REASON.COLUMN_NOT_IN_DATAFRAME:
            raise ConfigError(
                "schema-column-missing",
                f"The schema asks for the column {_named(error)}, which the mapping does not fill",
                "Map a source column to it, or make it optional in the schema. Columns are named by their targets.",
            )
        if error.reason_code in {_REASON.COLUMN_NOT_IN_SCHEMA, _REASON.COLUMN_NOT_ORDERED}:
            raise ConfigError(
                "schema-column-unexpected",
                f"The schema does not expect the column {_named(error)} there, which the mapping fills",
                "Add it to the schema, or set strict = False and ordered = False.",
            )
        if error.reason_code in {_REASON.WRONG_DATATYPE, _REASON.DATATYPE_COERCION}:
            raise ConfigError(
                "schema-dtype",
                f"The schema wants the column {column} in another type; cells are text here",
                "Set coerce = True on the field, or declare it as str.",
            )


def failed_checks(schema: CellSchema, frame: pd.DataFrame) -> list[CheckFailure]:
    """Return what failed in a frame of text, each fault once: a code, column and detail have one mask.

    Never builds the text of a ``SchemaErrors``: with many failures that is gigabytes, and full of cells.
    """
    found: list[CheckFailure] = []
    try:
        judged = frame
        if schema.typed:
            judged = frame.copy(deep=False)
            for target, column in schema.typed.items():
                judged[target] = _typed(column, target, frame, schema.advisory, found)
        errors, _ = _errors(schema.text, judged)
        for error in errors:
            found += _read(error, judged, schema.advisory)
    except Exception as error:  # noqa: BLE001  # whatever a user's parser raises; checks never get here
        found.append(_broken(f"a parser raised {type(error).__name__}", None, frame))
    # A failed coercion appears twice, a row-wise check once per column: one mask each.
    merged: dict[tuple[str, str | None, str], CheckFailure] = {}
    for failure in found:
        key = (failure.code, failure.column, failure.detail)
        before = merged.get(key)
        merged[key] = failure if before is None else replace(before, mask=before.mask | failure.mask)
    return list(merged.values())


def _errors(schema: pa.DataFrameSchema, frame: pd.DataFrame) -> tuple[list[SchemaError], pd.DataFrame]:
    """Validate lazily: what pandera found, and the frame as far as it was converted."""
    # PANDERA_VALIDATION_ENABLED=False in somebody's environment must not wave every row through.
    with config_context(validation_enabled=True, validation_depth=ValidationDepth.SCHEMA_AND_DATA):
        try:
            return [], schema.validate(frame, lazy=True)
        except SchemaErrors as errors:
            return errors.schema_errors, errors.data


def _typed(
    column: pa.Column, target: str, frame: pd.DataFrame, advisory: frozenset[str], found: list[CheckFailure]
) -> pd.Series[Any]:
    """Judge a column of numbers, dates ... over the cells that can be read as such; return it converted.

    An empty cell is a missing one (``nullable`` decides over it); a cell that cannot be converted fails, and is missing
    from then on. Left in, either would keep the whole column text, and every check would break on it.
    """
    empty = (frame[target] == "").to_numpy(dtype=bool)
    if not column.nullable and empty.any():
        found.append(CheckFailure("schema-failed", target, empty, "check not_nullable"))
    schema = pa.DataFrameSchema({target: column})
    rows = np.flatnonzero(~empty)
    errors, converted = _errors(schema, frame.iloc[rows][[target]])
    unread = _spread(rows, [error for error in errors if error.reason_code is _REASON.DATATYPE_COERCION], frame)
    if unread.any():
        found.append(CheckFailure("schema-failed", target, unread, f"check dtype: {column.dtype}"))
        rows = np.flatnonzero(~empty & ~unread)
        errors, converted = _errors(schema, frame.iloc[rows][[target]])
    part = frame.iloc[rows]
    for error in errors:
        for failure in _read(error, part, advisory):
            mask = np.zeros(len(frame), dtype=bool)
            mask[rows] = failure.mask
            found.append(replace(failure, mask=mask))
    return converted[target].reindex(frame.index)


def _spread(rows: npt.NDArray[np.intp], errors: list[SchemaError], frame: pd.DataFrame) -> Mask:
    """Return the failing rows of a part of the frame as a mask of the whole."""
    mask = np.zeros(len(frame), dtype=bool)
    part = frame.iloc[rows]
    for error in errors:
        failed = _mask(error, part)
        if failed is not None:
            mask[rows] |= failed
    return mask


def _read(error: SchemaError, frame: pd.DataFrame, advisory: frozenset[str]) -> Iterator[CheckFailure]:
    column = _column(error, frame)
    name = _check_name(error)
    if error.reason_code is _REASON.CHECK_ERROR:
        yield _broken(f"check {name}", column, frame)
        return
    mask = _mask(error, frame)
    if mask is None:
        yield _broken(f"check {name} gave no verdict per row", column, frame)
    elif name in CODES and CODES[name].stage is Stage.VALIDATE:
        yield CheckFailure(name, column, mask, advisory=name in advisory)
    else:
        yield CheckFailure("schema-failed", column, mask, _detail(error, name), advisory=name in advisory)


def _broken(detail: str, column: str | None, frame: pd.DataFrame) -> CheckFailure:
    return CheckFailure("schema-broken", column, np.zeros(len(frame), dtype=bool), detail, broken=True)


def _mask(error: SchemaError, frame: pd.DataFrame) -> Mask | None:
    """Return the failing rows, ``None`` where pandera names none."""
    verdict = error.check_output
    cases = error.failure_cases
    if isinstance(verdict, pd.DataFrame):
        verdict = verdict.all(axis=1)
    if isinstance(verdict, pd.Series):
        failed = verdict.index[~verdict.fillna(value=False).to_numpy(dtype=bool)]
    elif isinstance(cases, pd.DataFrame) and "index" in cases and len(cases) and cases["index"].notna().all():
        failed = pd.Index(cases["index"].unique())
    else:
        return None
    positions = frame.index.get_indexer(failed)
    if (positions < 0).any():
        return None
    mask = np.zeros(len(frame), dtype=bool)
    mask[positions] = True
    return mask


def _column(error: SchemaError, frame: pd.DataFrame) -> str | None:
    """Return the target a failure is about. For a pattern of names, the schema's own name is the last one tried."""
    for name in (getattr(error, "column_name", None), getattr(error.schema, "name", None)):
        if isinstance(error.schema, pa.Column) and name in frame.columns:
            return str(name)
    return None


def _check_name(error: SchemaError) -> str:
    check = error.check
    name = getattr(check, "name", None) or (check if isinstance(check, str) else None)
    return str(name) if name else "without a name"


def _detail(error: SchemaError, name: str) -> str:
    """Name the check and what it asks for, in the words of the schema; those hold no cell."""
    said = getattr(error.check, "error", None)
    if not said:
        return f"check {name}"
    text = str(said) if str(said).startswith(name) else f"{name}: {said}"
    return f"check {text}" if len(text) <= _LONGEST_DETAIL else f"check {text[:_LONGEST_DETAIL]}…"


def _named(error: SchemaError) -> str:
    """Return the column names an error about the frame's shape speaks of."""
    cases = error.failure_cases
    if isinstance(cases, pd.DataFrame) and "failure_case" in cases:
        return ", ".join(str(case) for case in cases["failure_case"])
    return str(cases)
