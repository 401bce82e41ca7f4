"""Code of the user's own: schemas and functions that the mapping names by ``module:name``."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType


def user_module(name: str) -> ModuleType:
    """Import a module. Raises whatever importing it does.

    The current folder is searched too, as for a script that stands beside the mapping.
    """
    here = str(Path.cwd())
    added = here not in sys.path
    if added:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    finally:
        if added and here in sys.path:
            sys.path.remove(here)
