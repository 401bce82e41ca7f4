"""What a run of profiles would do: everything ``check`` says, and what Klaviyo has. Writes nothing anywhere."""

from __future__ import annotations

from collections.abc import Mapping as AbstractMapping
from collections.abc import Sequence

from etl.config import Guards, Mapping
from etl.klaviyo import KlaviyoClient
from etl.load import Conflict, Fate, forecast_load
from etl.model import Outcome, SourceInfo
from etl.pipeline.account.lists import describe
from etl.pipeline.account.plan_usage import plan_objection, read_usage
from etl.pipeline.account.revision import revision_notes
from etl.pipeline.context import Context
from etl.pipeline.engine.guarding import guard
from etl.pipeline.engine.sender import Loading
from etl.pipeline.kinds.list_removal.mirror import ListDiff, compare_list
from etl.pipeline.kinds.list_removal.vanished import leaving_facts
from etl.pipeline.kinds.profiles.permissions import objections as unheard_columns
from etl.pipeline.kinds.profiles.permissions import special_targets
from etl.pipeline.kinds.profiles.prepare import LoadPlan, resolve_without_requests
from etl.pipeline.lifecycle.readings import doubts
from etl.report.plan_model import Plan, PlannedConflict
from etl.state import Run, Store


def planned(at: Loading[Mapping], info: SourceInfo) -> Plan:
    """Read what Klaviyo has of the rows of a staged run, and return what a run would do. Nothing is written there."""
    context, store, client, mapping = at.context, at.store, at.client, at.rules
    run = at.run
    mirrored = compare_list(context, store, client, run, mapping, keep=False)
    objections = [
        *unheard_columns(info.columns, mapping),
        *doubts(info),
        *guard(store, run, mapping, force=False, **leaving_facts(store, run, mapping, mirrored)),
    ]
    prepared = resolve_without_requests(store, client, run, mapping, create=False)
    return build_plan(
        context,
        store,
        client,
        run,
        prepared=prepared,
        mirrored=mirrored,
        objections=objections,
        guards=mapping.guards,
        noted=special_targets(mapping),
    )


def build_plan(
    context: Context,
    store: Store,
    client: KlaviyoClient,
    run: Run,
    *,
    prepared: LoadPlan,
    mirrored: ListDiff | None,
    objections: Sequence[str] = (),
    guards: Guards | None = None,
    noted: Sequence[str] = (),
) -> Plan:
    """Read what Klaviyo has of the rows of a prepared run, and return what loading it would do. Writes nothing.

    ``objections``: of the guards, so far; ``guards``: those that need to know what would happen.
    """
    foresight = forecast_load(
        store,
        client,
        run.id,
        prepared.options,
        total=prepared.pending,
        leaving=mirrored.leaving if mirrored is not None else 0,
        progress=context.progress,
        should_stop=context.should_stop,
    )
    counts = store.rows.counts(run.id)
    conflicts = _planned(run, prepared.options.headers, (*prepared.conflicts, *foresight.conflicts))
    failing = sum(conflict.fate is Fate.FAIL for conflict in foresight.conflicts)
    usage = read_usage(client)
    over = plan_objection(guards, usage, foresight.create) if guards is not None else None
    names = {target.id: describe(target) for target in prepared.targets}
    known = {target.name for target in prepared.targets} | {target.id for target in prepared.targets}
    wanted = run.options.list
    asked = [wanted] if wanted else []
    return Plan(
        source=run.source,
        account=run.account or "",
        account_name=run.details.account_name,
        account_label=run.details.account_label,
        read=sum(counts.values()),
        rejected=counts.get(Outcome.REJECTED, 0),
        duplicate=counts.get(Outcome.DUPLICATE, 0),
        unchanged=counts.get(Outcome.UNCHANGED, 0),
        send=counts.get(None, 0) - failing,
        fail=sum(conflict.fate == Fate.FAIL for conflict in conflicts),
        foresight=foresight,
        lists=tuple((names[list_id], count) for list_id, count in foresight.joining),
        missing_lists=tuple(name for name in (*asked, *store.records.named_lists(run.id)) if name not in known),
        notes=(
            *revision_notes(context),
            *noted,
            *([mirrored.note] if mirrored is not None and mirrored.leaving else []),
            *prepared.notes,
            *_no_records(store.runs.get(run.id)),
            usage.says(foresight.create),
        ),
        objections=(*objections, *filter(None, [over])),
        conflicts=conflicts,
    )


def _no_records(run: Run) -> list[str]:
    aside = ", ".join(f"{count:,} {kind}" for kind, count in run.details.set_aside.items())
    return [f"no records, and not read: {aside}"] if aside else []


def _planned(
    run: Run, headers: AbstractMapping[str, str], conflicts: Sequence[Conflict]
) -> tuple[PlannedConflict, ...]:
    places = run.details.locator
    return tuple(
        PlannedConflict(
            places.text(conflict.line),
            tuple((headers.get(name, name), profile) for name, profile in conflict.owners),
            conflict.fate.value,
            conflict.reason,
        )
        for conflict in conflicts
    )
