"""Countries as people write them: ISO 3166 alpha-2, alpha-3, and names, one line per country, names between bars.

English first, then the names in the languages that exports are written in and in the country's own. The file is
Unicode CLDR's, written by ``python -m docs.generate`` (``docs/cldr.py``).
"""

from __future__ import annotations

from importlib.resources import files
from typing import Final

NAMES: Final = files("etl.validate.geo").joinpath("country_names.txt").read_text(encoding="utf-8")
