"""One person is forgotten: no byte of them is left, everybody else's are, and they do not come back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from etl import pipeline
from etl.errors import EtlError
from etl.identity import opt_out_key
from etl.model import Channel
from etl.report import Report
from etl.state import OptOutEvent, OptOutKind
from etl.state.db import schema
from tests.server.test_forms_delivered import accept, deliver
from tests.support.effort import walk
from tests.support.event_cases import HEADER as ORDER_HEADER
from tests.support.event_cases import ORDERS, codes, outcomes, stored
from tests.support.importer import ImporterFixture
from tests.support.in_process import CrashError, CrashPoints
from tests.support.leftovers import files_of_state, left_in_files, left_in_tables

HEADER = ("Id", "Email", "Phone", "Name", "Notes")
ANN, PHONE = "ann.gone@mapleshop.com", "+12127365001"
ANNS = [b"ann.gone", b"2127365001", b"736-5001", b"key-ann", b"Annabella", b"anns own note"]
OTHERS = [b"bob.stays@mapleshop.com", b"Bobby"]
BOB = ("key-bob", "bob.stays@mapleshop.com", "+12127365002", "Bobby", "")
REFUSED = ("", "nobody", "", "Badboy", "")
ROWS = [
    ("key-ann", ANN, PHONE, "Annabella", "anns own note"),
    BOB,
    ("key-ann", ANN.upper(), "", "Annabella B.", ""),  # a duplicate
    ("", "", PHONE, "Annabella C.", ""),  # by her phone alone
    REFUSED,
    ("", "ann.gone@mapleshop.com, x", "", "Annabella D.", ""),  # refused, and hers
]


def prepared(folder: Path, state: str) -> ImporterFixture:
    found = ImporterFixture(folder, state=state, limits="off", processing_seconds=0.5)
    columns = {"Id": "external_id", "Email": "email", "Phone": "phone_number", "Name": "first_name"}
    found.mapping = {
        "columns": {**columns, "Notes": "properties.notes"},
        "load": {"list": "News", "small_run": 0, "only_changed": True},
    }
    return found


@pytest.fixture
def desk(tmp_path: Path) -> ImporterFixture:
    return prepared(tmp_path, str(tmp_path / "state.db"))


@pytest.fixture
def either(tmp_path: Path, state_url: str) -> ImporterFixture:
    return prepared(tmp_path, state_url)


def imported(desk: ImporterFixture, rows: Any = ROWS) -> Report:
    desk.write(rows, HEADER)
    report = desk.run()
    desk.source.unlink()
    return report


def leftovers(desk: ImporterFixture, needles: list[bytes]) -> dict[str, list[bytes]]:
    with desk.context.open_store() as store:
        return {**left_in_tables(store, needles), **left_in_files(files_of_state(store, desk.folder), needles)}


def told(desk: ImporterFixture, **who: str) -> None:
    """Let a webhook say that somebody unsubscribed."""
    with desk.context.open_store() as store:
        (account,) = store.people.accounts()
        at = desk.clock.now() - 60
        event = OptOutEvent(
            event_id=f"{at} {len(str(who))}",
            topic="topic",
            kind=OptOutKind.UNSUBSCRIBED,
            channel=Channel.EMAIL,
            email=who.get("email"),
            phone_number=None,
            profile_id=who.get("profile_id"),
            happened_at=at,
            received_at=at,
        )
        assert store.opt_outs.append(account, [event]) == 1


def opted_out(desk: ImporterFixture) -> list[str]:
    with desk.context.open_store() as store:
        (account,) = store.people.accounts()
        return sorted(store.opt_outs.among(account, Channel.EMAIL, [ANN, BOB[1]]))


@pytest.mark.parametrize("who", [ANN, PHONE, "key-ann"])
def test_no_byte_of_them_is_left_and_everybody_else_s_are(desk: ImporterFixture, who: str) -> None:
    before = imported(desk)
    told(desk, email=ANN, profile_id="01ANN")
    told_of = leftovers(desk, ANNS)
    assert {"blocks.cells", "record_blocks.bodies", "notices.email", "rejects.csv"} <= set(told_of)
    (found,) = pipeline.plan_forget([who], context=desk.context)
    assert (found.rows, found.runs, found.identifiers, found.unfinished) == (4, 1, 3, ())
    assert leftovers(desk, ANNS).keys() == told_of.keys(), "looking changes nothing"

    pipeline.forget([who], context=desk.context)
    assert leftovers(desk, ANNS) == {}
    there = leftovers(desk, OTHERS)
    assert set(there["blocks.cells"]) == set(there["record_blocks.bodies"]) == set(OTHERS)
    after = pipeline.get_report(before.run, context=desk.context)
    assert (after.tally, codes(after)) == (before.tally, codes(before))
    rejects = (desk.folder / "runs" / before.run / "rejects.csv").read_text("utf-8-sig")
    assert "Badboy" in rejects
    assert len(rejects.splitlines()) == 2


def test_an_address_that_ends_like_theirs_is_another_s(desk: ImporterFixture) -> None:
    near = ("joann.gone@mapleshop.com", f"{ANN}.au", "ann.gone+x@mapleshop.com", "x-ann.gone@mapleshop.com")
    imported(desk, [ROWS[0], *(("", address, "", "Joanna", f"who: {address}") for address in near)])
    (gone,) = pipeline.forget([ANN], context=desk.context)
    assert gone.rows == 1
    there = leftovers(desk, [address.encode() for address in near])
    assert len(set(there["blocks.cells"])) == len(set(there["record_blocks.bodies"])) == len(near)


def test_who_names_them_in_a_note_loses_that_row_s_data_and_is_not_refused(desk: ImporterFixture) -> None:
    imported(desk, [ROWS[0], (*BOB[:4], f"brought by {ANN}")])
    pipeline.forget([ANN], context=desk.context)
    assert leftovers(desk, ANNS) == {}
    assert imported(desk, [BOB]).tally.rejected == 0


def test_on_both_databases_nothing_is_left(either: ImporterFixture) -> None:
    imported(either)
    pipeline.forget([ANN], context=either.context)
    assert leftovers(either, ANNS) == {}
    assert leftovers(either, OTHERS)


def test_what_is_left_of_the_run_works(desk: ImporterFixture) -> None:
    run = imported(desk).run
    pipeline.forget([ANN], context=desk.context)
    assert pipeline.verify(run, context=desk.context).differences == 0
    assert not pipeline.check_state(context=desk.context).findings, "nothing is taken for damage"
    assert pipeline.rejects(desk.folder / "again.csv", run, context=desk.context) == 1
    assert pipeline.purge(pipeline.plan_purge(-1, context=desk.context), context=desk.context).due
    assert pipeline.get_report(run, context=desk.context).tally.ties


COMING = {
    "as she was": ("key-ann", ANN, PHONE, "Annabella", ""),
    "by another spelling": ("", "Ann.Gone@MapleShop.com", "", "Annabella", ""),
    "by her phone": ("", "", PHONE, "Annabella", ""),
    "by her id in the shop": ("key-ann", "", "", "Annabella", ""),
    "with a new address": ("key-ann", "new@mapleshop.com", "", "Annabella", ""),
    "in letters of another width": ("", "\uff41nn.gone@mapleshop.com", "", "Annabella", ""),
}


def test_she_does_not_come_back_by_anything_that_state_knew(desk: ImporterFixture) -> None:
    imported(desk)
    pipeline.forget([ANN], context=desk.context)
    everybody = [
        *COMING.values(),
        ("", f"{ANN}, also", "", "Annabella", ""),
        ("key-bob", BOB[1], BOB[2], "Robert", ""),
    ]
    report = imported(desk, everybody)
    tally = report.tally
    assert (tally.loaded, tally.rejected + tally.duplicate) == (1, len(everybody) - 1)
    assert codes(report)["forgotten"] >= 1
    assert leftovers(desk, [b"Annabella", b"new@mapleshop.com", *ANNS]) == {}


@pytest.mark.parametrize("row", COMING)
def test_each_of_her_rows_alone_is_refused_and_not_kept(desk: ImporterFixture, row: str) -> None:
    imported(desk)
    pipeline.forget([ANN], context=desk.context)
    report = imported(desk, [COMING[row]])
    assert report.tally.rejected == 1
    assert codes(report)["forgotten"] == 1
    assert leftovers(desk, [b"Annabella", b"new@mapleshop.com", *ANNS]) == {}


def test_commands_forms_orders_and_events_make_nobody_anew(desk: ImporterFixture) -> None:
    imported(desk)
    accept(desk.context, {"profile": {"email": ANN}, "lists": [], "consent": ["email"]})
    pipeline.forget([ANN], context=desk.context)
    assert leftovers(desk, ANNS) == {}, "nor in the request that waited"
    profiles = desk.profiles
    for verb in (
        lambda: pipeline.upsert_profile({"phone_number": PHONE}, context=desk.context),
        lambda: pipeline.track({"metric": "Ordered", "profile": {"external_id": "key-ann"}}, context=desk.context),
    ):
        with pytest.raises(EtlError, match="deleted") as refused:
            verb()
        assert refused.value.code == "forgotten"
    accept(desk.context, {"profile": {"email": ANN}, "lists": [], "consent": ["email"]})
    deliver(desk.context)
    lines = [
        ("o1", ANN, "2024-05-01 10:00", "5.00", "USD", "Lyon"),
        ("o2", BOB[1], "2024-05-01 10:00", "7.00", "USD", "Lyon"),
    ]
    desk.write(lines, ORDER_HEADER)
    report = pipeline.events(desk.source, ORDERS, context=desk.context)
    desk.source.unlink()
    assert (outcomes(report), codes(report)) == ({"rejected": 1, "loaded": 1}, {"forgotten": 1})
    (sums,) = report.revenue
    assert (sums.read, sums.loaded, sums.rejected) == ("12.00", "7.00", "5.00")
    assert (desk.profiles, len(stored(desk))) == (profiles, 1)
    with desk.context.open_store() as store:
        assert left_in_tables(store, ANNS) == {}


def test_sums_of_her_orders_still_tie(desk: ImporterFixture) -> None:
    lines = [
        ("o1", ANN, "2024-05-01 10:00", "5.00", "USD", "Lyon"),
        ("o2", BOB[1], "2024-05-01 10:00", "7.00", "USD", "Lyon"),
    ]
    desk.write(lines, ORDER_HEADER)
    before = pipeline.events(desk.source, ORDERS, context=desk.context)
    desk.source.unlink()
    pipeline.forget([ANN], context=desk.context)
    assert leftovers(desk, [b"ann.gone"]) == {}
    assert pipeline.get_report(before.run, context=desk.context).revenue == before.revenue
    pipeline.purge(pipeline.plan_purge(-1, context=desk.context), context=desk.context)
    assert pipeline.get_report(before.run, context=desk.context).revenue == before.revenue
    assert outcomes(before) == {"loaded": 2}


def test_her_opt_out_outlives_her_and_holds_when_she_comes_back(desk: ImporterFixture) -> None:
    imported(desk)
    told(desk, email=ANN)
    told(desk, email=BOB[1])
    pipeline.forget([ANN], context=desk.context)
    desk.clock.time += 5
    told(desk, email=ANN)
    assert leftovers(desk, ANNS) == {}, "what the webhook told later is kept as a digest, too"
    assert pipeline.allow(["Ann.Gone@mapleshop.com"], context=desk.context) == 1
    assert opted_out(desk) == sorted(opt_out_key("email", each) for each in (ANN, BOB[1]))
    rows = list(pipeline.opt_outs(context=desk.context))
    assert [row["address"].startswith("forgotten:") for row in rows] == [False, True]


def test_who_comes_back_is_let_in_by_whatever_they_are_named(desk: ImporterFixture) -> None:
    imported(desk)
    pipeline.forget([ANN], context=desk.context)
    (listed,) = pipeline.forgotten_people(context=desk.context)
    assert int(listed["digests"]) >= 3
    assert not {ANN, PHONE, "key-ann"} & set(listed.values())
    assert pipeline.allow([PHONE], context=desk.context) == 1
    assert pipeline.allow([PHONE], context=desk.context) == 0
    assert list(pipeline.forgotten_people(context=desk.context)) == []
    assert imported(desk, [ROWS[0]]).tally.rejected == 0


def test_who_shares_a_phone_stays_and_the_phone_is_refused(desk: ImporterFixture) -> None:
    """Of two people with one number each has an address of their own."""
    imported(desk, [ROWS[0]])
    imported(desk, [("", "dad.stays@mapleshop.com", PHONE, "Daddy", "")])
    (found,) = pipeline.forget([ANN], context=desk.context)
    with desk.context.open_store() as store:
        assert left_in_tables(store, [b"dad.stays"])
    assert found.rows == 1


def test_a_run_that_is_not_finished_comes_first(desk: ImporterFixture) -> None:
    desk.write(ROWS, HEADER)
    with pytest.raises(CrashError):
        pipeline.run(
            desk.source, desk.mapping, context=desk.process(CrashPoints(deadly=frozenset({40}))), verify="none"
        )
    with pytest.raises(EtlError) as refused:
        pipeline.forget([ANN], context=desk.context)
    assert refused.value.code == "run-unfinished"
    assert list(pipeline.forgotten_people(context=desk.context)) == []
    report = pipeline.resume(context=desk.context)
    assert report.tally.loaded >= 1
    pipeline.forget([ANN], context=desk.context)
    desk.source.unlink()
    assert leftovers(desk, ANNS) == {}


def test_cut_short_anywhere_it_is_whole_once_repeated(desk: ImporterFixture) -> None:
    points = CrashPoints()
    imported(desk)
    pipeline.forget([ANN], context=desk.process(points))
    assert points.passed >= 4
    for number in walk(points.passed, every=2):
        name = f"eve{number}"
        run = imported(desk, [(f"key-{name}", f"{name}.gone@mapleshop.com", "", "Evelyn", ""), REFUSED]).run
        with pytest.raises(CrashError):
            pipeline.forget([f"{name}.gone@mapleshop.com"], context=desk.process(CrashPoints(frozenset({number}))))
        assert pipeline.get_report(run, context=desk.context).tally.ties
        pipeline.forget([f"{name}.gone@mapleshop.com"], context=desk.context)
        assert leftovers(desk, [f"{name}.gone".encode(), f"key-{name}".encode()]) == {}


def test_a_file_that_is_not_ours_is_named(desk: ImporterFixture) -> None:
    run = imported(desk).run
    fixed = desk.folder / "runs" / run / "fixed.csv"
    fixed.write_text(f"Email\n{ANN.upper()}\n", "utf-8")
    (gone,) = pipeline.forget([ANN], context=desk.context)
    assert gone.left == (fixed,)


def test_while_nobody_is_on_the_list_no_row_is_looked_at(
    desk: ImporterFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = imported(desk).run
    monkeypatch.setattr("etl.state.serving.forgotten.read_blocks", None)
    with desk.context.open_store() as store:
        assert store.forgotten.lines_of(run, "any") == []


def test_whom_an_earlier_version_remembered_is_refused_still(desk: ImporterFixture) -> None:
    """It kept no screens."""
    with desk.context.open_store() as store:
        store.forgotten.add("*", [("email", ANN)])
        with store.database.write() as connection:
            connection.execute(schema.forgotten.update().values(screen=None))
    report = imported(desk, [ROWS[0], BOB])
    assert (outcomes(report), codes(report)) == ({"rejected": 1, "loaded": 1}, {"forgotten": 1})


def test_a_deletion_asked_of_klaviyo_refuses_what_state_knows_them_by(desk: ImporterFixture) -> None:
    """Also where Klaviyo has no such profile any more."""
    imported(desk, [ROWS[0]])
    for _ in range(2):
        pipeline.delete_profile(ANN, context=desk.context)
        desk.clock.time += 10
    assert imported(desk, [("", "", PHONE, "Annabella", "")]).tally.rejected == 1


def test_what_is_no_identifier_is_refused(desk: ImporterFixture) -> None:
    with pytest.raises(EtlError) as refused:
        pipeline.forget([" "], context=desk.context)
    assert refused.value.code == "identifier-missing"
