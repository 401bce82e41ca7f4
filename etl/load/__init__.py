"""Load: plan batches (pure), decide after each reply (pure), perform the effects (runner)."""

from etl.load.options import LoadOptions, LoadSummary, Pace
from etl.load.runner import run_load
from etl.load.verifying import verify_rows

__all__ = ["LoadOptions", "LoadSummary", "Pace", "run_load", "verify_rows"]
