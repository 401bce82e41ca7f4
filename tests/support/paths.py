"""Where the things are that tests read."""

from __future__ import annotations

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
FILES: Final = ROOT / "tests" / "support" / "files"
CASES: Final = FILES / "cases"
"""Small exports that failed once, each of one kind."""
PAGES: Final = ROOT / "docs"
OPENAPI: Final = ROOT.parent / "shared" / "reference" / "openapi-2026-07-15.json"
"""Klaviyo's own description of its API, beside the checkout where there is one."""
