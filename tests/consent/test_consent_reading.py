"""Consent out of a source: words, dates, addresses, and lines that are one person."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.config import parse_mapping
from etl.errors import ConfigError
from etl.model import Channel, ConsentAction, ConsentRequest, Severity
from etl.transform import ConsentReader, consent_digest, strictest
from etl.validate import Validator
from schemas.consent import folded, words_of

NOW = datetime(2026, 11, 23, tzinfo=UTC).timestamp()
COLUMNS = {
    "E": "email",
    "P": "phone_number",
    "Mail": "consent.email",
    "Mail at": "consent.email_at",
    "Text": "consent.sms",
    "Text at": "consent.sms_at",
    "Born": "consent.date_of_birth",
    "From": "consent.source",
}
GOOD = {"E": "ann@mapleshop.com", "P": "+4915112345678", "Mail at": "2024-05-01", "Text at": "2024-05-02 10:30"}


def read(*rows: dict[str, str], consent: dict[str, Any] | None = None, columns: dict[str, Any] | None = None) -> Any:
    chosen = columns or COLUMNS
    mapping = parse_mapping({"columns": chosen, "consent": consent or {}})
    cells = {header: [row.get(header, "") for row in rows] for header in chosen}
    frame = pd.DataFrame(cells, dtype="str", index=pd.RangeIndex(2, 2 + len(rows), name="line"))
    validated = Validator(mapping, tuple(chosen)).validate(frame)
    not_textable = {issue.line for issue in validated.issues if issue.code == "phone-not-mobile"}
    asked = ConsentReader(mapping, NOW).read(validated.frame, not_textable=not_textable)
    said = [(issue.line, issue.code, issue.column) for issue in (*validated.issues, *asked.issues)]
    assert all(issue.severity is Severity.WARNING for issue in asked.issues), "consent never costs a row"
    return list(asked.asks), said


@pytest.mark.parametrize(
    ("word", "wish"),
    [
        ("subscribed", ConsentAction.SUBSCRIBE),
        ("Yes", ConsentAction.SUBSCRIBE),
        ("Opt-in", ConsentAction.SUBSCRIBE),
        ("OPTED_IN", ConsentAction.SUBSCRIBE),
        ("double opt-in", ConsentAction.SUBSCRIBE),
        ("Unsubscribed", ConsentAction.UNSUBSCRIBE),
        ("opt-out", ConsentAction.UNSUBSCRIBE),
        ("cleaned", ConsentAction.SUPPRESS),
        ("Hard bounce", ConsentAction.SUPPRESS),
        ("never", None),
        ("No", None),
        ("not_subscribed", None),
        ("", None),
    ],
)
def test_words(word: str, wish: ConsentAction | None) -> None:
    asks, said = read(GOOD | {"Mail": word})
    assert [ask.wish for ask in asks] == ([wish] if wish else [])
    assert said == []


def test_a_word_nobody_knows_is_said_and_asks_for_nothing() -> None:
    asks, said = read(GOOD | {"Mail": "perhaps"}, GOOD | {"Mail": "yes"})
    assert [ask.line for ask in asks] == [3]
    assert said == [(2, "consent-word-unknown", "Mail")]


def test_words_of_the_mapping_win() -> None:
    asks, said = read(
        GOOD | {"Mail": "no"}, GOOD | {"Mail": "VIP"}, consent={"unsubscribed": ["No"], "subscribed": ["vip"]}
    )
    assert [(ask.line, ask.wish) for ask in asks] == [(2, ConsentAction.UNSUBSCRIBE), (3, ConsentAction.SUBSCRIBE)]
    assert said == []


def test_a_consent_carries_its_date_source_and_birthday() -> None:
    asks, said = read(
        GOOD | {"Mail": "yes", "Text": "yes", "Born": "1990-02-28", "From": "Shop"}, consent={"source": "CRM"}
    )
    assert said == []
    assert asks == [
        ConsentRequest(2, Channel.EMAIL, ConsentAction.SUBSCRIBE, "2024-05-01T00:00:00+00:00", "Shop"),
        ConsentRequest(2, Channel.SMS, ConsentAction.SUBSCRIBE, "2024-05-02T10:30:00+00:00", "Shop", "1990-02-28"),
    ]


def test_a_constant_date_and_source_stand_in() -> None:
    columns = {"E": "email", "Mail": "consent.email"}
    asks, _ = read(GOOD | {"Mail": "yes"}, consent={"date": "2024-01-31", "source": "CRM"}, columns=columns)
    assert asks == [ConsentRequest(2, Channel.EMAIL, ConsentAction.SUBSCRIBE, "2024-01-31T00:00:00+00:00", "CRM")]


def test_a_consent_without_a_date_or_with_a_future_one_is_not_sent() -> None:
    asks, said = read(
        GOOD | {"Mail": "yes", "Mail at": ""},
        GOOD | {"Mail": "yes", "Mail at": "2026-11-24"},
        GOOD | {"Mail": "yes", "Mail at": "03/04/2025"},
    )
    assert asks == []
    assert set(said) == {
        (2, "consent-date-missing", "Mail"),
        (3, "consent-date-missing", "Mail"),
        (3, "consent-date-future", "Mail at"),
        (4, "consent-date-missing", "Mail"),
        (4, "date-ambiguous", "Mail at"),
    }


def test_an_opt_out_needs_no_date() -> None:
    asks, said = read(GOOD | {"Mail": "unsubscribed", "Mail at": ""}, GOOD | {"Mail": "cleaned", "Mail at": ""})
    assert [ask.wish for ask in asks] == [ConsentAction.UNSUBSCRIBE, ConsentAction.SUPPRESS]
    assert said == []


def test_consent_given_now_carries_no_date() -> None:
    """Klaviyo refuses a date outside a historical import."""
    asks, said = read(GOOD | {"Mail": "yes"}, consent={"historical": False})
    assert [ask.at for ask in asks] == [""]
    assert said == []


def test_a_phone_is_unsubscribed_where_a_mail_would_be_suppressed() -> None:
    asks, _ = read(GOOD | {"Text": "spam"})
    assert [(ask.channel, ask.wish) for ask in asks] == [(Channel.SMS, ConsentAction.UNSUBSCRIBE)]


def test_a_landline_is_never_subscribed_to_text_messages() -> None:
    asks, said = read(GOOD | {"P": "+493012345678", "Text": "yes"}, GOOD | {"P": "+493012345678", "Text": "opt-out"})
    assert [(ask.line, ask.wish) for ask in asks] == [(3, ConsentAction.UNSUBSCRIBE)]
    assert (2, "consent-not-mobile", "Text") in said


def test_a_consent_needs_the_address_it_is_for() -> None:
    asks, said = read(
        GOOD | {"E": "ann@", "Mail": "yes", "Text": "yes"}, GOOD | {"P": "", "Mail": "yes", "Text": "yes"}
    )
    assert [(ask.line, ask.channel) for ask in asks] == [(2, Channel.SMS), (3, Channel.EMAIL)]
    assert {(2, "consent-no-address", "Mail"), (3, "consent-no-address", "Text")} < set(said)


@pytest.mark.parametrize(
    ("columns", "fault"),
    [
        ({"Mail": "consent.email", "P": "phone_number"}, "needs email"),
        ({"Text": "consent.sms", "E": "email"}, "needs phone_number"),
        ({"E": "email", "At": "consent.email_at"}, "needs consent.email"),
        ({"E": "email", "S": "consent.source"}, "needs consent.email or consent.sms"),
        ({"E": "email", "Mail": {"to": "consent.email", "write": "always"}}, "cannot be used on consent.email"),
        ({"E": "email", "Mail": {"to": "consent.email", "type": "boolean"}}, "always text"),
    ],
)
def test_a_mapping_that_makes_no_sense_is_refused(columns: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        parse_mapping({"columns": columns})


ASKS = st.builds(
    ConsentRequest,
    st.integers(1, 50),
    st.just(Channel.EMAIL),
    st.sampled_from([ConsentAction.SUBSCRIBE, ConsentAction.UNSUBSCRIBE, ConsentAction.SUPPRESS]),
    st.sampled_from(["", "2024-01-01T00:00:00+00:00", "2025-01-01T00:00:00+00:00"]),
)


@given(st.lists(ASKS, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_one_opt_out_among_a_persons_lines_is_an_opt_out(asks: list[ConsentRequest], chance: Any) -> None:
    shuffled = asks.copy()
    chance.shuffle(shuffled)
    found = strictest(asks)
    assert found.wish == strictest(shuffled).wish
    wishes = {ask.wish for ask in asks}
    assert (found.wish is ConsentAction.SUBSCRIBE) == (wishes == {ConsentAction.SUBSCRIBE})
    assert (found.wish is ConsentAction.SUPPRESS) == (ConsentAction.SUPPRESS in wishes)


@given(st.lists(ASKS, max_size=3, unique=True), st.lists(ASKS, max_size=3, unique=True))
def test_a_changed_wish_makes_a_changed_row(one: list[ConsentRequest], other: list[ConsentRequest]) -> None:
    same = sorted(ask._replace(line=0) for ask in one) == sorted(ask._replace(line=0) for ask in other)
    prints = [consent_digest(b"x" * 16, [ask._replace(line=0) for ask in asks]) for asks in (one, other)]
    assert (prints[0] == prints[1]) == same


def test_no_word_means_two_things() -> None:
    from schemas.consent_words import _WORDS  # noqa: PLC0415 - only this test looks behind the door

    everything = [folded(word) for known in _WORDS.values() for word in known]
    assert len(everything) == len(set(everything)) == len(words_of())
