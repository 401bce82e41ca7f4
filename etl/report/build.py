"""State → :class:`~etl.report.model.Report`. Pure but for reading state: no clock, no source, no network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

import orjson

from etl.account_words import with_account
from etl.codes import CODES
from etl.errors import InternalError
from etl.model import BatchKind, LineLocator, Outcome, RunStatus
from etl.operations import OPERATIONS
from etl.report.kinds import report_of
from etl.report.model import (
    MAX_LISTED,
    MAX_MERGES,
    BatchTotals,
    ColumnUse,
    ConsentTotals,
    FileRows,
    IssueGroup,
    ListedIssue,
    Merges,
    Observed,
    Phase,
    Report,
    Revenue,
    Tally,
    cells,
)
from etl.state import Run, Store

_MAX_COLUMNS: Final = 4


def build_report(store: Store, run_id: str, *, listing: bool = True) -> Report:
    """Read one run out of state. ``listing``: with its issues one by one.

    Raise :class:`InternalError` if its sum does not tie (promise 1).
    """
    run = store.runs.get(run_id)
    tally = _tally(run, store.rows.counts(run_id))
    if not tally.ties:
        raise _untied(run, f"{tally.read} rows were read, but the outcomes add up to {sum(n for _, n in tally.parts)}")
    places = run.details.locator
    issues = _issues(store, run_id, places)
    left_out = store.source_rows.cells_left_out(run_id)
    details = run.details
    own = report_of(store, run)
    if own.parts and sum(count for _, count in own.parts) != tally.read:
        raise _untied(run, f"{tally.read} rows were read, but the {run.options.kind} outcomes add up to something else")
    label = details.account_label
    return Report(
        run=run.id,
        command=run.command,
        status=run.status,
        tool_version=run.tool_version,
        source=run.source,
        source_facts=dict(details.source_facts),
        source_notes=details.source_notes,
        mapping_hash=run.mapping_hash,
        account=run.account,
        account_name=details.account_name,
        lists=details.list_names,
        parent=run.parent,
        started_at=run.started_at,
        finished_at=run.finished_at,
        tally=tally,
        issues=issues,
        batches=_batches(store, run_id),
        jobs=tuple(store.history.job_ids(run_id)),
        phases=_phases(run, tally),
        observed=tuple(
            Observed(seen.verdict.value, seen.count, seen.fields, *_located(places, seen.lines))
            for seen in store.observations.summary(run_id)
        ),
        notes=tuple(with_account(note, label) for note in (*details.notes, *_purge_notes(run))),
        next_steps=tuple(with_account(step, label) for step in _next_steps(run, tally, issues, left_out))
        if details.purged_at is None
        else (),
        account_label=label,
        merges=_merges(store, run_id),
        consents=_consents(store, run_id),
        revenue=_revenue(store, run),
        objection=details.objection,
        set_aside=tuple(details.set_aside.items()),
        files=tuple(FileRows(file.name, file.rows) for file in details.files),
        columns=tuple(ColumnUse(header, targets, left_out.get(header, 0)) for header, targets in details.columns),
        cells_left_out=sum(left_out.values()),
        left_out_of=tuple((header or "(row)", count) for header, count in left_out.items()),
        listed=_listed(store, run_id, places) if listing else (),
        listable=store.issues.count(run_id),
        purged_at=details.purged_at,
        outcomes=own.parts,
        sections=own.sections,
    )


def _untied(run: Run, what: str) -> InternalError:
    hint = "Please report this with the run's manifest.json."
    return InternalError("sum-does-not-tie", f"Run {run.id}: {what}", hint)


def _purge_notes(run: Run) -> Iterator[str]:
    if run.details.purged_at is not None:
        day = datetime.fromtimestamp(run.details.purged_at, UTC).date().isoformat()
        yield f"purged on {day}: cells, records and quoted values of this run are gone; outcomes, counts and codes stay"


def _located(places: LineLocator, lines: Sequence[int]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return the lines in their files, and the files."""
    found = [places.of(line) for line in lines]
    return tuple(line for _, line in found), tuple(file for file, _ in found) if places else ()


def _tally(run: Run, counts: Mapping[Outcome | None, int]) -> Tally:
    # What was read is counted where it is read, so that a row lost on the way to state would show.
    read = run.details.records_read
    return Tally(
        read=sum(counts.values()) if read is None else read,
        rejected=counts.get(Outcome.REJECTED, 0),
        duplicate=counts.get(Outcome.DUPLICATE, 0),
        unchanged=counts.get(Outcome.UNCHANGED, 0),
        loaded=counts.get(Outcome.LOADED, 0),
        failed=counts.get(Outcome.FAILED, 0),
        unknown=counts.get(Outcome.UNKNOWN, 0),
        different=counts.get(Outcome.DIFFERENT, 0),
        pending=counts.get(None, 0),
    )


def _issues(store: Store, run_id: str, places: LineLocator) -> tuple[IssueGroup, ...]:
    groups = []
    for found in store.issues.groups(run_id):
        code = CODES.get(found.code)
        lines, files = _located(places, found.lines)
        groups.append(
            IssueGroup(
                code=found.code,
                title=code.title if code else found.code,
                hint=code.hint if code else "",
                stage=found.stage,
                severity=found.severity,
                column=found.column,
                count=found.count,
                lines=lines,
                detail=found.detail,
                files=files,
            )
        )
    return tuple(groups)


def _listed(store: Store, run_id: str, places: LineLocator) -> tuple[ListedIssue, ...]:
    return tuple(
        ListedIssue(places.text(issue.line), issue.code, issue.column, issue.detail, issue.severity, issue.left_out)
        for issue in store.issues.first(run_id, MAX_LISTED)
    )


def _merges(store: Store, run_id: str) -> Merges:
    found = store.duplicates.merge_summary(run_id, MAX_MERGES)
    return Merges(found.people, found.lines, found.fields, found.first)


def _batches(store: Store, run_id: str) -> tuple[BatchTotals, ...]:
    return tuple(
        BatchTotals(
            kind=OPERATIONS[BatchKind(found.kind)].title,
            settled=found.settled,
            open=found.open,
            superseded=found.superseded,
            rows=found.rows,
            bytes=found.bytes,
            attempts=found.attempts,
            resent=found.resent,
        )
        for found in store.history.summary(run_id)
    )


def counted_amounts(store: Store, run: Run) -> dict[str, dict[str, Decimal]]:
    """Return currency → outcome → the sum of a run's events that had a record; nothing for a run of no events."""
    staged = run.details.revenue
    if staged is None:
        return {}
    sums: dict[str, dict[str, Decimal]] = {currency: {} for currency in staged.read}
    for currency, kept in run.details.amounts.items():
        sums[currency] = {name: Decimal(amount) for name, amount in kept.items()}
    for outcome, code, body in store.records.amounts(run.id):
        event = orjson.loads(body)["attributes"]["event"]
        if "value" in event and code != "order-line":
            counted = sums.setdefault(event.get("currency", ""), {})
            name = outcome.value if outcome else "pending"
            counted[name] = counted.get(name, Decimal(0)) + Decimal(event["value"])
    return sums


def _revenue(store: Store, run: Run) -> tuple[Revenue, ...]:
    """Return the sums of a run of events. Raise :class:`InternalError` if one does not tie."""
    staged = run.details.revenue
    if staged is None:
        return ()
    found = []
    for currency, counted in sorted(counted_amounts(store, run).items()):
        # Rows that were refused have no record; what could be read of them was added up while they were.
        refused = Decimal(staged.rejected.get(currency, "0"))
        counted["rejected"] = counted.get("rejected", Decimal(0)) + refused
        names = ("loaded", "unchanged", "duplicate", "rejected", "failed", "different", "unknown", "pending")
        amounts = {name: format(counted.get(name, Decimal(0)), "f") for name in names}
        one = Revenue(currency=currency, read=staged.read.get(currency, "0"), **amounts)
        if not one.ties:
            raise _untied(run, f"{one.read} {currency} were read, but the outcomes add up to something else")
        found.append(one)
    return tuple(found)


def _consents(store: Store, run_id: str) -> tuple[ConsentTotals, ...]:
    found: dict[tuple[str, str], Counter[str]] = {}
    for one in store.consents.counts(run_id):
        counted = found.setdefault((one.channel.value, one.wish.value), Counter())
        counted[one.result.value if one.result else "open"] += one.count
    names = ("already", "confirmed", "withheld", "pending", "refused", "unknown", "open")
    return tuple(
        ConsentTotals(channel, wish, sum(counted.values()), *(counted[name] for name in names))
        for (channel, wish), counted in found.items()
    )


def _phases(run: Run, tally: Tally) -> tuple[Phase, ...]:
    seconds = run.details.seconds
    rows = {
        "stage": tally.read,
        "load": tally.loaded + tally.failed + tally.different + tally.unknown,
        "verify": run.details.verified,
    }
    return tuple(
        Phase(name, float(seconds[name]), rows.get(name, tally.read))
        for name in ("stage", "load", "verify")
        if name in seconds
    )


def _next_steps(run: Run, tally: Tally, issues: Sequence[IssueGroup], left_out: Mapping[str, int]) -> tuple[str, ...]:
    steps = []
    if run.status is RunStatus.REFUSED:
        steps.append("Nothing was sent. Correct the source or the [guards] of the mapping, then run again.")
    elif run.status is RunStatus.LOADING or (run.status is RunStatus.STAGED and run.command != "check"):
        steps.append(f"Finish this run: klaviyo-etl resume {run.id}")
    if tally.rejected:
        steps.append(
            f"Fix the {_rows(tally.rejected, 'rejected')}: rejects.csv in this run's folder holds them with the "
            f"reasons (klaviyo-etl rejects {run.id} writes it elsewhere); correct it and run it."
        )
    if tally.failed:
        steps.append(
            f"Check the {_rows(tally.failed, 'failed')}; Klaviyo's reasons are in the rejects file. What was "
            f"Klaviyo's trouble and not the row's can be sent again: klaviyo-etl retry {run.id}"
        )
    if tally.different:
        steps.append(
            f"Check the {_rows(tally.different)} that differ in Klaviyo from what was sent; to send them again: "
            f"klaviyo-etl retry {run.id}"
        )
    if tally.unknown:
        steps.append(f"Send the {_rows(tally.unknown)} without proof of arrival again: klaviyo-etl retry {run.id}")
    steps += _to_fix(run, left_out)
    if any(group.code == "email-domain-typo" for group in issues):
        steps.append("Some e-mail domains look mistyped; they were sent as they stand.")
    if run.command == "check" and not tally.rejected and tally.read:
        steps += _next_commands(run, left_out)
    return tuple(steps)


def _to_fix(run: Run, left_out: Mapping[str, int]) -> Iterator[str]:
    if left_out:
        total = sum(left_out.values())
        verb = "would be" if run.command == "check" else ("was" if total == 1 else "were")
        yield (
            f"{cells(total)} {verb} left out ({_by_column(left_out)}): warnings.csv in this run's folder holds the "
            f"rows with each value and what is proposed for it (klaviyo-etl rejects {run.id} --warnings writes it "
            f"elsewhere); correct {'it' if total == 1 else 'them'} and run that file."
        )


def _next_commands(run: Run, left_out: Mapping[str, int]) -> Iterator[str]:
    """Yield what may follow a look at which no row was refused."""
    if any(note.startswith("guard: ") for note in run.details.notes):
        return
    verb = run.options.verb
    if left_out:
        those = "that cell" if sum(left_out.values()) == 1 else "those cells"
        yield f"klaviyo-etl {verb} sends these rows without {those}."
    else:
        yield f"Nothing stands in the way: klaviyo-etl {verb} sends these rows."


def _by_column(left_out: Mapping[str, int]) -> str:
    named = [f"{count:,} of {header!r}" if header else f"{count:,} of whole rows" for header, count in left_out.items()]
    more = len(named) - _MAX_COLUMNS
    return ", ".join(named[:_MAX_COLUMNS]) + (f" and {more:,} columns more" if more > 0 else "")


def _rows(count: int, adjective: str = "") -> str:
    return f"{count:,} {adjective} {'row' if count == 1 else 'rows'}".replace("  ", " ")
