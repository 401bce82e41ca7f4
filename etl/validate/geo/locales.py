"""Locales in one spelling: ``en_US`` becomes ``en-US`` before anything judges it."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from schemas.locales import canonical_locale


def canonical_locales(cells: Any) -> Any:
    """Return the cells with every locale as it is usually written; what is none stays as it is."""
    written = cells.dictionary_encode()
    meant = pa.array([canonical_locale(text) if text else text for text in written.dictionary.to_pylist()], cells.type)
    return pc.take(meant, written.indices)
