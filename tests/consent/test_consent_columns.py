"""Opt-outs in columns of their own: several for one channel, in any order, form and language; the strictest counts."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.config import parse_mapping
from etl.errors import ConfigError
from etl.model import Channel, ConsentAction, ConsentRequest
from etl.pipeline.staging.process import ChunkProcessor
from etl.transform import ConsentReader

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()
ANN = {"E": "ann@mapleshop.com", "P": "+4915112345678"}
ADDRESSES = {"E": "email", "P": "phone_number"}


def asked(columns: dict[str, Any], *rows: dict[str, Any], **sections: Any) -> list[ConsentRequest]:
    """Return what these rows ask for, the wish to withhold included. A cell that is ``None`` is missing."""
    chosen = {**ADDRESSES, **columns}
    mapping = parse_mapping({"columns": chosen, **sections})
    cells = {header: [{**ANN, **row}.get(header, "") for row in rows] for header in chosen}
    frame = pd.DataFrame(cells, dtype="str", index=pd.RangeIndex(2, 2 + len(rows), name="line"))
    return list(ChunkProcessor(mapping, tuple(chosen), NOW).judge(frame)[2])


def codes(columns: dict[str, Any], *rows: dict[str, Any], **sections: Any) -> list[str]:
    chosen = {**ADDRESSES, **columns}
    mapping = parse_mapping({"columns": chosen, **sections})
    cells = {header: [{**ANN, **row}.get(header, "") for row in rows] for header in chosen}
    frame = pd.DataFrame(cells, dtype="str", index=pd.RangeIndex(2, 2 + len(rows), name="line"))
    validated, transformed, _ = ChunkProcessor(mapping, tuple(chosen), NOW).judge(frame)
    return [issue.code for issue in (*validated.issues, *transformed.issues)]


def wish(target: str | dict[str, Any], cell: str) -> ConsentAction | None:
    found = asked({"X": target}, {"X": cell})
    assert len(found) < 2
    return found[0].wish if found else None


OUT, STOP, HOLD = ConsentAction.UNSUBSCRIBE, ConsentAction.SUPPRESS, ConsentAction.WITHHOLD


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        *(
            (word, OUT)
            for word in ("true", "TRUE", "1", "x", "X", "Yes", "ja", "Oui", "sí", "sim", "tak", "kyllä", "ano", "はい")
        ),
        *(
            (word, OUT)
            for word in ("2024-02-02", "2024-02-02 02:02:02", "02.02.2024", "2/2/24", "1706839322", "20240202")
        ),
        *((word, OUT) for word in ("unsubscribed", "Opted out", "abgemeldet", "désabonné", "dado de baja", "配信停止")),
        *(
            (word, STOP)
            for word in ("bounced", "HARD_BOUNCE", "spam complaint", "cleaned", '["HARD_BOUNCE"]', "['SPAM_COMPLAINT']")
        ),
        *(
            (word, None)
            for word in ("", "false", "0", "No", "nein", "non", "não", "nie", "nej", "いいえ", "null", "[]", "-", "n/a")
        ),
        *((word, None) for word in ("subscribed", "opted in", "0000-00-00", "[null]", '[""]', "[false]")),
        *(
            (word, HOLD)
            for word in ("perhaps", "vielleicht", "2", "not unsubscribed", "nicht abgemeldet", "ask Bob", "{1}")
        ),
    ],
)
def test_a_yes_or_no_column(cell: str, found: ConsentAction | None) -> None:
    assert wish("consent.email_optout", cell) == found


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        *(
            (word, None)
            for word in ("true", "1", "Yes", "ja", "subscribed", "opted in", "2024-02-02", "", "pending", "never")
        ),
        *((word, OUT) for word in ("false", "0", "No", "nein", "unsubscribed", "opt-out")),
        *((word, STOP) for word in ("cleaned", "bounced")),
        *((word, HOLD) for word in ("perhaps", "weekly")),
    ],
)
def test_a_column_that_says_yes_of_the_others(cell: str, found: ConsentAction | None) -> None:
    assert wish({"to": "consent.email_optout", "inverted": True}, cell) == found


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        ("2024-02-02 02:02:02", OUT),
        ("some day", OUT),
        ("NORMAL", OUT),
        ("No longer interested", OUT),
        ("ABUSE", STOP),
        ("marked as spam", STOP),
        ("", None),
        ("0000-00-00 00:00:00", None),
        ("false", None),
        ("0", None),
        ("[]", None),
    ],
)
def test_a_date_or_a_reason_is_an_opt_out_whatever_it_says(cell: str, found: ConsentAction | None) -> None:
    assert wish("consent.email_optout_reason", cell) == found
    assert wish({"to": "consent.email_optout_at", "type": "datetime"}, cell) == found


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        ("true", STOP),
        ("USER_SUPPRESSED", STOP),
        ("2024-02-02", STOP),
        ("UNSUBSCRIBED", OUT),
        ("no", None),
        ("[]", None),
        ('["UNSUBSCRIBE","HARD_BOUNCE"]', STOP),
        ("who knows", HOLD),
    ],
)
def test_a_suppression(cell: str, found: ConsentAction | None) -> None:
    assert wish("consent.suppressed", cell) == found


def test_opting_out_of_everything_is_about_every_address_that_is_there() -> None:
    both = asked({"X": "consent.optout"}, {"X": "yes"}, {"X": "yes", "P": ""}, {"X": "yes", "E": ""})
    assert [(ask.line, ask.channel) for ask in both] == [
        (2, Channel.EMAIL), (2, Channel.SMS), (3, Channel.EMAIL), (4, Channel.SMS),
    ]  # fmt: skip
    assert {ask.wish for ask in both} == {OUT}
    assert codes({"X": "consent.optout"}, {"X": "yes", "P": ""}) == []


CELLS = {
    "consent.email": ["subscribed", "unsubscribed", "cleaned", "never", "perhaps", ""],
    "consent.email_optout": ["yes", "no", "", "perhaps", "bounced"],
    "consent.suppressed": ["HARD_BOUNCE", "", "no"],
    "consent.email_optout_at": ["2024-02-02", ""],
    "consent.email_optout_reason": ["NORMAL", "", "spam"],
}
RANK = [None, ConsentAction.SUBSCRIBE, HOLD, OUT, STOP]
RULES = {"consent.email_optout_at": {"type": "date"}}


@settings(deadline=None)
@given(st.data())
def test_the_strictest_word_wins_whatever_the_order(data: st.DataObject) -> None:
    """Any columns in any order, a target twice: what all say together is the strictest that one of them says."""
    targets = data.draw(st.lists(st.sampled_from(list(CELLS)), min_size=1, max_size=5))
    cells = [data.draw(st.sampled_from(CELLS[target])) for target in targets]

    def found(chosen: list[tuple[str, str]]) -> ConsentAction | None:
        columns = {f"C{place}": {"to": target, **RULES.get(target, {})} for place, (target, _) in enumerate(chosen)}
        mapping = parse_mapping({"columns": {**ADDRESSES, **columns}, "consent": {"date": "2024-01-01"}})
        said = {**ANN, **{f"C{place}": cell for place, (_, cell) in enumerate(chosen)}}
        row = {target: [said[header]] for target, (header, _) in mapping.by_target.items()}
        read = ConsentReader(mapping, NOW).read(pd.DataFrame(row, dtype="str", index=pd.Index([2], name="line")))
        asks = [*read.asks, *read.unclear]
        assert len(asks) < 2
        return asks[0].wish if asks else None

    pairs = list(zip(targets, cells, strict=True))
    alone = [found([pair]) for pair in pairs]
    assert found(pairs) == max(alone, key=RANK.index)
    assert found(pairs[::-1]) == found(pairs)


def test_two_columns_of_one_target() -> None:
    columns = {"Opted out": "consent.email_optout", "Unsubscribed": "consent.email_optout", "Mail": "consent.email"}
    said = {"date": "2024-01-01"}
    for first, second in itertools.permutations(("yes", "no")):
        (ask,) = asked(columns, {"Opted out": first, "Unsubscribed": second, "Mail": "subscribed"}, consent=said)
        assert ask.wish is OUT
    (ask,) = asked(columns, {"Opted out": "no", "Unsubscribed": "", "Mail": "subscribed"}, consent=said)
    assert ask.wish is ConsentAction.SUBSCRIBE
    (ask,) = asked(columns, {"Opted out": "hm", "Unsubscribed": "", "Mail": "subscribed"}, consent=said)
    assert ask.wish is HOLD
    assert codes(columns, {"Opted out": "hm", "Mail": "subscribed"}, consent=said) == ["consent-word-unknown"]


def test_words_of_the_mapping_never_turn_a_plain_no_round() -> None:
    """``unsubscribed = ["no"]`` is about columns of consent: "opted out: no" stays what it is."""
    columns = {"Mail": "consent.email", "Out": "consent.email_optout"}
    (ask,) = asked(columns, {"Mail": "no", "Out": "no"}, consent={"unsubscribed": ["no"]})
    assert ask.wish is OUT
    assert asked({"Out": "consent.email_optout"}, {"Out": "no"}, consent={"unsubscribed": ["no"]}) == []
    (ask,) = asked({"Out": "consent.email_optout"}, {"Out": "gone fishing"}, consent={"unsubscribed": ["gone fishing"]})
    assert ask.wish is OUT


def test_every_row_of_a_file_that_has_the_column() -> None:
    """An empty cell counts; a missing one is of a file without the column."""
    column = {"to": "consent.email_optout_at", "type": "datetime", "every_row": True}
    rows = asked({"UNSUB_TIME": column}, {"UNSUB_TIME": "2024-02-02"}, {"UNSUB_TIME": ""}, {"UNSUB_TIME": None})
    assert [(ask.line, ask.wish) for ask in rows] == [(2, OUT), (3, OUT)]


@pytest.mark.parametrize(
    ("zone", "moment"),
    [
        (None, "2024-05-01T00:00:00+00:00"),
        ("America/New_York", "2024-05-01T00:00:00-04:00"),
        ("Asia/Tokyo", "2024-05-01T00:00:00+09:00"),
    ],
)
def test_a_bare_date_begins_where_the_mapping_lives(zone: str | None, moment: str) -> None:
    columns = {"Mail": "consent.email", "At": "consent.email_at"}
    defaults = {"defaults": {"timezone": zone}} if zone else {}
    (ask,) = asked(columns, {"Mail": "yes", "At": "2024-05-01"}, **defaults)
    assert ask.at == moment
    (ask,) = asked({"Mail": "consent.email"}, {"Mail": "yes"}, consent={"date": "2024-05-01"}, **defaults)
    assert ask.at == moment
    if zone:
        own = {"Mail": "consent.email", "At": {"to": "consent.email_at", "type": "datetime", "timezone": zone}}
        (ask,) = asked(own, {"Mail": "yes", "At": "2024-05-01"})
        assert ask.at == moment


def test_transactional_messages_are_a_channel_of_their_own() -> None:
    columns = {
        "Text": "consent.sms",
        "Orders": "consent.sms_transactional",
        "Since": "consent.sms_transactional_at",
        "Stop": "consent.sms_optout",
    }
    asks = asked(columns, {"Text": "yes", "Stop": "yes", "Orders": "yes", "Since": "2024-05-01"})
    assert [(ask.channel, ask.wish) for ask in asks] == [
        (Channel.SMS, OUT), (Channel.SMS_TRANSACTIONAL, ConsentAction.SUBSCRIBE),
    ]  # fmt: skip
    no_more = asked({"X": "consent.sms_transactional_optout"}, {"X": "yes"})
    assert [(ask.channel, ask.wish) for ask in no_more] == [(Channel.SMS_TRANSACTIONAL, OUT)]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("consent.email_open_tracking", "consent to open tracking cannot be given"),
        ("consent.click_tracking", "consent to click tracking cannot be given"),
        ("consent.whatsapp", "WhatsApp cannot be given"),
        ("consent.whatsapp_transactional", "WhatsApp cannot be given"),
        ("consent.push", "push notifications cannot be given"),
        ("consent.emial", "of consent there are: consent.email,"),
        ({"to": "consent.email", "inverted": True}, "inverted is for columns that say yes or no of an opt-out"),
        ({"to": "email", "every_row": True}, "every_row is for columns of opt-outs"),
        ({"to": "consent.email_optout", "inverted": True, "every_row": True}, "contradict each other"),
        ({"to": "consent.email_optout", "type": "boolean"}, "always text"),
    ],
)
def test_a_mapping_that_cannot_be_meant_is_refused_by_name(rule: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_mapping({"columns": {**ADDRESSES, "X": rule}})


def test_an_opt_out_needs_an_address_it_is_for() -> None:
    with pytest.raises(ConfigError, match="needs phone_number"):
        parse_mapping({"columns": {"E": "email", "X": "consent.sms_optout"}})
    with pytest.raises(ConfigError, match="needs email"):
        parse_mapping({"columns": {"P": "phone_number", "X": "consent.suppressed"}})
