"""What rows ask for their people's consent, and what became of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from etl.model import Channel, ConsentAction, ConsentRequest, ConsentResult, Outcome, RowResult
from etl.state.db import schema
from etl.state.db.database import Table, slices
from etl.state.db.engine import bulk, bulk_insert
from etl.state.records.read import read_records, replace_records

_COLUMNS = ("run", "line", "channel", "wish", "at", "source", "birthday")


@dataclass(frozen=True, slots=True)
class ConsentCount:
    """Wishes of one kind with one result. ``result`` ``None``: not settled, or the row came to nothing."""

    channel: Channel
    wish: ConsentAction
    result: ConsentResult | None
    count: int


class Consents(Table):
    """Wishes are staged with their rows and get their results in the transaction that settles the batch."""

    def stage(self, run_id: str, asks: Sequence[ConsentRequest]) -> None:
        """Record the wishes of a chunk."""
        if not asks:
            return
        seq = self._db.seq(run_id)
        with self._db.write() as connection:
            insert_asks(connection, seq, asks)

    def requests(self, run_id: str, lines: Sequence[int], channel: Channel | None = None) -> list[ConsentRequest]:
        """Return the wishes of these lines, in line order."""
        consents = schema.consents
        found: list[ConsentRequest] = []
        with self._db.read() as connection:
            for part in slices(lines):
                mine = (consents.c.run == self._db.seq(run_id)) & consents.c.line.in_(part)
                if channel is not None:
                    mine &= consents.c.channel == channel.value
                found += map(_ask, connection.execute(sa.select(consents).where(mine)))
        return sorted(found)

    def with_requests(self, run_id: str, lines: Sequence[int]) -> frozenset[int]:
        """Return which of these lines ask for something."""
        return frozenset(ask.line for ask in self.requests(run_id, lines))

    def of_duplicates(self, run_id: str) -> list[tuple[int, ConsentRequest]]:
        """Return (line that is kept, wish) of every line that was merged into another one and wishes something."""
        rows, consents = schema.rows, schema.consents
        query = (
            sa.select(rows.c.primary_line, consents)
            .join(rows, (rows.c.run == consents.c.run) & (rows.c.line == consents.c.line))
            .where(consents.c.run == self._db.seq(run_id), rows.c.outcome == Outcome.DUPLICATE.value)
            .order_by(consents.c.line)
        )
        with self._db.read() as connection:
            return [(int(row.primary_line), _ask(row)) for row in connection.execute(query)]

    def replace(
        self, run_id: str, asks: Mapping[int, Sequence[ConsentRequest]], fingerprints: Mapping[int, bytes]
    ) -> None:
        """Give lines other wishes, and with them other fingerprints, in one transaction."""
        seq = self._db.seq(run_id)
        with self._db.write() as connection:
            bulk(connection, "DELETE FROM consents WHERE run = ? AND line = ?", [(seq, line) for line in asks])
            insert_asks(connection, seq, [ask for each in asks.values() for ask in each])
            records = read_records(connection, seq, fingerprints)
            changed = [record._replace(fingerprint=fingerprints[record.line]) for record in records]
            replace_records(connection, seq, changed)

    def revoke(self, run_id: str, lines: Sequence[int], channel: Channel) -> None:
        """Let rows that wished to subscribe take their consent back instead: another line of the person does."""
        bulk_values = [(ConsentAction.UNSUBSCRIBE.value, self._db.seq(run_id), line, channel.value) for line in lines]
        with self._db.write() as connection:
            bulk(
                connection,
                "UPDATE consents SET wish = ?, at = '', source = '', birthday = '' "
                "WHERE run = ? AND line = ? AND channel = ?",
                bulk_values,
            )

    def withhold(self, run_id: str, asks: Sequence[ConsentRequest]) -> None:
        """Write that these wishes are not asked for: the people have said something else since."""
        seq = self._db.seq(run_id)
        with self._db.write() as connection:
            bulk(
                connection,
                "UPDATE consents SET result = ? WHERE run = ? AND line = ? AND channel = ?",
                [(ConsentResult.WITHHELD.value, seq, ask.line, ask.channel.value) for ask in asks],
            )

    def drop(self, run_id: str, wish: ConsentAction) -> None:
        """Forget the wishes of one kind."""
        consents = schema.consents
        with self._db.write() as connection:
            mine = (consents.c.run == self._db.seq(run_id)) & (consents.c.wish == wish.value)
            connection.execute(consents.delete().where(mine))

    def request_for_all(self, run_id: str, wish: ConsentAction) -> None:
        """Give every row that is left after staging one wish for its e-mail, and nothing else to do."""
        consents = (
            "INSERT INTO consents (run, line, channel, wish, at, source, birthday) "
            "SELECT run, line, :channel, :wish, '', '', '' FROM rows WHERE run = :run AND outcome IS NULL"
        )
        seq = self._db.seq(run_id)
        with self._db.write() as connection:
            named = {"run": seq, "channel": Channel.EMAIL.value, "wish": wish.value}
            connection.execute(sa.text(consents), named)
            connection.execute(
                schema.rows.update()
                .where(schema.rows.c.run == seq, schema.rows.c.outcome.is_(None))
                .values(step="consent")
            )

    def advance_to_consent(self, run_id: str, lines: Collection[int]) -> None:
        """Move rows that have no list calls before them to the step ``consent``."""
        seq = self._db.seq(run_id)
        with self._db.write() as connection:
            bulk(
                connection,
                "UPDATE rows SET step = 'consent' WHERE run = ? AND line = ? AND outcome IS NULL",
                [(seq, line) for line in lines],
            )

    def counts(self, run_id: str) -> list[ConsentCount]:
        """Return the wishes of rows that were not rejected or merged away, by channel, wish and result."""
        rows, consents = schema.rows, schema.consents
        key = (consents.c.channel, consents.c.wish, consents.c.result)
        mine = (consents.c.run == self._db.seq(run_id)) & (
            rows.c.outcome.is_(None) | rows.c.outcome.not_in([Outcome.REJECTED.value, Outcome.DUPLICATE.value])
        )
        query = (
            sa.select(*key, sa.func.count().label("total"))
            .join(rows, (rows.c.run == consents.c.run) & (rows.c.line == consents.c.line))
            .where(mine)
            .group_by(*key)
        )
        with self._db.read() as connection:
            counts = [
                ConsentCount(
                    Channel(row.channel),
                    ConsentAction(row.wish),
                    ConsentResult(row.result) if row.result else None,
                    row.total,
                )
                for row in connection.execute(query)
            ]
        return sorted(counts, key=lambda count: (count.channel, count.wish, count.result or ""))


def copy_asks(connection: Connection, seq: int, earlier: int, lines: Sequence[int]) -> None:
    """Give rows that are staged again the wishes they had."""
    consents = schema.consents
    for part in slices(lines):
        copied = [sa.literal(seq).label("run"), *(consents.c[name] for name in _COLUMNS[1:])]
        source = sa.select(*copied).where(consents.c.run == earlier, consents.c.line.in_(part))
        connection.execute(consents.insert().from_select(list(_COLUMNS), source))


def write_consent_results(connection: Connection, seq: int, channel: Channel, results: Iterable[RowResult]) -> None:
    """Write what became of wishes; nothing else about their rows."""
    bulk(
        connection,
        "UPDATE consents SET result = ? WHERE run = ? AND line = ? AND channel = ?",
        [(found.consent.value, seq, found.line, channel.value) for found in results if found.consent is not None],
    )


def insert_asks(connection: Connection, seq: int, asks: Iterable[ConsentRequest]) -> None:
    """Insert wishes of rows."""
    values = [(seq, ask.line, ask.channel.value, ask.wish.value, ask.at, ask.source, ask.birthday) for ask in asks]
    bulk_insert(connection, schema.consents, _COLUMNS, values)


def _ask(row: Row[tuple[object, ...]]) -> ConsentRequest:
    return ConsentRequest(row.line, Channel(row.channel), ConsentAction(row.wish), row.at, row.source, row.birthday)
