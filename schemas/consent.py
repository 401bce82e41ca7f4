"""The pandera schema that names every word of consent that nobody knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd
import pandera.pandas as pa

from schemas.columns import each
from schemas.consent_words import NEVER, SUBSCRIBED, SUPPRESSED, UNSUBSCRIBED, folded, words_of

__all__ = ["NEVER", "SUBSCRIBED", "SUPPRESSED", "UNSUBSCRIBED", "consent_schema", "folded", "words_of"]


def consent_schema(known: Mapping[str, Callable[[str], bool]], *, warns: bool = True) -> pa.DataFrameSchema:
    """Return the schema of columns about consent. ``known``: column → whether a cell can be understood.

    A word that cannot is only warned of, and stays: whoever decides that nobody is subscribed by it must see it. Not
    ``warns``: it costs the cell, and the row where that is required.
    """

    def column(name: str) -> pa.Column:
        understood = known[name]

        def understand(cells: pd.Series[str]) -> pd.Series[bool]:
            return each(cells, understood)

        check = pa.Check(understand, name="consent-word-unknown", n_failure_cases=1, raise_warning=warns)
        return pa.Column(str, check, required=False)

    return pa.DataFrameSchema({name: column(name) for name in known})
