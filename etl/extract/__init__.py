"""Extract: sources of rows. Strings come out as they stand, each with the physical line where its record starts."""

from etl.extract.base import Source
from etl.extract.opening import open_source

__all__ = ["Source", "open_source"]
