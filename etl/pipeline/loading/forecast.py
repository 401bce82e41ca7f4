"""The verb that foresees: everything ``check`` does, and what Klaviyo says to it. Writes nothing anywhere."""

from __future__ import annotations

import functools
from collections.abc import Mapping as AbstractMapping
from collections.abc import Sequence

from etl.config import Guards
from etl.klaviyo import KlaviyoClient
from etl.load import Conflict, Fate, forecast_load
from etl.model import Outcome
from etl.pipeline.account.lists import describe
from etl.pipeline.account.permissions import objections as unheard_columns
from etl.pipeline.account.permissions import special_targets
from etl.pipeline.account.plan_usage import plan_objection, read_usage
from etl.pipeline.account.revision import revision_notes
from etl.pipeline.context import Context
from etl.pipeline.lifecycle.create import MappingLike, begin, is_part_of_source, parent_of, rules_of, stage_source
from etl.pipeline.lifecycle.readings import doubts
from etl.pipeline.loading.prepare import Prepared, check_account, guard, settle_before_loading
from etl.pipeline.removal.mirror import Mirrored, compare_list
from etl.pipeline.staging import watermarks
from etl.pipeline.staging.sources import SourceLike, age_of, files_of
from etl.report.plan_model import Plan, PlannedConflict
from etl.state import Run, RunOptions, Store


def plan(
    source: SourceLike | None,
    mapping: MappingLike,
    *,
    context: Context | None = None,
    limit: int | None = None,
    list: str | None = None,  # noqa: A002 - the word of the design
) -> Plan:
    """Stage a source, read what Klaviyo has of it, and return what a run would do; nothing of it is kept.

    Raises as :func:`etl.run` does before it sends anything.
    """
    context = context or Context.create()
    rules, base = rules_of(mapping, context)
    files = files_of(source, rules, base, context)
    with context.open_client() as client:
        get_account = functools.cache(client.get_account)
        with watermarks.opened(context, files, rules, lambda: get_account().id) as (opened, store):
            account = get_account()
            check_account(rules, account)
            wanted = list or context.settings.list or rules.load.list
            named = files.name if files is not None else opened.info.name
            options = RunOptions(
                limit=limit,
                list=wanted,
                source_age=age_of(files, context),
                part=is_part_of_source(opened.info),
            )
            run_id = begin(
                store,
                named,
                rules,
                command="plan",
                account=account.id,
                options=options,
                moves_known_state=limit is None,
                parent=parent_of(store, account, opened.info, files),
            )
            try:
                stage_source(context, store, run_id, opened, rules, limit=limit, keep=False)
                store.runs.update(run_id, account_name=account.name)
                run = store.runs.get(run_id)
                mirrored = compare_list(context, store, client, run, rules, keep=False)
                objections = [
                    *unheard_columns(opened.info.columns, rules),
                    *doubts(opened.info),
                    *guard(store, run, rules, mirrored, source_age=run.options.source_age, force=False),
                ]
                prepared = settle_before_loading(store, client, run, rules, create=False)
                return foretold(
                    context,
                    store,
                    client,
                    run,
                    prepared=prepared,
                    mirrored=mirrored,
                    objections=objections,
                    guards=rules.guards,
                    noted=special_targets(rules),
                )
            finally:
                store.runs.discard(run_id)


def foretold(
    context: Context,
    store: Store,
    client: KlaviyoClient,
    run: Run,
    *,
    prepared: Prepared,
    mirrored: Mirrored | None,
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
