"""Extract: sources of rows. Strings come out as they stand, each with the physical line where its record starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.deferred import exports

if TYPE_CHECKING:
    from etl.extract.base import Source, TakesMarksOff
    from etl.extract.cells import text_frame
    from etl.extract.dialect import delimiter_named
    from etl.extract.finding import Files, find_files
    from etl.extract.opening import is_once, local, open_files, open_source
    from etl.extract.private import PrivateFileSource, deleted_on_error
    from etl.extract.remote import file_name, is_remote, masked
    from etl.extract.shapes import HEADER_DOUBTFUL, HEADER_ROW
    from etl.extract.sheet_names import shown_sheets
    from etl.extract.spreadsheet import SHEET_TYPES
    from etl.extract.sql import SqlSource, open_query, query_key
    from etl.extract.sql_engine import server_of
    from etl.extract.variables import SourceVariables, names_in, variable

__all__ = [
    "HEADER_DOUBTFUL",
    "HEADER_ROW",
    "SHEET_TYPES",
    "Files",
    "PrivateFileSource",
    "Source",
    "SourceVariables",
    "SqlSource",
    "TakesMarksOff",
    "deleted_on_error",
    "delimiter_named",
    "file_name",
    "find_files",
    "is_once",
    "is_remote",
    "local",
    "masked",
    "names_in",
    "open_files",
    "open_query",
    "open_source",
    "query_key",
    "server_of",
    "shown_sheets",
    "text_frame",
    "variable",
]

__getattr__ = exports(
    __name__,
    {
        "base": ("Source", "TakesMarksOff"),
        "cells": ("text_frame",),
        "dialect": ("delimiter_named",),
        "finding": ("Files", "find_files"),
        "opening": ("is_once", "local", "open_files", "open_source"),
        "private": ("PrivateFileSource", "deleted_on_error"),
        "remote": ("file_name", "is_remote", "masked"),
        "shapes": ("HEADER_DOUBTFUL", "HEADER_ROW"),
        "sheet_names": ("shown_sheets",),
        "spreadsheet": ("SHEET_TYPES",),
        "sql": ("SqlSource", "open_query", "query_key"),
        "sql_engine": ("server_of",),
        "variables": ("SourceVariables", "names_in", "variable"),
    },
)
