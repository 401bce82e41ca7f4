"""A column's damage, looked for as bytes, is that of its cells, each looked at alone."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.validate.damage.columns import damage_of
from etl.validate.damage.null_words import EVERYWHERE, OF_PEOPLE
from etl.validate.damage.reference import repaired
from tests.support.effort import examples

PEOPLE = (
    "José",
    "Müller",
    "Ångström",
    "Łódź",
    "naïve café",
    "Иван",
    "Δημήτρης",
    "日本",
    "plain",
    "a  b",
    "",
)
WRONG = ("latin-1", "cp1252", "cp1250", "cp1251", "cp437", "macroman")
SIGNS = ("&amp;", "&eacute;", "%20", "=C3=A9", "_x000D_", "\\u00e9", "\x00", "\x07", "\ufffd", "Jos?", "\n", "\t", " ")


def misread(text: str, page: str) -> str:
    return text.encode().decode(page, "replace")


CELLS = st.one_of(
    st.sampled_from(PEOPLE),
    st.builds(misread, st.sampled_from(PEOPLE), st.sampled_from(WRONG)),
    st.builds("".join, st.lists(st.sampled_from((*SIGNS, *PEOPLE)), max_size=4)),
    st.sampled_from(sorted({*EVERYWHERE, *OF_PEOPLE})),
    st.text(max_size=8),
)


@pytest.mark.parametrize("target", ["first_name", "properties.note"])
@settings(max_examples=examples(60), deadline=None)
@given(cells=st.lists(CELLS, max_size=12))
def test_a_column_is_as_damaged_as_its_cells(target: str, cells: list[str]) -> None:
    words = OF_PEOPLE if target == "first_name" else EVERYWHERE
    alone: Counter[str] = Counter()
    for cell in cells:
        code = words.get(cell.strip()) or repaired(cell, name=target == "first_name")[0]
        alone.update([code] if cell and code else [])
    assert damage_of(cells, target) == alone
