"""Extract: sources of rows. Strings come out as they stand, each with the physical line where its record starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.deferred import exports

if TYPE_CHECKING:
    from etl.extract.base import Source, StripsMarkers
    from etl.extract.cells import text_frame
    from etl.extract.delimited.dialect import delimiter_named
    from etl.extract.files.remote import file_name, is_remote, masked
    from etl.extract.files.scratch import ScratchSource, deleted_on_error
    from etl.extract.locate import SourceFiles, resolve_sources, source_name
    from etl.extract.open import is_single_use, localise, open_files, open_source
    from etl.extract.spreadsheet.names import visible_sheets
    from etl.extract.spreadsheet.source import SHEET_TYPES
    from etl.extract.sql.connection import server_of
    from etl.extract.sql.source import SqlSource, open_query, query_key
    from etl.extract.table.shape import HEADER_DOUBTFUL, HEADER_ROW
    from etl.extract.url_variables import SourceVariables, names_in, variable

__all__ = [
    "HEADER_DOUBTFUL",
    "HEADER_ROW",
    "SHEET_TYPES",
    "ScratchSource",
    "Source",
    "SourceFiles",
    "SourceVariables",
    "SqlSource",
    "StripsMarkers",
    "deleted_on_error",
    "delimiter_named",
    "file_name",
    "is_remote",
    "is_single_use",
    "localise",
    "masked",
    "names_in",
    "open_files",
    "open_query",
    "open_source",
    "query_key",
    "resolve_sources",
    "server_of",
    "source_name",
    "text_frame",
    "variable",
    "visible_sheets",
]

__getattr__ = exports(
    __name__,
    {
        "base": ("Source", "StripsMarkers"),
        "cells": ("text_frame",),
        "delimited.dialect": ("delimiter_named",),
        "locate": ("SourceFiles", "resolve_sources", "source_name"),
        "open": ("is_single_use", "localise", "open_files", "open_source"),
        "files.scratch": ("ScratchSource", "deleted_on_error"),
        "files.remote": ("file_name", "is_remote", "masked"),
        "table.shape": ("HEADER_DOUBTFUL", "HEADER_ROW"),
        "spreadsheet.names": ("visible_sheets",),
        "spreadsheet.source": ("SHEET_TYPES",),
        "sql.source": ("SqlSource", "open_query", "query_key"),
        "sql.connection": ("server_of",),
        "url_variables": ("SourceVariables", "names_in", "variable"),
    },
)
