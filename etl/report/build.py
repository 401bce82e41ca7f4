"""State → :class:`~etl.report.model.Report`. Pure but for reading state: no clock, no source, no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from etl.codes import CODES
from etl.errors import InternalError
from etl.model import Outcome, RunStatus
from etl.report.model import BatchTotals, IssueGroup, Observed, Phase, Report, Tally
from etl.state import Run, Store

_KINDS: Final = {
    "import": "bulk import jobs",
    "upsert": "profile-import",
    "list_add": "list additions",
    "list_remove": "list removals",
}


def build_report(store: Store, run_id: str) -> Report:
    """Read one run out of state. Raise :class:`InternalError` if its sum does not tie (promise 1)."""
    run = store.run(run_id)
    tally = _tally(run, store.counts(run_id))
    if not tally.ties:
        raise InternalError(
            "sum-does-not-tie",
            f"Run {run_id}: {tally.read} rows were read, but the outcomes add up to {sum(n for _, n in tally.parts)}",
            "Please report this with the run's manifest.json.",
        )
    issues = _issues(store, run_id)
    details = run.details
    return Report(
        run=run.id,
        command=run.command,
        status=run.status,
        tool_version=run.tool_version,
        source=run.source,
        source_facts=dict(details.get("source_facts", {})),
        source_notes=tuple(details.get("source_notes", ())),
        mapping_hash=run.mapping_hash,
        account=run.account,
        account_name=str(details.get("account_name", "")),
        lists=tuple(details.get("list_names", ())),
        parent=run.parent,
        started_at=run.started_at,
        finished_at=run.finished_at,
        tally=tally,
        issues=issues,
        batches=_batches(store, run_id),
        jobs=tuple(store.job_ids(run_id)),
        phases=_phases(run, tally),
        observed=tuple(
            Observed(seen.verdict.value, seen.count, seen.fields, seen.lines)
            for seen in store.observation_summary(run_id)
        ),
        notes=_notes(run),
        next_steps=_next_steps(run, tally, issues),
    )


def _tally(run: Run, counts: Mapping[Outcome | None, int]) -> Tally:
    # What was read is counted where it is read, so that a row lost on the way to state would show.
    read = run.details.get("records_read")
    return Tally(
        read=sum(counts.values()) if read is None else int(read),
        rejected=counts.get(Outcome.REJECTED, 0),
        duplicate=counts.get(Outcome.DUPLICATE, 0),
        unchanged=counts.get(Outcome.UNCHANGED, 0),
        loaded=counts.get(Outcome.LOADED, 0),
        failed=counts.get(Outcome.FAILED, 0),
        unknown=counts.get(Outcome.UNKNOWN, 0),
        pending=counts.get(None, 0),
    )


def _issues(store: Store, run_id: str) -> tuple[IssueGroup, ...]:
    groups = []
    for found in store.issue_groups(run_id):
        code = CODES.get(found.code)
        groups.append(
            IssueGroup(
                code=found.code,
                title=code.title if code else found.code,
                hint=code.hint if code else "",
                stage=found.stage,
                severity=found.severity,
                column=found.column,
                count=found.count,
                lines=found.lines,
                detail=found.detail,
            )
        )
    return tuple(groups)


def _batches(store: Store, run_id: str) -> tuple[BatchTotals, ...]:
    return tuple(
        BatchTotals(
            kind=_KINDS.get(found.kind, found.kind),
            settled=found.settled,
            open=found.open,
            superseded=found.superseded,
            rows=found.rows,
            bytes=found.bytes,
            attempts=found.attempts,
            resent=found.resent,
        )
        for found in store.batch_summary(run_id)
    )


def _phases(run: Run, tally: Tally) -> tuple[Phase, ...]:
    seconds = run.details.get("seconds", {})
    rows = {
        "stage": tally.read,
        "load": tally.loaded + tally.failed + tally.unknown,
        "verify": int(run.details.get("verified", 0)),
    }
    return tuple(
        Phase(name, float(seconds[name]), rows.get(name, tally.read))
        for name in ("stage", "load", "verify")
        if name in seconds
    )


def _notes(run: Run) -> tuple[str, ...]:
    return tuple(str(note) for note in run.details.get("notes", ()))


def _next_steps(run: Run, tally: Tally, issues: Sequence[IssueGroup]) -> tuple[str, ...]:
    steps = []
    if run.status is RunStatus.REFUSED:
        steps.append("Nothing was sent. Correct the source or the [guards] of the mapping, then run again.")
    elif run.status is RunStatus.LOADING or (run.status is RunStatus.STAGED and run.command != "check"):
        steps.append(f"Finish this run: klaviyo-etl resume {run.id}")
    if tally.rejected:
        steps.append(
            f"Fix the {_rows(tally.rejected, 'rejected')}: klaviyo-etl rejects {run.id} writes the file with the "
            "reasons; correct it and run it."
        )
    if tally.failed:
        steps.append(
            f"Look at the {_rows(tally.failed, 'failed')}; Klaviyo's reasons are in the rejects file. What was "
            f"Klaviyo's trouble and not the row's can be sent again: klaviyo-etl retry {run.id}"
        )
    if tally.unknown:
        steps.append(f"Send the {_rows(tally.unknown)} without proof of arrival again: klaviyo-etl retry {run.id}")
    if any(group.code == "email-domain-typo" for group in issues):
        steps.append("Some e-mail domains look mistyped; they were sent as they stand.")
    if run.command == "check" and not tally.rejected and tally.read:
        steps.append("Nothing stands in the way: klaviyo-etl run sends these rows.")
    return tuple(steps)


def _rows(count: int, adjective: str = "") -> str:
    return f"{count:,} {adjective} {'row' if count == 1 else 'rows'}".replace("  ", " ")
