"""What Klaviyo's webhooks told: who opted out, who came back, whose mail bounced. A log, and the answer it gives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from etl.identity import EMAIL, PHONE, opt_out_key
from etl.model import Channel
from etl.state.db import schema
from etl.state.db.database import Table, slices
from etl.state.serving.forgotten import HIDDEN, hidden, people_among, salt_of


class OptOutKind(StrEnum):
    """What happened to a person's consent."""

    UNSUBSCRIBED = "unsubscribed"
    SUBSCRIBED = "subscribed"
    SPAM = "spam"
    BOUNCED = "bounced"
    SUPPRESSED = "suppressed"
    UNSUPPRESSED = "unsuppressed"


EARLIEST: Final = 1_325_376_000.0
"""Nothing that Klaviyo tells of happened before 2012, when it was founded."""

_RECENT: Final = 10_000
_NEVER: Final = float("-inf")

# What each takes back. A bounce says nothing of anybody's will, so nothing but the next delivery takes it back.
_UNDONE_BY: Final = {
    OptOutKind.UNSUBSCRIBED: (OptOutKind.SUBSCRIBED,),
    OptOutKind.SPAM: (OptOutKind.SUBSCRIBED,),
    OptOutKind.SUPPRESSED: (OptOutKind.UNSUPPRESSED, OptOutKind.SUBSCRIBED),
    OptOutKind.BOUNCED: (),
}


@dataclass(frozen=True, slots=True)
class OptOutEvent:
    """One event of a webhook. ``event_id``: Klaviyo's. Times: epoch seconds. Addresses become ``opt_out_key``s.

    ``timed``: whether the event told a time that can be; where not, ``happened_at`` is when it was received.
    """

    event_id: str
    topic: str
    kind: OptOutKind
    channel: Channel
    email: str | None
    phone_number: str | None
    profile_id: str | None
    happened_at: float
    received_at: float
    timed: bool = True


@dataclass(frozen=True, slots=True)
class OptOutStatus:
    """What holds for one address today, and since when (epoch seconds).

    ``address``: the Klaviyo id where only the profile was named (``by_profile``). ``timed``: whether ``since`` was
    told; where not, it is when the event was received.
    """

    address: str
    channel: Channel
    kind: OptOutKind
    since: float
    by_profile: bool = False
    timed: bool = True


@dataclass(frozen=True, slots=True)
class _Seen:
    """The latest of one kind for one address. ``told``: by the times that can be; ``at``: by the others, too.

    ``entry``: its place in the log; ``untimed_entry``: that of the latest whose time is not known.
    """

    at: float
    told: float
    entry: int
    untimed_entry: int


class OptOuts(Table):
    """Events are added, never changed."""

    def append(self, account: str, events: Sequence[OptOutEvent]) -> int:
        """Store events that are not known yet, in one transaction; return how many were new."""
        if not events:
            return 0
        statement = _insert_once(self._db.engine.dialect.name)
        values = [
            {
                "account": account,
                "event_id": event.event_id,
                "topic": event.topic,
                "kind": event.kind.value,
                "channel": event.channel.value,
                "email": opt_out_key(EMAIL, event.email) if event.email else None,
                "phone_number": opt_out_key(PHONE, event.phone_number) if event.phone_number else None,
                "profile_id": event.profile_id,
                "happened_at": event.happened_at if event.timed else 0.0,
                "received_at": event.received_at,
            }
            for event in events
        ]
        with self._db.write() as connection:
            _hide(connection, account, values)
            return int(connection.execute(statement.execution_options(preserve_rowcount=True), values).rowcount)

    def has(self, account: str, event_ids: Sequence[str]) -> bool:
        """Return whether all of these events are in the log."""
        columns = schema.notices.c
        wanted = list(dict.fromkeys(event_ids))
        query = sa.select(sa.func.count()).where(columns.account == account)
        with self._db.read() as connection:
            found = (
                connection.execute(query.where(columns.event_id.in_(part))).scalar_one() for part in slices(wanted)
            )
            return sum(found) == len(wanted)

    def among(
        self, account: str, channel: Channel, addresses: Sequence[str], profile_ids: Sequence[str] = ()
    ) -> dict[str, OptOutKind]:
        """Return which of these addresses and profiles must not be subscribed, and why, by their ``opt_out_key``.

        A delivery may name the profile and not its address.
        """
        address = _address(channel)
        keys = sorted({opt_out_key(address.name, each) for each in addresses})
        with self._db.read() as connection:
            salt = salt_of(connection)
        # Of somebody who was forgotten the log holds digests.
        asked = {**_asked(salt, address.name, keys), **_asked(salt, "id", profile_ids)}
        found = self._statuses(account, channel, address, [*keys, *_asked(salt, address.name, keys)])
        ids = [*profile_ids, *_asked(salt, "id", profile_ids)]
        found += self._statuses(account, channel, schema.notices.c.profile_id, ids)
        return {asked.get(status.address, status.address): status.kind for status in found}

    def name(self, account: str, channel: Channel, addresses: Mapping[str, str]) -> None:
        """Write down whose the opt-outs are that named no more than a profile: Klaviyo id → address.

        The profile may be deleted, and its person made anew under another id.
        """
        if not addresses:
            return
        notices, address = schema.notices, _address(channel)
        with self._db.write() as connection:
            for profile_id, value in addresses.items():
                mine = (notices.c.account == account) & (notices.c.channel == channel.value)
                nameless = mine & (notices.c.profile_id == profile_id) & address.is_(None)
                named = {address.name: opt_out_key(address.name, value)}
                connection.execute(notices.update().where(nameless).values(named))

    def current(self, account: str) -> Iterator[OptOutStatus]:
        """Yield every address that must not be subscribed, by channel, in order."""
        for channel in Channel:
            yield from self._statuses(account, channel, _address(channel), None)
            nameless = self._statuses(account, channel, schema.notices.c.profile_id, None, nameless=True)
            hidden_ones = (status.address.startswith(HIDDEN) for status in nameless)
            yield from (replace(each, by_profile=not gone) for each, gone in zip(nameless, hidden_ones, strict=True))

    def events(self, account: str) -> Iterator[OptOutEvent]:
        """Yield the log, oldest first."""
        query = sa.select(schema.notices).where(schema.notices.c.account == account).order_by(schema.notices.c.id)
        with self._db.read() as connection:
            yield from map(_event, connection.execute(query))

    def nameless(self, after: int, most: int) -> tuple[int, list[tuple[str, OptOutEvent]]]:
        """Return events behind a place in the log that name a profile and no address, each with its account.

        And how far the log was read.
        """
        columns = schema.notices.c
        query = sa.select(schema.notices).where(columns.id > after).order_by(columns.id).limit(most)
        with self._db.read() as connection:
            rows = connection.execute(query).all()
        nameless = (row for row in rows if row.profile_id and not row.email and not row.phone_number)
        nameless = (row for row in nameless if not row.profile_id.startswith(HIDDEN))
        return max((row.id for row in rows), default=after), [(row.account, _event(row)) for row in nameless]

    def recent(self) -> int:
        """Return a place in the log behind which nothing is old."""
        with self._db.read() as connection:
            newest = connection.execute(sa.select(sa.func.max(schema.notices.c.id))).scalar()
        return max(int(newest or 0) - _RECENT, 0)

    def accounts(self) -> list[str]:
        """Return the accounts that have a log."""
        query = sa.select(schema.notices.c.account).distinct().order_by(schema.notices.c.account)
        with self._db.read() as connection:
            return [str(name) for name in connection.execute(query).scalars()]

    def _statuses(
        self,
        account: str,
        channel: Channel,
        who: sa.Column[str],
        values: Sequence[str] | None,
        *,
        nameless: bool = False,
    ) -> list[OptOutStatus]:
        query = _latest(_address(channel), who, named=values is not None, nameless=nameless)
        asked = {"account": account, "channel": channel.value}
        latest: dict[str, dict[OptOutKind, _Seen]] = {}
        with self._db.read() as connection:
            for part in [None] if values is None else slices(values):
                rows = connection.execute(query, asked if part is None else {**asked, "names": part})
                for name, kind, at, told, entry, untimed in rows:
                    seen = _Seen(at, _NEVER if told is None else told, entry, -1 if untimed is None else untimed)
                    latest.setdefault(name, {})[OptOutKind(kind)] = seen
        latest_opt_outs = ((name, _holding(seen)) for name, seen in sorted(latest.items()))
        return [
            OptOutStatus(name, channel, kind, seen.at, timed=seen.at == seen.told)
            for name, (kind, seen) in ((name, found) for name, found in latest_opt_outs if found is not None)
        ]


@cache
def _latest(address: sa.Column[str], who: sa.Column[str], *, named: bool, nameless: bool) -> sa.Select[Any]:
    """Return what asks for the latest events of each kind; made once, which takes longer than to run it."""
    notices = schema.notices.c
    # Judged here and not when they came: logs of earlier versions hold times that cannot be.
    timed = notices.happened_at.between(EARLIEST, notices.received_at)
    query = sa.select(
        who,
        notices.kind,
        sa.func.max(sa.case((timed, notices.happened_at), else_=notices.received_at)),
        sa.func.max(sa.case((timed, notices.happened_at))),
        sa.func.max(notices.id),
        sa.func.max(sa.case((timed, sa.null()), else_=notices.id)),
    ).group_by(who, notices.kind)
    query = query.where(
        notices.account == sa.bindparam("account"), notices.channel == sa.bindparam("channel"), who.is_not(None)
    )
    if nameless:
        query = query.where(address.is_(None))
    return query.where(who.in_(sa.bindparam("names", expanding=True))) if named else query


_COLUMNS_BY_NAME: Final = {EMAIL: "email", PHONE: "phone_number", "id": "profile_id"}


def hide_notices(connection: Connection, identifiers: Iterable[tuple[str, str]]) -> None:
    """Let the log name somebody by digests only, from the first entry on; the opt-outs hold as before."""
    notices, salt = schema.notices, salt_of(connection)
    keys = {
        (name, opt_out_key(name, value)): hidden(salt, name, value)
        for name, value in identifiers
        if name in _COLUMNS_BY_NAME
    }
    theirs: set[int] = set()
    for name, key in keys:
        query = sa.select(notices.c.id).where(notices.c[_COLUMNS_BY_NAME[name]] == key)
        theirs.update(connection.execute(query).scalars())
    for part in slices(sorted(theirs)):
        for row in connection.execute(sa.select(notices).where(notices.c.id.in_(part))).all():
            values = {
                column: kept if kept.startswith(HIDDEN) else keys.get((name, kept)) or hidden(salt, name, kept)
                for name, column in _COLUMNS_BY_NAME.items()
                if (kept := getattr(row, column))
            }
            connection.execute(notices.update().where(notices.c.id == row.id).values(**values))


def _hide(connection: Connection, account: str, values: list[dict[str, Any]]) -> None:
    """Let new entries name people on the list of those not to be imported by digests only."""
    people = {
        place: {name: value[column] for name, column in _COLUMNS_BY_NAME.items()} for place, value in enumerate(values)
    }
    for place in people_among(connection, account, people):
        for name, column in _COLUMNS_BY_NAME.items():
            if values[place][column]:
                values[place][column] = hidden(salt_of(connection), name, values[place][column])


def _asked(salt: bytes, name: str, values: Sequence[str]) -> dict[str, str]:
    return {hidden(salt, name, value): value for value in values} if salt else {}


def _event(row: Row[Any]) -> OptOutEvent:
    timed = EARLIEST <= row.happened_at <= row.received_at
    return OptOutEvent(
        row.event_id,
        row.topic,
        OptOutKind(row.kind),
        Channel(row.channel),
        row.email,
        row.phone_number,
        row.profile_id,
        row.happened_at if timed else row.received_at,
        row.received_at,
        timed,
    )


def _address(channel: Channel) -> sa.Column[str]:
    return schema.notices.c.email if channel is Channel.EMAIL else schema.notices.c.phone_number


def _holding(kinds: dict[OptOutKind, _Seen]) -> tuple[OptOutKind, _Seen] | None:
    """Return the opt-out that holds, the latest of several. At the same second, the opt-out wins."""
    holding = [
        (kind, kinds[kind])
        for kind, undoing in _UNDONE_BY.items()
        if kind in kinds and not any(_undoes(kinds[other], kinds[kind]) for other in undoing if other in kinds)
    ]
    return max(holding, key=lambda held: (held[1].at, held[0])) if holding else None


def _undoes(back: _Seen, out: _Seen) -> bool:
    """Whether an opt-in takes an opt-out back: it is later by its time or, without one, by its place in the log."""
    return back.told > out.at or back.untimed_entry > out.entry


def rekey(connection: Connection) -> None:
    """Give the addresses of a log their keys of today, where an earlier version folded them in another way."""
    notices = schema.notices
    for row in connection.execute(sa.select(notices.c.id, notices.c.email, notices.c.phone_number)).all():
        email = opt_out_key(EMAIL, row.email) if row.email else None
        phone = opt_out_key(PHONE, row.phone_number) if row.phone_number else None
        if (email, phone) != (row.email, row.phone_number):
            changed = notices.update().where(notices.c.id == row.id).values(email=email, phone_number=phone)
            connection.execute(changed)


def _insert_once(dialect: str) -> sa.Insert:
    if dialect == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as insert_postgresql  # noqa: PLC0415 - one of two is needed

        return insert_postgresql(schema.notices).on_conflict_do_nothing()
    from sqlalchemy.dialects.sqlite import insert as insert_sqlite  # noqa: PLC0415 - one of two is needed

    return insert_sqlite(schema.notices).on_conflict_do_nothing()
