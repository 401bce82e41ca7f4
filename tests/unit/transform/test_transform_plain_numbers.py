"""The short way for plain numbers says what the long way says."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.config import ColumnRule
from etl.transform.cells import converters
from tests.support.effort import examples

DIGITS = st.from_regex(r"-?[0-9]{0,13}(?:[.,][0-9]{0,3})?", fullmatch=True)


@pytest.mark.parametrize("kind", ["integer", "decimal", "money"])
@pytest.mark.parametrize("sign", [None, ".", ","])
@settings(max_examples=examples(60), deadline=None)
@given(text=DIGITS)
def test_a_plain_number_means_what_every_number_means(kind: str, sign: str | None, text: str) -> None:
    rule = ColumnRule.model_validate({"to": "properties.x", "type": kind, "decimal": sign})
    short = converters._plain(text, rule)
    # A range that allows everything sends the text the long way.
    ranged = ColumnRule.model_validate({"to": "properties.x", "type": kind, "decimal": sign, "min": -1e300})
    convert = converters.converter(ranged, None)
    assert convert is not None
    if short is not None:
        long = convert(text)
        assert not long.code
        assert (type(long.value), repr(long.value)) == (type(short), repr(short))
