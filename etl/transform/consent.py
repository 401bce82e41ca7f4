"""Consent out of a chunk: which rows ask for what. Who may be asked for is decided by loading, which sees Klaviyo."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
import orjson
import pandas as pd

from etl.config import ColumnRule, ConsentColumn, consent_columns
from etl.config import Mapping as ColumnMapping
from etl.model import DIGEST_BYTES, Channel, ConsentAction, ConsentRequest, Issue, Severity, Stage
from etl.transform.cells.centuries import Centuries
from etl.transform.cells.dates import DateError, parse_date, parse_datetime
from schemas.opt_outs import ConsentMeaning

_STRENGTH: Final = {
    ConsentAction.SUPPRESS: 4,
    ConsentAction.UNSUBSCRIBE: 3,
    ConsentAction.WITHHOLD: 2,
    ConsentAction.SUBSCRIBE: 1,
    ConsentAction.UNSUPPRESS: 0,
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the rows of a chunk ask for, in line order, and what was wrong with their words and dates.

    ``unclear``: rows whose words nobody understood: they ask for nothing, and nobody is subscribed by another line of
    the same person.
    """

    asks: tuple[ConsentRequest, ...] = ()
    issues: tuple[Issue, ...] = ()
    unclear: tuple[ConsentRequest, ...] = ()


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
        self._date = _midnight(rule.date, _zone(mapping.defaults.timezone)).isoformat() if rule.date else ""
        columns = consent_columns(mapping)
        self._columns = {channel: _columns_of(channel, columns, mapping) for channel in Channel}
        targets = mapping.by_target
        self._granting = {column.header for column in columns if column.grants}
        self._headers = {target: header for target, (header, _) in targets.items()}
        self._born = targets.get("consent.date_of_birth")

    def read(
        self,
        frame: pd.DataFrame,
        *,
        not_textable: Collection[int] = (),
        faulty: Collection[tuple[int, str | None]] = (),
    ) -> Asked:
        """Return the wishes of these rows.

        ``frame``: target columns of ``str``, index ``line``. ``not_textable``: lines whose number cannot receive texts.
        ``faulty``: lines and headers of cells of which something was said already.
        """
        asks: list[ConsentRequest] = []
        issues: list[Issue] = []
        for channel, columns in self._columns.items():
            if columns:
                found = self._read(channel, frame, () if channel is Channel.EMAIL else not_textable)
                asks += found.asks
                issues += [issue for issue in found.issues if not self._is_reported(issue, channel, faulty)]
        asks.sort()
        unclear = tuple(ask for ask in asks if ask.wish is ConsentAction.WITHHOLD)
        return Asked(tuple(ask for ask in asks if ask.wish is not ConsentAction.WITHHOLD), tuple(issues), unclear)

    def _is_reported(self, issue: Issue, channel: Channel, faulty: Collection[tuple[int, str | None]]) -> bool:
        """Whether an opt-out lacks its address for a reason that was given: the address is not usable."""
        if issue.code != "consent-no-address" or issue.column in self._granting or channel.address not in self._headers:
            return False
        return (issue.line, self._headers[channel.address]) in faulty

    def opt_outs(self, frame: pd.DataFrame, *, doubtful: bool = True) -> dict[tuple[Channel, bool], list[int]]:
        """Return the lines that speak against a channel: (channel, whether their words are understood) → lines.

        ``frame``: target columns of trimmed cells, of lines that may be refused. Not ``doubtful``: cells may stand in
        any column, so that words that nobody understands say nothing, and a yes is not sure to be one.
        """
        found: dict[tuple[Channel, bool], list[int]] = {}
        for channel, columns in self._columns.items():
            certain = np.zeros(len(frame), dtype=bool)
            unsure = np.zeros(len(frame), dtype=bool)
            for column in columns:
                if column.slot not in frame:  # everybody in the source
                    certain[:] = True
                    continue
                cells = frame[column.slot].fillna("")
                said = cells.map({cell: column.meaning(cell) for cell in cells.unique().tolist()})
                certain |= said.isin(_CERTAIN if doubtful else _CERTAIN - {ConsentMeaning.STATED}).to_numpy(dtype=bool)
                unsure |= (said == (ConsentMeaning.UNCLEAR if doubtful else ConsentMeaning.STATED)).to_numpy(dtype=bool)
            for sure, those in ((True, certain), (False, unsure & ~certain)):
                if those.any():
                    found[channel, sure] = frame.index[those].tolist()
        return found

    def _read(
        self,
        channel: Channel,
        frame: pd.DataFrame,
        not_textable: Collection[int],
    ) -> Asked:
        asks: list[ConsentRequest] = []
        issues: list[Issue] = []
        consents = self._columns[channel]
        strengths = np.stack([_strengths(column, channel, frame[column.slot]) for column in consents])
        strictest_column = strengths.argmax(axis=0)
        strength = strengths.max(axis=0)
        speaking = strength > 0
        asking = frame[speaking]
        target = f"consent.{channel}"
        moments = self._moments(channel, asking)
        rows = zip(
            asking.index.tolist(),
            strength[speaking].tolist(),
            strictest_column[speaking].tolist(),
            _cells(asking, channel.address),
            _cells(asking, f"{target}_at"),
            _cells(asking, "consent.source"),
            _cells(asking, "consent.date_of_birth"),
            strict=True,
        )
        for line, held, told_by, address, at, source, born in rows:
            wish, column = _WISHES[held], consents[told_by]
            if wish is ConsentAction.WITHHOLD:
                asks += [ConsentRequest(line, channel, wish)] if address else []
                continue
            moment = moments(at)
            fault, detail = self._fault(wish, channel, address, moment, not_textable=line in not_textable)
            if moment.code and at:
                dated = self._mapping.by_target[f"{target}_at"][0]
                issues.append(_warning(line, moment.code, dated, moment.detail))
            if fault:
                # An opt-out from everything is about the addresses that are there.
                if fault != "consent-no-address" or column.channel == channel:
                    issues.append(_warning(line, fault, column.header, detail))
                continue
            birthday = self._birthday(line, born, issues) if channel is not Channel.EMAIL and born else ""
            subscribing = wish is ConsentAction.SUBSCRIBE
            asks.append(
                ConsentRequest(
                    line,
                    channel,
                    wish,
                    moment.text if subscribing and self._rule.historical else "",
                    (source or self._rule.source or "") if subscribing else "",
                    birthday if subscribing else "",
                )
            )
        return Asked(tuple(asks), tuple(issues))

    def _fault(
        self, wish: ConsentAction, channel: Channel, address: str, moment: _Moment, *, not_textable: bool
    ) -> tuple[str, str]:
        """Return the code of what keeps a wish from being sent, or ``""``."""
        if not address:
            return "consent-no-address", f"no {channel.address.replace('_', ' ')} in this row"
        if wish is not ConsentAction.SUBSCRIBE:
            return "", ""
        if not_textable:
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
        read = {text: self._moment(text, rule) for text in ("", *frame[target].dropna().unique().tolist())}
        return lambda text: read[text]

    def _moment(self, text: str, rule: ColumnRule) -> _Moment:
        if not text:
            return _Moment(self._date)
        zone = rule.timezone or self._mapping.defaults.timezone
        try:
            found = parse_datetime(text, rule.format, zone, Centuries(rule.pivot or "past", self._now.date()))
        except DateError as error:
            return _Moment(code=error.code, detail=error.detail)
        if not isinstance(found, datetime):
            found = _midnight(found, _zone(zone))
        if found > self._now:
            # Klaviyo refuses the whole call for one date that is not past (reference 3.7).
            return _Moment(code="consent-date-future")
        return _Moment(found.isoformat(timespec="seconds"))

    def _birthday(self, line: int, text: str, issues: list[Issue]) -> str:
        if self._born is None:
            return ""
        header, rule = self._born
        try:
            # Whoever was born has been born.
            born: date = parse_date(text, rule.format, Centuries(rule.pivot or "past", self._now.date()))
        except DateError as error:
            issues.append(_warning(line, error.code, header, error.detail))
            return ""
        return born.isoformat()


_WISHES: Final = {strength: wish for wish, strength in _STRENGTH.items() if strength}
_MEANINGS: Final = {
    ConsentMeaning.NOTHING: 0,
    ConsentMeaning.SUBSCRIBED: _STRENGTH[ConsentAction.SUBSCRIBE],
    ConsentMeaning.UNCLEAR: _STRENGTH[ConsentAction.WITHHOLD],
    ConsentMeaning.OPTED_OUT: _STRENGTH[ConsentAction.UNSUBSCRIBE],
    ConsentMeaning.SUPPRESSED: _STRENGTH[ConsentAction.SUPPRESS],
}

_CERTAIN: Final = frozenset({ConsentMeaning.OPTED_OUT, ConsentMeaning.STATED, ConsentMeaning.SUPPRESSED})


def _columns_of(
    channel: Channel, columns: Sequence[ConsentColumn], mapping: ColumnMapping
) -> tuple[ConsentColumn, ...]:
    """Return the columns that speak of a channel; an opt-out from everything counts where it can be reached."""
    own = tuple(column for column in columns if column.channel == channel)
    if channel.address not in mapping.by_target or (channel is Channel.SMS_TRANSACTIONAL and not own):
        return own
    return tuple(column for column in columns if column.channel in {channel, "optout"})


def _strengths(column: ConsentColumn, channel: Channel, cells: pd.Series[str]) -> Any:
    """Return how strict each cell is, as in ``_STRENGTH``; 0 where it says nothing."""
    so = ConsentAction.SUPPRESS if column.suppresses else ConsentAction.UNSUBSCRIBE
    table: dict[str, int] = {}
    for cell in cells.dropna().unique().tolist():
        said = column.meaning(cell)
        strength = _STRENGTH[so] if said is ConsentMeaning.STATED else _MEANINGS[said]
        # Messages to a phone can be unsubscribed from; suppressing is a matter of e-mail (reference 3.8).
        table[cell] = strength if channel is Channel.EMAIL else min(strength, _STRENGTH[ConsentAction.UNSUBSCRIBE])
    return cells.map(table).fillna(0).to_numpy(dtype=np.int64)


def _zone(name: str | None) -> tzinfo:
    return ZoneInfo(name) if name else UTC


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone)


def strictest(asks: Sequence[ConsentRequest]) -> ConsentRequest:
    """Return what holds for a person of whom several lines speak: who opted out once has opted out.

    Of two that subscribe, the later consent counts.
    """
    return max(asks, key=lambda ask: (_STRENGTH[ask.wish], ask.at, -ask.line))


def consent_digest(fingerprint: bytes, asks: Sequence[ConsentRequest]) -> bytes:
    """Return the fingerprint of a row that asks for something: a changed consent makes a changed row."""
    if not asks:
        return fingerprint
    said = orjson.dumps([[ask.channel, ask.wish, ask.at, ask.source, ask.birthday] for ask in sorted(asks)])
    return hashlib.blake2b(fingerprint + said, digest_size=DIGEST_BYTES).digest()


def by_line(asks: Sequence[ConsentRequest]) -> Mapping[int, list[ConsentRequest]]:
    """Return the wishes by line."""
    found: dict[int, list[ConsentRequest]] = {}
    for ask in asks:
        found.setdefault(ask.line, []).append(ask)
    return found


def _cells(frame: pd.DataFrame, target: str) -> list[str]:
    return frame[target].fillna("").tolist() if target in frame else [""] * len(frame)


def _warning(line: int, code: str, column: str, detail: str) -> Issue:
    return Issue(line, Stage.TRANSFORM, code, column, detail, Severity.WARNING, left_out=True)
