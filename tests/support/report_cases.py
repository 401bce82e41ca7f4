"""A run in state with every outcome, every section of a report, and personal data wherever state may hold some."""

from __future__ import annotations

from etl.model import (
    BatchKind,
    DedupeResolution,
    Issue,
    Merge,
    Observation,
    Outcome,
    PlannedBatch,
    RaggedRow,
    RowResult,
    RunStatus,
    Severity,
    Stage,
    VerifyResult,
)
from etl.state import RunOptions, Store
from tests.support.state_backends import FakeClock, record, stage

ACCOUNT = "AbC123"
PERSONAL = ("person6", "person8", "example.org", "+12025550143", "Fixed Suggestion", "Ragged Cell")
"""Pieces of the personal data that state holds of this run."""

BAD_PHONE = Issue(6, Stage.VALIDATE, "phone-invalid", "Mobile", "11 digits", suggestion="Fixed Suggestion")
CLIPPED = Issue(7, Stage.VALIDATE, "text-too-long", "Notes", "300 characters", Severity.WARNING)
TYPO = Issue(8, Stage.VALIDATE, "email-domain-typo", "Email", "", Severity.WARNING, "person@example.org")
SHORT = Issue(15, Stage.EXTRACT, "row-too-short", None, "1 cell, the header has 2")
RENAMED = Issue(0, Stage.EXTRACT, "header-duplicate", "Plan", "", Severity.WARNING)


def begin(store: Store, *, mapping_hash: str = "m1", command: str = "run", parent: str | None = None) -> str:
    return store.runs.create(
        source="/exports/people.csv",
        mapping_hash=mapping_hash,
        mapping={"columns": {"Email": "email"}},
        account=ACCOUNT,
        command=command,
        tool_version="0.1.0",
        options=RunOptions(),
        parent=parent,
    )


def earlier(store: Store) -> None:
    """A finished run that knows line 3 and 4 already."""
    run = begin(store)
    stage(store, run, [record(3), record(4)])
    (batch,) = store.batches.add(run, [PlannedBatch(BatchKind.IMPORT, (3, 4))])
    store.batches.mark_sending(batch)
    store.batches.mark_submitted(batch, "job-0", None)
    store.batches.settle(batch, [RowResult(3, Outcome.LOADED), RowResult(4, Outcome.LOADED)])


def every_outcome(store: Store, clock: FakeClock, *, finish: bool = True) -> str:
    """Lines 2 to 15 (14 rows): 5 loaded, 2 unchanged, 2 duplicate, 2 rejected, 1 failed, 2 unknown.

    With ``finish=False`` the unknown ones are still pending.
    """
    earlier(store)
    clock.time += 60
    run = begin(store)
    records = [record(line) for line in (2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14)]
    ragged = RaggedRow(15, ("Ragged Cell",))
    rejected = {6: BAD_PHONE}
    stage(store, run, records, rejected=rejected, ragged=(ragged,), issues=(SHORT,))
    store.issues.add(run, [CLIPPED, TYPO, RENAMED])
    merged = tuple((line, 2, "duplicate-merged") for line in (5, 9))
    told = tuple(Issue(line, Stage.DEDUPE, code, None, "line 2", Severity.WARNING) for line, _, code in merged)
    differing = Merge(2, (5, 9), ("Plan",))
    store.duplicates.apply(run, DedupeResolution(duplicates=merged, issues=told, merges=(differing,)))
    store.runs.update(
        run,
        status=RunStatus.STAGED,
        records_read=14,
        headers=["Email", "Plan"],
        source_facts={"encoding": "utf-8", "sha256": "ab" * 32},
        source_notes=["read as UTF-8"],
        account_name="Maple Shop",
        list_names=["Newsletter (Y6nRLr, double opt in)"],
        notes=["rows are added to Newsletter: this gives no consent"],
        seconds={"stage": 2.5},
    )
    assert store.known.mark_unchanged(run, ACCOUNT, common_lists=(), list_ids={}) == 2
    store.runs.update(run, status=RunStatus.LOADING)
    clock.time += 30
    (batch,) = store.batches.add(run, [PlannedBatch(BatchKind.IMPORT, (2, 7, 8, 10, 11, 12), size=6_200)])
    store.batches.mark_sending(batch)
    refused = RowResult(10, Outcome.FAILED, "klaviyo-invalid", "Invalid email address", "Email")
    (rest,) = store.batches.split(
        batch,
        [refused],
        [PlannedBatch(BatchKind.IMPORT, (2, 7, 8, 11, 12), size=5_100, parent=batch)],
        reply="row_errors",
        status=400,
    )
    store.batches.mark_sending(rest)
    store.batches.mark_planned_again(rest, not_before=0.0, reply="in_doubt", resent=True)
    store.batches.mark_sending(rest)
    store.batches.mark_submitted(rest, "job-1", clock.time + 604_800)
    store.batches.settle(rest, [RowResult(line, Outcome.LOADED, klaviyo_id=f"01-{line}") for line in (2, 7, 8, 11, 12)])
    (last,) = store.batches.add(run, [PlannedBatch(BatchKind.IMPORT, (13, 14), size=1_024)])
    store.batches.mark_sending(last)
    store.batches.mark_submitted(last, "job-2", clock.time + 604_800)
    if finish:
        store.batches.settle(last, [RowResult(line, Outcome.UNKNOWN, "result-unproven") for line in (13, 14)])
        store.observations.add(
            run,
            [
                *(Observation(line, VerifyResult.CONFIRMED) for line in (2, 7, 8)),
                Observation(11, VerifyResult.DIFFERS, ("first_name", "properties.plan")),
                Observation(12, VerifyResult.PHONE_DROPPED, ("phone_number",)),
            ],
        )
        clock.time += 75
        seconds = {"load": 72.4, "verify": 3.0}
        store.runs.update(run, status=RunStatus.FINISHED, verified=5, seconds=seconds)
    return run
