"""The report as text: an addition that ties, first; every section; the same bytes for the same state; nobody's data."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.errors import ExitCode, InternalError
from etl.model import BatchKind, Issue, Outcome, PlannedBatch, RowResult, RunStatus, Severity, Stage
from etl.report import IssueGroup, Observed, Report, Tally, build_report, render_html, render_json, render_text
from etl.report.text import duration, size, speed, timestamp
from etl.state import Store
from tests.support.report_cases import PERSONAL, begin, every_outcome
from tests.support.state_backends import FakeClock, OpenStore, record, stage

GOLDEN = """\
Run RUN-ID (run, finished)
  5 loaded, 2 unchanged, 2 duplicate, 2 rejected, 1 failed, 2 unknown
  source   /exports/people.csv
           read as UTF-8
  account  AbC123 (Maple Shop)
  list     Newsletter (Y6nRLr, double opt in)
  time     2027-01-15 08:01:00 UTC to 2027-01-15 08:02:45 UTC

     5  loaded
  +  2  unchanged
  +  2  duplicate
  +  2  rejected
  +  1  failed
  +  2  unknown
  --------------
  = 14  rows read: every row is accounted for

Errors (cost the row)
  count  code             column  first lines
  -----  ---------------  ------  -----------
      2  result-unproven  (row)   13, 14
      1  klaviyo-invalid  Email   10
      1  phone-invalid    Mobile  6
      1  row-too-short    (row)   15

  result-unproven: Run klaviyo-etl verify, then retry what is missing.
  klaviyo-invalid: The detail is Klaviyo's own; correct the cell and run the
        rejects file.
  phone-invalid: Write it in international form, +<country code><number>.
  row-too-short: A delimiter or quote is missing on this line; compare it with
        the header.

Warnings (cost at most a cell)
  count  code               column  first lines
  -----  -----------------  ------  -----------
      2  duplicate-merged   (row)   5, 9
      1  email-domain-typo  Email   8
      1  header-duplicate   Plan
      1  text-too-long      Notes   7

  duplicate-merged: Merged into the line that is named; nothing to do.
  email-domain-typo: Compare with the suggestion; the row was imported as it
        stands.
  header-duplicate: The later column was renamed by adding a number; rename it
        in the source if you need it.
  text-too-long: Shorten it, or raise max_length.

Several lines of one person (1 person, 2 lines more)
  line  with lines  differing in
  ----  ----------  ------------
     2  5, 9        Plan
  differing: Plan (1)

Sent to Klaviyo
  requests          settled  open  replaced  rows    size  attempts  re-sent
  ----------------  -------  ----  --------  ----  ------  --------  -------
  bulk import jobs        2     0         1     7  6.1 kB         4        1

Verified in Klaviyo
  read back      rows  fields that differ                   first lines
  -------------  ----  -----------------------------------  -----------
  confirmed         3
  differs           1  first_name (1), properties.plan (1)  11
  phone dropped     1  phone_number (1)                     12

Time
  phase         time  rows  rows/s
  ------  ----------  ----  ------
  stage        2.5 s    14     5.6
  load    1 min 12 s     8     0.1
  verify       3.0 s     5     1.7

  note: rows are added to Newsletter: this gives no consent
  next: Fix the 2 rejected rows: rejects.csv in this run's folder holds them
        with the reasons (klaviyo-etl rejects RUN-ID writes it
        elsewhere); correct it and run it.
  next: Check the 1 failed row; Klaviyo's reasons are in the rejects file. What
        was Klaviyo's trouble and not the row's can be sent again:
        klaviyo-etl retry RUN-ID
  next: Send the 2 rows without proof of arrival again:
        klaviyo-etl retry RUN-ID
  next: Some e-mail domains look mistyped; they were sent as they stand.
"""


def report_of(store: Store, clock: FakeClock, *, finish: bool = True) -> Report:
    return build_report(store, every_outcome(store, clock, finish=finish))


def test_the_summary_says_everything_on_one_screen(store: Store, clock: FakeClock) -> None:
    report = report_of(store, clock)
    assert render_text(report) == GOLDEN.replace("RUN-ID", report.run)


def test_the_same_state_gives_the_same_bytes(open_store: OpenStore, clock: FakeClock) -> None:
    """No clock, no chance, no network: another process, a year later, writes the same files."""
    run = every_outcome(open_store(), clock)
    first = build_report(open_store(), run)
    clock.time += 365 * 86_400
    second = build_report(open_store(), run)
    assert first == second
    for render in (render_text, render_json, render_html):
        assert render(first) == render(second)


# --- the addition -----------------------------------------------------------------------------------------------------


def test_every_row_is_in_the_sum_once(store: Store, clock: FakeClock) -> None:
    tally = report_of(store, clock).tally
    assert dict(tally.parts) == {
        "loaded": 5,
        "unchanged": 2,
        "duplicate": 2,
        "rejected": 2,
        "failed": 1,
        "different": 0,
        "unknown": 2,
        "pending": 0,
    }
    assert (tally.read, tally.ties) == (14, True)


def test_an_unfinished_run_counts_what_is_pending(store: Store, clock: FakeClock) -> None:
    report = report_of(store, clock, finish=False)
    assert (report.tally.pending, report.tally.unknown, report.tally.ties) == (2, 0, True)
    assert report.exit_code is ExitCode.STOPPED
    assert report.next_steps[0] == f"Finish this run: klaviyo-etl resume {report.run}"
    assert "  + 2  pending\n" in render_text(report).replace("  +  ", "  + ")


@pytest.mark.parametrize("read", [13, 15, 0])
def test_a_sum_that_does_not_tie_is_our_bug_and_never_a_footnote(store: Store, clock: FakeClock, read: int) -> None:
    run = every_outcome(store, clock)
    store.runs.update(run, records_read=read)
    with pytest.raises(InternalError) as broken:
        build_report(store, run)
    assert broken.value.code == "sum-does-not-tie"
    assert broken.value.exit_code is ExitCode.BUG
    assert f"{read} rows were read" in broken.value.message
    assert "add up to 14" in broken.value.message


@given(st.lists(st.integers(0, 10**7), min_size=8, max_size=8), st.integers(-3, 3))
def test_a_tally_ties_exactly_when_it_adds_up(counts: list[int], off: int) -> None:
    tally = Tally(sum(counts) + off, *counts)
    assert tally.ties is (off == 0)
    assert sorted(count for _, count in tally.parts) == sorted(counts)


@given(st.lists(st.integers(0, 10**9), min_size=8, max_size=8))
def test_the_printed_addition_can_be_added_up(counts: list[int]) -> None:
    """What a reader sees is the sum itself: the figures above the line make the one below."""
    text = render_text(replace(BLANK, tally=Tally(sum(counts), *counts)))
    figures = [line.split() for line in text.splitlines() if line.startswith(("    ", "  +"))]
    above = sum(int(next(word for word in words if word[0].isdigit()).replace(",", "")) for words in figures)
    (below,) = [line for line in text.splitlines() if "rows read" in line]
    assert above == int(below.split()[1].replace(",", "")) == sum(counts)


BLANK = Report(
    run="20270115-080000-aaaa",
    command="run",
    status=RunStatus.FINISHED,
    tool_version="0",
    source="s.csv",
    source_facts={},
    source_notes=(),
    mapping_hash="m",
    account=None,
    account_name="",
    lists=(),
    parent=None,
    started_at=0.0,
    finished_at=None,
    tally=Tally(0, 0, 0, 0, 0, 0, 0, 0),
    issues=(),
    batches=(),
    jobs=(),
    phases=(),
    observed=(),
    notes=(),
    next_steps=(),
)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, ExitCode.OK),
        ({"tally": Tally(3, 0, 1, 1, 1, 0, 0, 0)}, ExitCode.OK),
        ({"tally": Tally(1, 1, 0, 0, 0, 0, 0, 0)}, ExitCode.ROWS_NOT_LOADED),
        ({"tally": Tally(1, 0, 0, 0, 0, 1, 0, 0)}, ExitCode.ROWS_NOT_LOADED),
        ({"tally": Tally(1, 0, 0, 0, 0, 0, 1, 0)}, ExitCode.ROWS_NOT_LOADED),
        ({"observed": (Observed("confirmed", 3, (), (2,)),)}, ExitCode.OK),
        ({"observed": (Observed("differs", 1, (("email", 1),), (2,)),)}, ExitCode.ROWS_NOT_LOADED),
        ({"status": RunStatus.LOADING}, ExitCode.STOPPED),
        ({"status": RunStatus.STAGED}, ExitCode.STOPPED),
        ({"status": RunStatus.STAGED, "command": "check"}, ExitCode.OK),
        ({"status": RunStatus.REFUSED}, ExitCode.GUARD),
    ],
)
def test_the_exit_code_follows_from_the_result(changes: dict[str, object], code: ExitCode) -> None:
    assert replace(BLANK, **changes).exit_code is code  # type: ignore[arg-type]


# --- what it says -----------------------------------------------------------------------------------------------------


def test_an_unknown_code_is_shown_as_it_is(store: Store, clock: FakeClock) -> None:
    """A state written by a newer version can still be read."""
    run = every_outcome(store, clock)
    store.issues.add(run, [Issue(9, Stage.LOAD, "code-of-2030", "Email", "")])
    text = render_text(build_report(store, run))
    assert "code-of-2030" in text
    assert "code-of-2030:" not in text, "it has no hint"


def test_many_kinds_of_issues_are_cut_and_said() -> None:
    groups = tuple(
        IssueGroup(f"code-{number}", "T", "", Stage.LOAD, Severity.ERROR, None, 1, (number,), "")
        for number in range(1, 48)
    )
    text = render_text(replace(BLANK, issues=groups))
    assert "code-40" in text
    assert "code-41" not in text
    assert "and 7 more; report.html lists all" in text
    assert "code-47" in render_html(replace(BLANK, issues=groups))


def test_lines_fit_a_terminal_and_commands_stay_whole() -> None:
    command = "klaviyo-etl rejects 20270115-080000-aaaa"
    step = f"{'word ' * 16}{command} {'word ' * 30}"
    text = render_text(replace(BLANK, next_steps=(step.strip(),), notes=("note " * 40,)))
    assert max(map(len, text.splitlines())) <= 100
    assert command in text
    assert " ".join(text.split("next: ")[1].split()) == step.strip()


def test_one_row_is_not_rows(store: Store) -> None:
    run = begin(store)
    stage(store, run, [record(2), record(3)])
    (batch,) = store.batches.add(run, [PlannedBatch(BatchKind.IMPORT, (2, 3))])
    store.batches.mark_sending(batch)
    results = [RowResult(2, Outcome.FAILED, "gave-up"), RowResult(3, Outcome.UNKNOWN, "gave-up")]
    store.batches.settle(batch, results)
    steps = " ".join(build_report(store, run).next_steps)
    assert "the 1 failed row;" in steps
    assert "the 1 row without proof" in steps


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (duration(0.04), "0.0 s"),
        (duration(59.94), "59.9 s"),
        (duration(60), "1 min 00 s"),
        (duration(3_599.4), "59 min 59 s"),
        (duration(3_600), "1 h 00 min"),
        (duration(90_061), "25 h 01 min"),
        (size(0), "-"),
        (size(999), "999 B"),
        (size(1_000), "1.0 kB"),
        (size(4_600_000), "4.6 MB"),
        (size(7_200_000_000), "7.2 GB"),
        (speed(0), "0"),
        (speed(0.11), "0.1"),
        (speed(12_345.6), "12,346"),
        (timestamp(None), "-"),
        (timestamp(0), "1970-01-01 00:00:00 UTC"),
    ],
)
def test_figures_are_said_as_people_say_them(shown: str, text: str) -> None:
    assert shown == text


# --- for machines -----------------------------------------------------------------------------------------------------

KEYS = {
    *("format", "exit_code", "complete", "ties", "errors", "warnings", "run", "command", "status", "tool_version"),
    *("source", "source_facts", "source_notes", "mapping_hash", "account", "account_name", "account_label", "lists"),
    "parent",
    *("started_at", "finished_at", "tally", "issues", "batches", "jobs", "phases", "observed", "notes", "next_steps"),
    *("merges", "consents", "files", "revenue", "objection", "headline", "columns", "cells_left_out", "left_out_of"),
    *("listed", "listable", "set_aside", "purged_at", "outcomes", "sections"),
}


def test_the_keys_of_the_document_are_stable(store: Store, clock: FakeClock) -> None:
    """Scripts read it. A key may be added (here too); none may go or change its meaning under format 1."""
    document = orjson.loads(render_json(report_of(store, clock)))
    assert set(document) == KEYS
    assert (document["format"], document["exit_code"], document["ties"], document["complete"]) == (1, 1, True, True)
    assert (document["errors"], document["warnings"]) == (5, 5)
    assert set(document["tally"]) == {"read", *(outcome.value for outcome in Outcome), "pending"}
    assert document["tally"]["read"] == 14
    shown = [{"line": 2, "lines": [5, 9], "fields": ["Plan"]}]
    assert document["merges"] == {"people": 1, "lines": 2, "fields": [["Plan", 1]], "shown": shown}
    first = {"code", "title", "hint", "stage", "severity", "column", "count", "lines", "detail", "files"}
    assert set(document["issues"][0]) == first
    assert document["issues"][0]["lines"] == [13, 14]
    counts = {"kind", "settled", "open", "superseded", "rows", "bytes", "attempts", "resent"}
    assert set(document["batches"][0]) == counts
    assert document["jobs"] == ["job-1", "job-2"]
    assert document["observed"][2] == {
        "verdict": "phone_dropped",
        "count": 1,
        "fields": [["phone_number", 1]],
        "lines": [12],
        "files": [],
    }


@pytest.mark.parametrize("render", [render_text, render_json, render_html])
def test_no_report_holds_personal_data(render, store: Store, clock: FakeClock) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    run = every_outcome(store, clock)
    kept = "".join(cell for row in store.source_rows.to_fix(run) for cell in row.cells)
    kept += "".join(issue.suggestion for issue in store.issues.all(run))
    assert all(piece in kept for piece in ("person6@example.org", "Ragged Cell", "Fixed Suggestion")), "state does"
    shown = render(build_report(store, run))
    assert [piece for piece in PERSONAL if piece in shown] == []
