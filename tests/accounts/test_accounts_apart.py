"""One state holds many accounts, and nothing that is known of one decides anything about another.

Both accounts import the same file by the same mapping, so that nothing but the account can tell them apart.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from etl import pipeline
from etl.config import Account, KeyRule
from etl.errors import EtlError, ExitCode, GuardError, LockedError, UsageError
from etl.model import Channel
from etl.sandbox import AccountSettings, Sandbox
from etl.server.outbox.ownership import Ownership
from etl.state import OptOutEvent, OptOutKind, Store
from tests.support.importer import ImporterFixture
from tests.support.in_process import CrashError, CrashPoints
from tests.support.receivers import WebReceiver, web_receiver
from tests.support.state_backends import FakeClock
from tests.support.two_accounts import changes

HOUR = 3_600.0


class NamedDesk(ImporterFixture):
    """An importer of an account with a name. ``id_`` is expected; the clock, the folder and the state are shared."""

    def __init__(
        self, folder: Path, label: str, id_: str, state: str, *, expected: bool = True, clock: FakeClock | None = None
    ) -> None:
        self.label = label
        self.expected = id_ if expected else None
        super().__init__(folder, state=state, account=AccountSettings(id=id_, name=f"Maple {label}"), limits="off")
        if clock is not None:
            self.sandbox.close()
            self.clock, self.sandbox = clock, Sandbox(self.sandbox.settings, clock)
            self.context = self.process()

    def process(self, *given: Any, **others: Any) -> pipeline.Context:
        found = super().process(*given, **others)
        named = Account(self.label, id=self.expected, key=KeyRule(env="UNUSED"))
        return replace(found, settings=replace(found.settings, account=named))

    def store(self) -> Store:
        return self.context.open_store()


def both(folder: Path, state: str, *, expected: bool) -> Iterator[tuple[NamedDesk, NamedDesk]]:
    shop = NamedDesk(folder, "shop", "SHOP01", state, expected=expected)
    outlet = NamedDesk(folder, "outlet", "OUTL02", state, expected=expected, clock=shop.clock)
    yield shop, outlet
    shop.sandbox.close()
    outlet.sandbox.close()


@pytest.fixture
def desks(tmp_path: Path, state_url: str) -> Iterator[tuple[NamedDesk, NamedDesk]]:
    """Shop and outlet, in one folder, with one state: on SQLite with the ids expected, on PostgreSQL by names alone."""
    yield from both(tmp_path, state_url, expected="://" not in state_url)


@pytest.fixture(params=[True, False], ids=["ids", "names"])
def watched(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[NamedDesk, NamedDesk]]:
    """The same, on SQLite."""
    yield from both(tmp_path, str(tmp_path / "state.db"), expected=request.param)


def test_what_is_known_of_one_is_not_known_of_the_other(desks: tuple[NamedDesk, NamedDesk]) -> None:
    """Known profiles, memberships, vanished rows and the guard on the row count look at the same account's past."""
    shop, outlet = desks
    for desk in desks:
        desk.mapping["load"] |= {"only_changed": True, "missing": "remove_from_list"}
        desk.guards(max_row_count_change_percent=10, max_missing_percent=100)
    shop.write(20)
    assert shop.run().tally.loaded == 20
    shop.write(4)
    # A tenth of the other's rows; everybody is new here, and nobody has vanished.
    assert outlet.run().tally.loaded == 4
    assert (shop.profiles, outlet.profiles) == (20, 4)
    assert outlet.run().tally.unchanged == 4
    assert shop.run().exit_code is ExitCode.GUARD
    shop.write(20)
    assert shop.run().tally.unchanged == 20
    with shop.store() as store:
        assert {run.details.account_label for run in store.runs.newest() if run.account == "SHOP01"} == {"shop"}


def test_a_query_goes_on_where_the_same_account_came_to(desks: tuple[NamedDesk, NamedDesk], tmp_path: Path) -> None:
    shop, outlet = desks
    with contextlib.closing(sqlite3.connect(tmp_path / "crm.db")) as crm, crm:
        crm.execute("CREATE TABLE people (mail TEXT, moved INTEGER)")
        crm.executemany("INSERT INTO people VALUES (?, ?)", [(f"p{n}@mapleshop.com", n) for n in range(6)])
    query = "SELECT mail, moved FROM people WHERE moved > :since ORDER BY moved"
    source = {"url": f"sqlite:///{tmp_path}/crm.db", "query": query, "watermark": "moved", "parameters": {"since": -1}}
    mapping = {"source": source, "columns": {"mail": "email"}, "load": {"list": "News", "small_run": 0}}
    nights = (shop, shop, outlet, outlet)
    reads = [pipeline.run(None, mapping, context=desk.context, verify="none").tally.read for desk in nights]
    assert reads == [6, 0, 6, 0]
    assert outlet.profiles == 6
    with contextlib.closing(sqlite3.connect(tmp_path / "crm.db")) as crm, crm:
        crm.execute("INSERT INTO people VALUES ('late@mapleshop.com', 9)")
    assert pipeline.run(None, mapping, context=shop.context, verify="none").tally.read == 1
    # A look without a network knows by the name whose mark it is.
    assert pipeline.check(None, mapping, context=shop.context).tally.read == 0
    assert pipeline.check(None, mapping, context=outlet.context).tally.read == 1


def test_a_lock_keeps_out_the_same_account_alone(desks: tuple[NamedDesk, NamedDesk]) -> None:
    shop, outlet = desks
    shop.write(2)
    with shop.store() as store, store.lock.hold("SHOP01", "test"):
        with pytest.raises(LockedError):
            shop.run()
        assert outlet.run().tally.loaded == 2


def test_an_unfinished_run_is_finished_by_its_own_account(desks: tuple[NamedDesk, NamedDesk]) -> None:
    """And it stands in nobody else's way: neither at a run, nor at a resume, a retry, a report."""
    shop, outlet = desks
    shop.write(5)
    calm = CrashPoints()
    with contextlib.suppress(CrashError):
        middle = CrashPoints(frozenset({_submit(shop, calm)}))
        pipeline.run(shop.source, shop.mapping, context=shop.process(middle), verify="none")
    with shop.store() as store:
        (dead,) = [run.id for run in store.runs.newest() if run.finished_at is None]
    assert outlet.run().tally.loaded == 5
    with pytest.raises(UsageError) as refused:
        pipeline.retry(context=outlet.context)
    assert refused.value.code == "nothing-to-retry"
    with pytest.raises(EtlError) as wrong:
        pipeline.resume(context=outlet.context)
    assert wrong.value.code in {"nothing-to-resume", "account-unexpected"}
    before = changes(outlet.sandbox)
    with pytest.raises(GuardError):
        pipeline.resume(dead, context=outlet.context)
    assert changes(outlet.sandbox) == before
    # Newer than the shop's is the outlet's run; asked for the shop, the shop's is meant.
    assert pipeline.get_report(context=shop.context).account == "SHOP01"
    assert {one.account for one in pipeline.runs(context=outlet.context)} == {"OUTL02"}
    report = pipeline.resume(context=shop.context)
    assert (report.run, report.exit_code, report.account_label) == (dead, ExitCode.OK, "shop")


def _submit(desk: NamedDesk, calm: CrashPoints) -> int:
    """Return the point right after a request that changes something has left, of a run like the one to come."""
    other = NamedDesk(desk.folder, "calm", "CALM03", str(desk.folder / "calm.db"))
    pipeline.run(desk.source, desk.mapping, context=other.process(calm), verify="none")
    other.sandbox.close()
    return next(n for n, name in enumerate(calm.names, 1) if name.startswith("after POST"))


def test_an_opt_out_holds_where_it_was_said(desks: tuple[NamedDesk, NamedDesk]) -> None:
    shop, outlet = desks
    event = OptOutEvent(
        "e1", "topic", OptOutKind.UNSUBSCRIBED, Channel.EMAIL, "person0@mapleshop.com", None, "P1", 1.0, 1.0
    )
    shop.write(1)
    for desk in desks:
        desk.mapping["columns"]["Name"] = "first_name"
        desk.run()
    with shop.store() as store:
        store.opt_outs.append("SHOP01", [event])
    assert [one["account"] for one in pipeline.opt_outs(context=shop.context)] == ["SHOP01"]
    assert list(pipeline.opt_outs(context=outlet.context)) == []
    assert [one.label for one in pipeline.status_of(context=shop.context).opt_outs] == ["shop"]


def test_who_was_forgotten_in_one_may_be_imported_into_the_other(desks: tuple[NamedDesk, NamedDesk]) -> None:
    shop, outlet = desks
    shop.write(3)
    with shop.store() as store:
        store.forgotten.add("SHOP01", [("email", "person1@mapleshop.com")])
    assert shop.run().tally.rejected == 1
    assert outlet.run().tally.loaded == 3


def test_what_waits_for_one_is_delivered_by_nobody_else(desks: tuple[NamedDesk, NamedDesk]) -> None:
    """Not even looked at, nor waited for: the same person's earlier request to another account holds nothing up."""
    shop, outlet = desks
    owner = Ownership(shop.context.rng).name
    with shop.store() as ours, outlet.store() as theirs:
        first = ours.outbox.accept("profile", b"{}", "u1", ["person"])
        second = theirs.outbox.accept("profile", b"{}", "u2", ["person"])
        assert (ours.outbox.due(), theirs.outbox.due()) == ([first], [second])
        assert theirs.outbox.claim(first, owner) is None
        assert not theirs.outbox.is_behind(second)
        assert theirs.outbox.is_first(second)
        assert ours.outbox.claim(first, owner) is not None
        assert (ours.outbox.owners(), theirs.outbox.owners()) == ([owner], [])
        assert (ours.outbox.count_waiting(), theirs.outbox.count_waiting()) == (1, 1)
    unnamed = replace(shop.context, settings=replace(shop.context.settings, account=None))
    with unnamed.open_store() as nobodys:
        assert (nobodys.outbox.due(), nobodys.outbox.count_waiting()) == ([], 0)
    assert pipeline.status_of(context=unnamed).outbox == 2


@pytest.fixture
def web() -> Iterator[WebReceiver]:
    with web_receiver() as receiver:
        yield receiver


def test_alerts_of_one_source_tell_whose_they_are(
    watched: tuple[NamedDesk, NamedDesk], web: WebReceiver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The same file and mapping for both: one account's revoked key is no news of the other's import."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    shop, outlet = desks = watched
    rule = {"webhook": web.url}
    shop.write(3)

    def night(desk: NamedDesk) -> None:
        error = None
        try:
            desk.mapping["notify"] = rule
            desk.run()
        except EtlError as raised:
            error = raised
        pipeline.tell_changes(
            context=desk.context, command=pipeline.Command("run", str(desk.source), rule=rule, error=error)
        )
        desk.clock.time += 24 * HOUR

    for desk in desks:
        night(desk)
    outlet.faults({"fault": "key_revoked", "endpoint": "GET /api/accounts", "times": 1})
    for desk in (*desks, *desks):
        night(desk)
    conditions = {one.label: one.condition for one in pipeline.status_of(context=shop.context).sources}
    assert conditions == {"shop": "well", "outlet": "failed"}
    assert [one.label for one in pipeline.status_of(context=shop.context, account="shop").sources] == ["shop"]
    outlet.faults()
    for desk in desks:
        night(desk)
    told = [(one["account_label"], one["condition"], one["account"]) for one in web.documents]
    assert told == [("outlet", "failed", "OUTL02"), ("outlet", "well", "OUTL02")]
    assert f"outlet: {outlet.source} failed" in web.documents[0]["subject"]


def test_a_name_whose_account_nobody_knows_yet_has_its_own_alerts(
    watched: tuple[NamedDesk, NamedDesk], web: WebReceiver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Failed at its very first night, and well at the second: both are told, of the right account."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    shop, outlet = desks = watched
    rule = {"webhook": web.url}
    shop.mapping["notify"] = outlet.mapping["notify"] = rule
    shop.write(3)
    with shop.store():
        pass
    for desk in desks:
        error = UsageError("source-not-found", "There is no file", "Look.")
        command = pipeline.Command("run", str(desk.source), rule=rule, error=error)
        pipeline.tell_changes(context=desk.context, command=command)
    for desk in desks:
        desk.run()
        pipeline.tell_changes(context=desk.context, command=pipeline.Command("run", str(desk.source), rule=rule))
    told = [(one["account_label"], one["condition"]) for one in web.documents]
    assert told == [("shop", "failed"), ("outlet", "failed"), ("shop", "well"), ("outlet", "well")]
    assert {one.level for one in pipeline.status_of(context=shop.context).sources} == {0}


def test_errors_of_the_version_before_are_kept(tmp_path: Path) -> None:
    """A state of schema 16 is looked at as it is, and brought up to date with what it knows."""
    desk = ImporterFixture(tmp_path, limits="off")
    desk.write(2)
    desk.run()
    desk.sandbox.close()
    columns = "source TEXT, kind TEXT, failed_at REAL, command TEXT, code TEXT, message TEXT, hint TEXT, run TEXT"
    with contextlib.closing(sqlite3.connect(tmp_path / "state.db")) as database, database:
        database.execute("DROP TABLE failed_commands")
        database.execute("ALTER TABLE outbox DROP COLUMN account")
        database.execute(f"CREATE TABLE failures ({columns}, PRIMARY KEY (source, kind))")
        failure = (
            str(desk.source),
            "profiles",
            desk.clock.now() + 1,
            "run",
            "key-refused",
            "No such key",
            "Look.",
            None,
        )
        database.execute(f"INSERT INTO failures VALUES ({', '.join('?' * len(failure))})", failure)
        database.execute("DELETE FROM migrations WHERE number >= 17")
    for _ in range(2):
        (one,) = pipeline.status_of(context=desk.context).sources
        assert (one.condition, one.problem.code if one.problem else None) == ("failed", "key-refused")
        with desk.context.open_store() as store:
            assert store.outbox.count_waiting() == 0
