"""A mapping that state keeps is the mapping that was given: what passes ``check`` can be read back by ``resume``."""

from __future__ import annotations

import contextlib
import datetime as dt
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.config import EventMapping, Mapping, parse_event_mapping, parse_mapping
from etl.errors import ConfigError
from tests.support.effort import examples

WORDS = st.text("abcxyz ÄŁ漢_-", min_size=1, max_size=8)
STEPS = st.lists(
    st.one_of(
        st.sampled_from(["strip", "collapse", "lower", "upper", "title"]),
        st.fixed_dictionaries({"do": st.just("lower")}),
        st.fixed_dictionaries({"default": WORDS}),
        st.fixed_dictionaries({"replace": st.dictionaries(WORDS, WORDS, min_size=1, max_size=2)}),
        st.fixed_dictionaries({"pad": st.integers(2, 9)}),
        st.fixed_dictionaries({"split": WORDS, "part": st.sampled_from([-1, 1, 2])}),
    ),
    max_size=3,
)
NUMBERS = st.one_of(st.integers(-1000, 1000), st.floats(-1e6, 1e6))
RULES: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.fixed_dictionaries({}, optional={"transform": STEPS, "required": st.booleans(), "max_length": st.just(9)}),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["integer", "money"])}, optional={"min": NUMBERS, "merge": st.just("sum")}
    ),
    st.fixed_dictionaries(
        {"type": st.just("date")}, optional={"format": st.just("%d/%m/%Y"), "not_in_future": st.booleans()}
    ),
    st.fixed_dictionaries({"type": st.just("datetime")}, optional={"timezone": st.just("Europe/Paris")}),
    st.fixed_dictionaries({"type": st.just("list"), "separator": WORDS}, optional={"write": st.just("append")}),
    st.fixed_dictionaries({"one_of": st.lists(WORDS, min_size=1, max_size=3)}),
    st.fixed_dictionaries({"pattern": st.just("[a-z]+")}, optional={"unique": st.booleans()}),
)
WAYS: st.SearchStrategy[dict[str, Any]] = st.one_of(
    WORDS.map(lambda word: {"template": f"{{{word}}} and more"}),
    st.tuples(st.lists(WORDS, min_size=2, max_size=3), WORDS).map(lambda pair: {"join": pair[0], "by": pair[1]}),
    st.lists(WORDS, min_size=2, max_size=3).map(lambda headers: {"join": headers}),
    WORDS.map(lambda word: {"constant": word}),
)
COMPUTED = st.tuples(WAYS, RULES).map(lambda pair: {**pair[0], **pair[1]})
PARAMETERS = st.dictionaries(
    st.sampled_from(["since", "until", "n"]),
    st.one_of(st.booleans(), st.integers(-9, 9), WORDS, st.dates(), st.datetimes()),
    max_size=2,
)
SOURCES: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.fixed_dictionaries(
        {}, optional={"path": st.lists(WORDS, min_size=1), "delimiter": st.just(";"), "sheet": st.just(2)}
    ),
    st.fixed_dictionaries(
        {"url": st.just("postgresql://db/x"), "query": st.just("SELECT 1 ORDER BY 1")},
        optional={
            "parameters": PARAMETERS,
            "timeout": st.just(2.5),
            "watermark": st.just("at"),
            "lookback": st.just("2h"),
        },
    ),
)
CONSENT = st.fixed_dictionaries(
    {}, optional={"date": st.dates(dt.date(2000, 1, 1)), "source": WORDS, "subscribed": st.lists(WORDS, max_size=2)}
)
GUARDS = st.fixed_dictionaries({}, optional={"min_rows": st.integers(0, 2**62), "max_missing_percent": st.just(0)})


@st.composite
def mappings(draw: st.DrawFn) -> dict[str, Any]:
    columns: dict[str, Any] = {"Email": "email"}
    for number, rule in enumerate(draw(st.lists(RULES, max_size=4))):
        columns[f"C{number} {draw(WORDS)}"] = {"to": f"properties.p{number}", **rule}
    computed = {f"properties.k{n} {draw(WORDS)}": one for n, one in enumerate(draw(st.lists(COMPUTED, max_size=3)))}
    load = draw(
        st.fixed_dictionaries({}, optional={"list": WORDS, "only_changed": st.booleans(), "small_run": st.just(0)})
    )
    return {
        "columns": columns,
        "computed": computed,
        "source": draw(SOURCES),
        "consent": draw(CONSENT),
        "guards": draw(GUARDS),
        "load": load,
        "profile": {"schema": "my.own:Schema", "key": draw(st.permutations(["email", "external_id"]))},
        "rules": [{"name": draw(WORDS), "expression": "email != ''"}] if draw(st.booleans()) else [],
    }


@st.composite
def event_mappings(draw: st.DrawFn) -> dict[str, Any]:
    rules: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
        [{}, {"type": "money"}, {"type": "date", "format": "%d/%m/%Y"}, {"transform": ["upper"]}]
    )
    columns: dict[str, Any] = {
        "Email": "email",
        "When": draw(st.sampled_from(["time", {"to": "time", "timezone": "Asia/Tokyo"}])),
    }
    for number, rule in enumerate(draw(st.lists(rules, max_size=3))):
        columns[f"C{number}"] = {"to": f"properties.p{number}", **rule}
    return {
        "columns": columns,
        "event": {"metric": draw(WORDS), "backfill": draw(st.booleans())},
        "guards": draw(GUARDS),
    }


def kept(mapping: Mapping | EventMapping) -> Any:
    """Return what is read from state of a mapping that ``begin`` put there."""
    return orjson.loads(orjson.dumps(mapping.given))


@settings(max_examples=examples(20), deadline=None)
@given(mappings())
def test_every_mapping_survives_being_kept(document: dict[str, Any]) -> None:
    try:
        given_ = parse_mapping(document)
    except ConfigError:
        return
    again = parse_mapping(kept(given_))
    # Dates among the parameters of a query become texts: the query is asked before anything is kept.
    apart = {"source": {"parameters"}}
    assert again.model_dump(exclude=apart) == given_.model_dump(exclude=apart)
    assert again.hash == given_.hash
    assert again.by_target == given_.by_target
    assert kept(again) == kept(given_)


@settings(max_examples=examples(10), deadline=None)
@given(event_mappings())
def test_every_mapping_of_events_survives_being_kept(document: dict[str, Any]) -> None:
    given_ = parse_event_mapping(document)
    again = parse_event_mapping(kept(given_))
    assert again == given_
    assert again.hash == given_.hash


def test_most_of_these_mappings_are_mappings() -> None:
    """A property that holds because everything is refused would prove nothing."""
    passed = 0

    @settings(max_examples=100, deadline=None, database=None)
    @given(mappings())
    def count(document: dict[str, Any]) -> None:
        nonlocal passed
        with contextlib.suppress(ConfigError):
            passed += bool(parse_mapping(document).computed)

    count()
    assert passed > 20


def test_a_table_called_rule_is_no_way_to_say_it() -> None:
    """What state keeps is read; a misspelt key inside is still refused."""
    with pytest.raises(ConfigError, match="fomat"):
        parse_mapping(
            {"columns": {"E": "email"}, "computed": {"properties.x": {"constant": "1", "rule": {"fomat": "x"}}}}
        )
