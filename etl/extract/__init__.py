"""Extract: sources of rows. Strings come out as they stand, each with the physical line where its record starts."""

from etl.extract.base import Source
from etl.extract.opening import open_source
from etl.extract.sql import SqlSource, open_query, query_key

__all__ = ["Source", "SqlSource", "open_query", "open_source", "query_key"]
