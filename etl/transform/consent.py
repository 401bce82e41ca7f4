"""Consent out of a chunk: which rows ask for what. Who may be asked for is decided by loading, which sees Klaviyo."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

import orjson
import pandas as pd

from etl.config import ColumnRule
from etl.config import Mapping as ColumnMapping
from etl.model import Channel, ConsentAsk, Issue, Severity, Stage, Wish
from etl.transform.dates import DateError, parse_date, parse_datetime
from schemas.consent import SUBSCRIBED, SUPPRESSED, UNSUBSCRIBED, folded, words_of

_WISHES: Final = {SUBSCRIBED: Wish.SUBSCRIBE, UNSUBSCRIBED: Wish.UNSUBSCRIBE, SUPPRESSED: Wish.SUPPRESS}
_STRENGTH: Final = {Wish.SUPPRESS: 3, Wish.UNSUBSCRIBE: 2, Wish.SUBSCRIBE: 1, Wish.UNSUPPRESS: 0}
_ADDRESS: Final = {Channel.EMAIL: "email", Channel.SMS: "phone_number"}
_DIGEST: Final = 16


@dataclass(frozen=True, slots=True)
class Asked:
    """What the rows of a chunk ask for, in line order, and what was wrong with their words and dates."""

    asks: tuple[ConsentAsk, ...] = ()
    issues: tuple[Issue, ...] = ()


@dataclass(frozen=True, slots=True)
class _Moment:
    """A date of consent, or the code of why it is none."""

    text: str = ""
    code: str = ""
    detail: str = ""


class ConsentReader:
    """Reads the columns ``consent.*`` of validated frames. ``now``: epoch seconds, where the future begins."""

    def __init__(self, mapping: ColumnMapping, now: float) -> None:
        rule = mapping.consent
        self._mapping = mapping
        self._rule = rule
        self._now = datetime.fromtimestamp(now, UTC)
        self._words = words_of(rule)
        self._date = f"{rule.date.isoformat()}T00:00:00+00:00" if rule.date else ""
        self._channels = [channel for channel in Channel if f"consent.{channel}" in mapping.by_target]

    def read(self, frame: pd.DataFrame, *, deaf: Collection[int] = ()) -> Asked:
        """Return the wishes of these rows.

        ``frame``: target columns of ``str``, index ``line``. ``deaf``: lines whose number cannot receive text messages.
        """
        asks: list[ConsentAsk] = []
        issues: list[Issue] = []
        for channel in self._channels:
            self._read(channel, frame, deaf if channel is Channel.SMS else (), asks, issues)
        asks.sort()
        return Asked(tuple(asks), tuple(issues))

    def opt_outs(self, frame: pd.DataFrame, *, doubtful: bool = True) -> dict[tuple[Channel, bool], list[int]]:
        """Return the lines that speak against a channel: (channel, whether their words are understood) → lines.

        ``frame``: target columns of trimmed cells, of lines that may be refused. ``doubtful``: words that nobody
        understands count.
        """
        found: dict[tuple[Channel, bool], list[int]] = {}
        for channel in self._channels:
            words = frame[f"consent.{channel}"].fillna("")
            states = {word: self._words.get(folded(word)) if word else "" for word in words.unique().tolist()}
            out = [word for word, state in states.items() if state in {UNSUBSCRIBED, SUPPRESSED}]
            unknown = [word for word, state in states.items() if state is None] if doubtful else []
            for certain, those in ((True, out), (False, unknown)):
                if those:
                    found[channel, certain] = words.index[words.isin(those)].tolist()
        return found

    def _read(
        self,
        channel: Channel,
        frame: pd.DataFrame,
        deaf: Collection[int],
        asks: list[ConsentAsk],
        issues: list[Issue],
    ) -> None:
        target = f"consent.{channel}"
        words = frame[target]
        wishes = {word: _WISHES.get(self._words.get(folded(word), "")) for word in words.unique().tolist() if word}
        # Messages to a phone can be unsubscribed from; suppressing is a matter of e-mail (reference 3.8).
        if channel is Channel.SMS:
            wishes = {word: Wish.UNSUBSCRIBE if wish is Wish.SUPPRESS else wish for word, wish in wishes.items()}
        asking = frame[words.isin([word for word, wish in wishes.items() if wish is not None])]
        header = self._mapping.by_target[target][0]
        moments = self._moments(channel, asking)
        columns = zip(
            asking.index.tolist(),
            asking[target].tolist(),
            asking[_ADDRESS[channel]].tolist(),
            _cells(asking, f"{target}_at"),
            _cells(asking, "consent.source"),
            _cells(asking, "consent.date_of_birth"),
            strict=True,
        )
        for line, word, address, at, source, born in columns:
            wish = wishes[word]
            if wish is None:
                continue
            moment = moments(at)
            fault, detail = self._fault(wish, channel, address, moment, deaf=line in deaf)
            if moment.code and at:
                dated = self._mapping.by_target[f"{target}_at"][0]
                issues.append(_warning(line, moment.code, dated, moment.detail))
            if fault:
                issues.append(_warning(line, fault, header, detail))
                continue
            birthday = self._birthday(line, born, issues) if channel is Channel.SMS and born else ""
            subscribing = wish is Wish.SUBSCRIBE
            asks.append(
                ConsentAsk(
                    line,
                    channel,
                    wish,
                    moment.text if subscribing and self._rule.historical else "",
                    (source or self._rule.source or "") if subscribing else "",
                    birthday if subscribing else "",
                )
            )

    def _fault(self, wish: Wish, channel: Channel, address: object, moment: _Moment, *, deaf: bool) -> tuple[str, str]:
        """Return the code of what keeps a wish from being sent, or ``""``."""
        if not isinstance(address, str) or not address:
            return "consent-no-address", f"no {_ADDRESS[channel].replace('_', ' ')} in this row"
        if wish is not Wish.SUBSCRIBE:
            return "", ""
        if deaf:
            return "consent-not-mobile", ""
        if not self._rule.historical:
            return "", ""
        return ("", "") if moment.text else ("consent-date-missing", "")

    def _moments(self, channel: Channel, frame: pd.DataFrame) -> Callable[[str], _Moment]:
        target = f"consent.{channel}_at"
        if target not in frame:
            always = _Moment(self._date)
            return lambda _text: always
        rule = self._mapping.by_target[target][1]
        read = {text: self._moment(text, rule) for text in frame[target].unique().tolist() if isinstance(text, str)}
        return lambda text: read[text]

    def _moment(self, text: str, rule: ColumnRule) -> _Moment:
        if not text:
            return _Moment(self._date)
        try:
            found = parse_datetime(text, rule.format, rule.timezone or self._mapping.defaults.timezone)
        except DateError as error:
            return _Moment(code=error.code, detail=error.detail)
        if not isinstance(found, datetime):
            found = datetime(found.year, found.month, found.day, tzinfo=UTC)
        if found > self._now:
            # Klaviyo refuses the whole call for one date that is not past (reference 3.7).
            return _Moment(code="consent-date-future")
        return _Moment(found.isoformat(timespec="seconds"))

    def _birthday(self, line: int, text: str, issues: list[Issue]) -> str:
        header, rule = self._mapping.by_target["consent.date_of_birth"]
        try:
            born: date = parse_date(text, rule.format)
        except DateError as error:
            issues.append(_warning(line, error.code, header, error.detail))
            return ""
        return born.isoformat()


def strictest(asks: Sequence[ConsentAsk]) -> ConsentAsk:
    """Return what holds for a person of whom several lines speak: who opted out once has opted out.

    Of two that subscribe, the later consent counts.
    """
    return max(asks, key=lambda ask: (_STRENGTH[ask.wish], ask.at, -ask.line))


def consent_print(fingerprint: bytes, asks: Sequence[ConsentAsk]) -> bytes:
    """Return the fingerprint of a row that asks for something: a changed consent makes a changed row."""
    if not asks:
        return fingerprint
    said = orjson.dumps([[ask.channel, ask.wish, ask.at, ask.source, ask.birthday] for ask in sorted(asks)])
    return hashlib.blake2b(fingerprint + said, digest_size=_DIGEST).digest()


def by_line(asks: Sequence[ConsentAsk]) -> Mapping[int, list[ConsentAsk]]:
    """Return the wishes by line."""
    found: dict[int, list[ConsentAsk]] = {}
    for ask in asks:
        found.setdefault(ask.line, []).append(ask)
    return found


def _cells(frame: pd.DataFrame, target: str) -> list[str]:
    return frame[target].fillna("").tolist() if target in frame else [""] * len(frame)


def _warning(line: int, code: str, column: str, detail: str) -> Issue:
    return Issue(line, Stage.TRANSFORM, code, column, detail, Severity.WARNING)
