"""Staging: every record of the source has its row before anything is sent."""

from __future__ import annotations

import pandas as pd
import pytest

from etl.errors import InternalError, UsageError
from etl.model import (
    Chunk,
    DedupeResolution,
    Issue,
    Outcome,
    RaggedRow,
    RunStatus,
    Severity,
    Stage,
    Transformed,
    Validated,
)
from etl.state import Store
from tests.support.state_backends import begin, chunk, record, stage

INVALID = Issue(3, Stage.VALIDATE, "email-invalid", "Email", "no @", Severity.ERROR, "")
SHORT = Issue(5, Stage.EXTRACT, "row-too-short", None, "1 of 2 cells")


def test_every_record_gets_its_row(store: Store) -> None:
    """Accepted, rejected and ragged records all count, and the sum is what was read."""
    run = begin(store)
    stage(
        store,
        run,
        [record(2), record(4)],
        rejected={3: INVALID},
        ragged=(RaggedRow(5, ("lone",)),),
        issues=(SHORT,),
    )
    assert store.rows.counts(run) == {None: 2, Outcome.REJECTED: 2}
    assert list(store.rows.outcomes(run)) == [
        (2, None, None),
        (3, Outcome.REJECTED, "email-invalid"),
        (4, None, None),
        (5, Outcome.REJECTED, "row-too-short"),
    ]


def test_a_rejected_row_is_coded_by_its_first_error_not_by_a_warning(store: Store) -> None:
    warning = Issue(2, Stage.VALIDATE, "email-role", "Email", severity=Severity.WARNING)
    first = Issue(2, Stage.VALIDATE, "required-missing", "Plan")
    second = Issue(2, Stage.TRANSFORM, "date-invalid", "Joined")
    cells = chunk([2])
    run = begin(store)
    store.staging.add_chunk(
        run,
        cells,
        Validated(cells.frame, frozenset(), (warning, first)),
        Transformed((), frozenset({2}), (second,)),
    )
    assert list(store.rows.outcomes(run)) == [(2, Outcome.REJECTED, "required-missing")]
    assert list(store.issues.all(run)) == [warning, first, second]


@pytest.mark.parametrize(("records", "rejected"), [([2], ()), ([2, 3], (3,)), ([2, 3, 4], ())])
def test_a_line_that_is_neither_rejected_nor_a_record_is_refused(
    store: Store, records: list[int], rejected: tuple[int, ...]
) -> None:
    """Such a row would wait for an outcome forever (promise 1); nothing of its chunk is written."""
    cells = chunk([2, 3])
    run = begin(store)
    with pytest.raises(InternalError, match="rows-not-covered"):
        store.staging.add_chunk(
            run,
            cells,
            Validated(cells.frame, frozenset(rejected), ()),
            Transformed([record(line) for line in records], frozenset(), ()),
        )
    assert store.rows.counts(run) == {}


def test_an_empty_chunk_stages_nothing(store: Store) -> None:
    run = begin(store)
    stage(store, run, [])
    assert store.rows.counts(run) == {}


def test_the_same_line_twice_is_refused_and_leaves_the_first_alone(store: Store) -> None:
    run = begin(store)
    stage(store, run, [record(2)])
    with pytest.raises(Exception, match="state-failed"):
        stage(store, run, [record(1), record(2, plan="pro")])
    assert list(store.rows.outcomes(run)) == [(2, None, None)]
    assert store.records.bodies(run, [2]) == [record(2).body]


def test_cells_come_back_as_they_were_read_without_the_source(store: Store) -> None:
    """Quotes, newlines, leading zeros, long and short rows and SQL NULL: the rejects file needs no source."""
    run = begin(store)
    frame = pd.DataFrame(
        {"Name": ['say "hi"', "two\nlines", None], "Code": ["007", "NA", "1e5"], "λ,": ["", " x ", "🦄"]},
        index=pd.Index([2, 3, 7], dtype="int64", name="line"),
        dtype="str",
    )
    refused = {line: Issue(line, Stage.VALIDATE, "email-invalid", "Code") for line in (2, 3, 7)}
    ragged = (RaggedRow(5, ("a", "b", "c", "d")), RaggedRow(6, ()))
    store.staging.add_chunk(
        run,
        Chunk(frame, ragged, tuple(Issue(row.line, Stage.EXTRACT, "row-too-long") for row in ragged)),
        Validated(frame, frozenset(refused), tuple(refused.values())),
        Transformed((), frozenset(), ()),
    )
    assert [(row.line, row.cells, [issue.code for issue in row.issues]) for row in store.source_rows.to_fix(run)] == [
        (2, ('say "hi"', "007", ""), ["email-invalid"]),
        (3, ("two\nlines", "NA", " x "), ["email-invalid"]),
        (5, ("a", "b", "c", "d"), ["row-too-long"]),
        (6, (), ["row-too-long"]),
        (7, ("", "1e5", "🦄"), ["email-invalid"]),
    ]


def test_duplicate_candidates_are_the_rows_that_share_an_identifier(store: Store) -> None:
    """E-mail without regard to case, phone and external id; across chunks; nobody else is loaded."""
    run = begin(store)
    stage(store, run, [record(2, email="ann@example.org"), record(3), record(4, phone="+14155550100")])
    stage(
        store,
        run,
        [
            record(5, email="ANN@example.org"),
            record(6, phone="+14155550100"),
            record(7, email="", external_id="X1"),
            record(8, email="", external_id="X1"),
            record(9, email="", external_id="x1"),
            record(10, email=""),
            record(11, email=""),
        ],
    )
    (found,) = store.duplicates.candidates(run)
    assert [each.line for each in found] == [2, 4, 5, 6, 7, 8]
    assert found[0] == record(2, email="ann@example.org")


def test_candidates_of_another_run_do_not_count(store: Store) -> None:
    first, second = begin(store), begin(store)
    stage(store, first, [record(2, email="ann@example.org")])
    stage(store, second, [record(2, email="ann@example.org")])
    assert list(store.duplicates.candidates(second)) == []


def test_duplicates_are_settled_and_the_kept_line_gets_its_merged_body(store: Store) -> None:
    run = begin(store)
    stage(store, run, [record(line) for line in range(2, 6)])
    merged = record(2, plan="pro", lists=("News",), clears=True)
    told = Issue(3, Stage.DEDUPE, "duplicate-merged", None, "line 2", Severity.WARNING)
    refused = Issue(5, Stage.DEDUPE, "duplicate-rejected", None, "line 4")
    store.duplicates.apply(
        run,
        DedupeResolution(
            duplicates=((3, 2, "duplicate-merged"),), rejected=(5,), replaced=(merged,), issues=(told, refused)
        ),
    )
    assert list(store.rows.outcomes(run)) == [
        (2, None, None),
        (3, Outcome.DUPLICATE, "duplicate-merged"),
        (4, None, None),
        (5, Outcome.REJECTED, "duplicate-rejected"),
    ]
    assert store.records.bodies(run, [4, 2]) == [record(4).body, merged.body]
    assert [(row.line, row.lists, row.clears) for row in store.rows.pending(run, "import")] == [
        (2, ("News",), True),
        (4, (), False),
    ]
    assert list(store.issues.all(run)) == [told, refused]


def test_a_half_staged_run_can_be_forgotten(store: Store) -> None:
    """A crash while staging costs nothing."""
    kept, half = begin(store), begin(store)
    stage(store, kept, [record(2)])
    stage(store, half, [record(2)], rejected={3: INVALID})
    store.runs.discard(half)
    assert [run.id for run in store.runs.newest()] == [kept]
    assert store.rows.counts(kept) == {None: 1}
    with pytest.raises(UsageError, match="run-unknown"):
        store.rows.counts(half)
    again = begin(store)
    assert store.rows.counts(again) == {}
    assert list(store.issues.all(again)) == []


def test_a_staged_run_is_not_forgotten(store: Store) -> None:
    run = begin(store)
    stage(store, run, [record(2)])
    store.runs.update(run, status=RunStatus.STAGED)
    with pytest.raises(InternalError, match="run-not-staging"):
        store.runs.discard(run)
    assert store.rows.counts(run) == {None: 1}


def test_issues_of_the_file_stand_on_line_0(store: Store) -> None:
    run = begin(store)
    told = Issue(0, Stage.EXTRACT, "header-duplicate", "Email_2", severity=Severity.WARNING)
    store.issues.add(run, [told])
    assert list(store.issues.all(run)) == [told]
