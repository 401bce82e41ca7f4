"""Load: plan batches (pure), decide after each reply (pure), perform the effects (runner)."""

from etl.load.foreseeing import Foresight, foresee
from etl.load.options import LoadOptions, LoadSummary, Pace
from etl.load.runner import run_load
from etl.load.verifying import verify_rows

__all__ = ["Foresight", "LoadOptions", "LoadSummary", "Pace", "foresee", "run_load", "verify_rows"]
