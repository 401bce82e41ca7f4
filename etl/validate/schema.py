"""Finding the schema the mapping names, and making any pandera schema fit a frame of text."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd
import pandera.pandas as pa
from pandera import dtypes
from pandera.errors import SchemaDefinitionError, SchemaInitError

from etl.errors import ConfigError
from etl.user_code import Code, CodeError, ImportedCode
from schemas.profile import Profile

DEFAULT_SCHEMA: Final = "schemas.profile:Profile"
_OF_ROWS: Final = frozenset({"identifier-missing"})
"""Checks of whole frames that take columns as they are."""


@dataclass(frozen=True, slots=True)
class CellSchema:
    """A pandera schema made ready for frames of text.

    ``whole``: the original, to be asked whether its columns fit at all. ``text``: the same without its ``typed``
    columns, which hold something else than text (numbers, dates, categories) and are judged one by one, because an
    empty or wrong cell there would spoil the type of its whole column. ``advisory``: names of the checks that only
    warn.
    """

    whole: pa.DataFrameSchema
    text: pa.DataFrameSchema
    typed: dict[str, pa.Column]
    advisory: frozenset[str]


def load_schema(reference: str, targets: Iterable[str], code: Code = ImportedCode()) -> CellSchema:  # noqa: B008 - frozen
    """Return the schema ``module:name`` for frames with the columns ``targets``. Raise :class:`ConfigError`.

    ``name`` is a ``DataFrameModel`` or a ``DataFrameSchema`` of pandera's pandas API, ``code`` where its module comes
    from.
    """
    if reference == DEFAULT_SCHEMA:
        return adapt(Profile.to_schema(), targets)
    found = _find(reference, code)
    make = getattr(found, "to_schema", None) if isinstance(found, type) else None
    try:
        schema = make() if make is not None else found
    except (SchemaInitError, SchemaDefinitionError) as error:
        raise ConfigError(
            "schema-not-pandera", f"profile.schema: {reference} is not a sound model: {error}", "Correct the model."
        ) from None
    if not isinstance(schema, pa.DataFrameSchema):
        raise ConfigError(
            "schema-not-pandera",
            f"profile.schema: {reference} is neither a DataFrameModel nor a DataFrameSchema of pandera.pandas",
            "See klaviyo-etl docs mapping for an example.",
        )
    return adapt(schema, targets)


def _find(reference: str, code: Code) -> Any:
    module_name, _, name = reference.partition(":")
    try:
        module = code.module(module_name)
    except CodeError as error:
        raise ConfigError("code-not-trusted", f"profile.schema: {error}", "See klaviyo-etl docs security.") from None
    except ModuleNotFoundError as error:
        absent = error.name or module_name
        itself = module_name == absent or module_name.startswith(f"{absent}.")
        raise ConfigError(
            "schema-not-found",
            f"profile.schema: there is no module {absent}" + ("" if itself else f", which {module_name} imports"),
            f"Put {module_name.replace('.', '/')}.py in this folder." if itself else f"Install {absent}.",
        ) from None
    except Exception as error:  # whatever the user's module does while it is imported
        raise ConfigError(
            "schema-not-found",
            f"profile.schema: {module_name} cannot be imported ({type(error).__name__})",
            f"Try: python -c 'import {module_name}'",
        ) from error
    try:
        return getattr(module, name)
    except AttributeError:
        raise ConfigError(
            "schema-not-found", f"profile.schema: {module_name} has no {name}", "Check its spelling."
        ) from None


def adapt(schema: pa.DataFrameSchema, targets: Iterable[str]) -> CellSchema:
    """Make a schema fit frames of text with the columns ``targets``; the schema itself is left as it is.

    An index of the schema's own is not asked for: rows are indexed by line. Rows are judged, never dropped.
    """
    if schema.unique or any(column.unique for column in schema.columns.values()):
        raise ConfigError(
            "schema-unique",
            "profile.schema: unique sees one chunk of the file, not all of it",
            'Drop unique from the schema; [profile] duplicates = "reject" compares the whole file.',
        )
    whole = copy.deepcopy(schema)
    whole.index = None
    whole.drop_invalid_rows = False
    advisory = set()
    for check in _checks(whole):
        check.n_failure_cases = 1  # verdicts are read from the mask; listing every failing cell takes gigabytes
        if check.raise_warning:
            advisory.add(str(check.name))
            check.raise_warning = False  # as a Python warning it would print the cells it found
    for column in whole.columns.values():
        column.drop_invalid_rows = False
        if whole.add_missing_columns:
            column.required = False
        if _is_text(column) and str(column.dtype) not in {"None", "string"}:
            column.coerce = True  # every way to say text will do
    whole.add_missing_columns = False
    typed = dict(_typed(whole, tuple(targets)))
    text = copy.deepcopy(whole)
    text.columns = {name: column for name, column in text.columns.items() if _is_text(column)}
    if not text.parsers and all(check.name in _OF_ROWS for check in text.checks):
        # Where nobody looks at the whole frame, a column of which nothing is asked need not be made ready for it.
        text.columns = {name: column for name, column in text.columns.items() if not _asks_nothing(column)}
    if whole.dtype is not None and not isinstance(whole.dtype, dtypes.String):
        text.columns, text.dtype = {}, None
    text.strict, text.ordered = False, False
    if typed:
        text.coerce = False
    return CellSchema(whole, text, typed, frozenset(advisory))


def _checks(schema: pa.DataFrameSchema) -> Iterator[pa.Check]:
    yield from schema.checks
    for column in schema.columns.values():
        yield from column.checks


def _is_text(column: pa.Column) -> bool:
    return column.dtype is None or isinstance(column.dtype, dtypes.String) or str(column.dtype) == "object"


def _asks_nothing(column: pa.Column) -> bool:
    """Whether every column of text without missing cells passes, and none is changed."""
    is_any_text = column.dtype is None or isinstance(column.dtype, dtypes.String)
    return is_any_text and not column.checks and not column.parsers


def _typed(schema: pa.DataFrameSchema, targets: tuple[str, ...]) -> Iterator[tuple[str, pa.Column]]:
    """Yield the columns that hold something else than text, patterns of names resolved."""
    common = schema.dtype if schema.dtype is not None and not isinstance(schema.dtype, dtypes.String) else None
    for column in schema.columns.values():
        if _is_text(column) and common is None:
            continue
        for target in _names(column, targets):
            single = copy.deepcopy(column).set_name(target)
            single.regex = False
            single.coerce = column.coerce or schema.coerce
            if common is not None:
                single.dtype = common
            yield target, single


def _names(column: pa.Column, targets: tuple[str, ...]) -> Iterator[str]:
    if not column.regex:
        yield from (target for target in targets if target == column.name)
        return
    yield from column.get_regex_columns(pd.DataFrame(columns=list(targets), dtype="str"))
