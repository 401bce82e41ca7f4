"""The verb that foresees: everything ``check`` does, and what Klaviyo says to it. Writes nothing anywhere."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from etl.load import Foresight, foresee
from etl.model import Outcome
from etl.pipeline import watermarks
from etl.pipeline.beginning import MappingLike, begin, rules_of, stage_source
from etl.pipeline.context import Context
from etl.pipeline.files import SourceLike, age_of, files_of
from etl.pipeline.mirroring import compare_list
from etl.pipeline.prepare import check_account, guard, settle_before_loading
from etl.pipeline.targets import describe


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do now.

    ``send``: rows that would be sent or put on a list. ``objections``: of the guards; they would stop the run.
    ``lists``: list, as people know it, → profiles that would join it. ``missing_lists``: to be made by the run.
    """

    source: str
    account: str
    account_name: str
    read: int
    rejected: int
    duplicate: int
    unchanged: int
    send: int
    foresight: Foresight
    lists: tuple[tuple[str, int], ...]
    missing_lists: tuple[str, ...]
    notes: tuple[str, ...]
    objections: tuple[str, ...]


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
    rules, base = rules_of(mapping)
    files = files_of(source, rules, base)
    with context.open_client() as client:
        get_account = functools.cache(client.get_account)
        with watermarks.opened(context, files, rules, lambda: get_account().id) as (opened, store):
            account = get_account()
            check_account(rules, account)
            wanted = list or context.settings.list or rules.load.list
            named = files.name if files is not None else opened.info.name
            options = {"limit": limit, "list": wanted, "source_age": age_of(files, context)}
            run_id = begin(
                store, named, rules, command="plan", account=account.id, options=options, pilot=limit is not None
            )
            try:
                stage_source(context, store, run_id, opened, rules, limit=limit, keep=False)
                run = store.run(run_id)
                mirrored = compare_list(context, store, client, run, rules, keep=False)
                objections = guard(store, run, rules, mirrored, source_age=run.options.get("source_age"), force=False)
                prepared = settle_before_loading(store, client, run, rules, create=False)
                foresight = foresee(
                    store,
                    client,
                    run_id,
                    prepared.options,
                    total=prepared.pending,
                    leaving=mirrored.leaving if mirrored is not None else 0,
                    progress=context.progress,
                    should_stop=context.should_stop,
                )
                counts = store.counts(run_id)
                names = {target.id: describe(target) for target in prepared.targets}
                known = {target.name for target in prepared.targets} | {target.id for target in prepared.targets}
                asked = [wanted] if wanted else []
                return Plan(
                    source=named,
                    account=account.id,
                    account_name=account.name,
                    read=sum(counts.values()),
                    rejected=counts.get(Outcome.REJECTED, 0),
                    duplicate=counts.get(Outcome.DUPLICATE, 0),
                    unchanged=counts.get(Outcome.UNCHANGED, 0),
                    send=counts.get(None, 0),
                    foresight=foresight,
                    lists=tuple((names[list_id], count) for list_id, count in foresight.joining),
                    missing_lists=tuple(name for name in (*asked, *store.named_lists(run_id)) if name not in known),
                    notes=(*([mirrored.note] if mirrored is not None and mirrored.leaving else []), *prepared.notes),
                    objections=tuple(objections),
                )
            finally:
                store.discard_run(run_id)
