"""Between staging and loading: guards, rows that are unchanged, lists, and the load options that follow.

Everything here may be done again: a run that died in between is prepared anew by ``resume``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass, replace
from typing import Any

from etl.config import LIST_TARGET, Mapping, fields_if_blank, patches_lists
from etl.klaviyo import KlaviyoClient, KlaviyoList
from etl.load import Conflict, ConsentOptions, LoadOptions
from etl.model import ConsentAction, Outcome, RowResult
from etl.pipeline.account.forgotten import reject_forgotten
from etl.pipeline.account.lists import describe, find_list, find_routes, need_list
from etl.pipeline.account.opt_outs import flag_bounced, name_opt_outs
from etl.pipeline.context import Context
from etl.pipeline.kinds.list_removal.vanished import purged_before, vanished
from etl.pipeline.kinds.profiles.conflicts import conflict_notes, settle_conflicts
from etl.pipeline.kinds.profiles.dates import date_notes
from etl.pipeline.lifecycle.notes import with_notes
from etl.state import Run, Store


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What loading a run comes to. ``targets``: lists that rows are added to. ``conflicts``: settled already."""

    options: LoadOptions
    targets: tuple[KlaviyoList, ...]
    notes: tuple[str, ...]
    pending: int
    conflicts: tuple[Conflict, ...] = ()


def prepare(context: Context, store: Store, client: KlaviyoClient, run: Run, mapping: Mapping) -> LoadPlan:
    """Settle rows that need no request, find the lists, and keep with the run what loading it comes to."""
    name_opt_outs(store, client, run.account or "")
    flag_bounced(store, run, mapping.by_target["email"][0] if "email" in mapping.by_target else None)
    prepared = resolve_without_requests(store, client, store.runs.get(run.id), mapping, create=mapping.load.create_list)
    prepared = _without_conflicts(context, store, client, run.id, prepared, only_changed=mapping.load.only_changed)
    for noted in prepared.notes if prepared.pending else ():
        context.announce(noted)
    store.runs.update(
        run.id,
        load=prepared.options.to_stored(),
        list_names=[describe(target) for target in prepared.targets],
        notes=with_notes(store.runs.get(run.id), prepared.notes),
    )
    return prepared


def resolve_without_requests(
    store: Store, client: KlaviyoClient, run: Run, mapping: Mapping, *, create: bool
) -> LoadPlan:
    """Settle rows that need no request and find the lists. ``create``: whether a list that is missing may be made."""
    common, removing = _common_lists(client, run, mapping, create=create)
    reject_forgotten(store, run)
    routes: dict[str, KlaviyoList] = {}
    if LIST_TARGET in mapping.by_target:
        routes = find_routes(client, store.records.named_lists(run.id), create=create)
        if create or not mapping.load.create_list:
            _reject_unknown_lists(store, run.id, routes, mapping)
    list_ids = {name: target.id for name, target in routes.items()}
    common_ids = tuple(target.id for target in common)
    if mapping.load.only_changed:
        store.known.mark_unchanged(run.id, run.account or "", common_lists=common_ids, list_ids=list_ids)
    pending = store.rows.counts(run.id).get(None, 0)
    options = LoadOptions(
        common_lists=common_ids,
        list_ids=list_ids,
        remove_from=removing.id if removing else None,
        one_by_one=pending <= mapping.load.small_run,
        batch_rows=mapping.load.batch_rows,
        batch_bytes=mapping.load.batch_bytes,
        max_failed_percent=mapping.guards.max_failed_percent if run.options.guarded else None,
        headers={target: header for target, (header, _) in mapping.by_target.items()},
        consent=_consent_options(common, mapping) if mapping.asks_consent or store.consents.counts(run.id) else None,
        account=run.account or "",
        only_if_blank=fields_if_blank(mapping),
        patches=patches_lists(mapping),
        key=mapping.profile.key,
        on_conflict=mapping.profile.on_conflict,
        keep_before=mapping.load.keep_before or run.options.undoable,
    )
    targets = (*common, *(target for target in routes.values() if target.id not in common_ids))
    notes = (
        *_list_notes(targets, removing),
        *date_notes(mapping),
        *_consent_notes(store, run, options.consent),
        *_history_notes(store, run, mapping, targets),
    )
    return LoadPlan(options, targets, notes, pending)


def _without_conflicts(
    context: Context, store: Store, client: KlaviyoClient, run_id: str, prepared: LoadPlan, *, only_changed: bool
) -> LoadPlan:
    """Settle the rows whose identifiers belong to different profiles."""
    options = prepared.options
    conflicts = settle_conflicts(context, store, client, run_id, options)
    if not conflicts:
        return prepared
    if only_changed:
        # Without its phone a row may be what the last import sent.
        store.known.mark_unchanged(
            run_id, options.account, common_lists=options.common_lists, list_ids=dict(options.list_ids)
        )
    notes = conflict_notes(conflicts, store.runs.get(run_id).details.locator)
    return replace(
        prepared,
        notes=(*prepared.notes, *notes),
        pending=store.rows.counts(run_id).get(None, 0),
        conflicts=tuple(conflicts),
    )


def _common_lists(
    client: KlaviyoClient, run: Run, mapping: Mapping, *, create: bool
) -> tuple[list[KlaviyoList], KlaviyoList | None]:
    wanted = run.options.list
    common: list[KlaviyoList] = []
    if wanted and mapping.load.create_list and not create:
        found = find_list(client, wanted)
        common = [found] if found is not None else []
    elif wanted:
        common = [need_list(client, wanted, create=create)]
    leaving = mapping.load.remove_from_list
    return common, need_list(client, leaving, create=False) if leaving else None


def _reject_unknown_lists(store: Store, run_id: str, routes: AbstractMapping[str, Any], mapping: Mapping) -> None:
    header = mapping.by_target[LIST_TARGET][0]
    refused = [
        RowResult(row.line, Outcome.REJECTED, "list-unknown", column=header)
        for row in store.rows.pending(run_id, "import")
        if any(name not in routes for name in row.lists)
    ]
    store.batches.fail_rows(run_id, refused)


def _list_notes(targets: Sequence[KlaviyoList], removing: KlaviyoList | None) -> list[str]:
    notes = []
    if targets:
        names = ", ".join(describe(target) for target in targets)
        notes.append(
            f"rows are added to {names}: this gives no consent, but flows triggered by 'Added to list' may fire"
        )
    if removing is not None:
        notes.append(f"rows are taken off {describe(removing)}")
    return notes


def _consent_options(common: Sequence[KlaviyoList], mapping: Mapping) -> ConsentOptions:
    historical = mapping.consent.historical
    if not common:
        # What the account's own default is cannot be read (reference 3.7): say that people may be asked.
        return ConsentOptions(historical=historical, confirms=not historical)
    confirms = not historical and common[0].opt_in_process != "single_opt_in"
    return ConsentOptions(historical=historical, list=common[0].id, confirms=confirms)


def _consent_notes(store: Store, run: Run, consent: ConsentOptions | None) -> Iterator[str]:
    """Say what is about to happen to people's consent."""
    if consent is None:
        return
    wishes = Counter[ConsentAction]()
    for count in store.consents.counts(run.id):
        wishes[count.wish] += count.count
    if subscribing := wishes[ConsentAction.SUBSCRIBE]:
        way = "as consent given earlier: nothing is mailed, no flow fires"
        if not consent.historical:
            way = "new consent: flows of the list may fire"
            if consent.confirms:
                way = "people may be mailed or texted to confirm"
        yield f"{subscribing:,} consents are subscribed ({way}); who has opted out is left alone"
    if leaving := wishes[ConsentAction.UNSUBSCRIBE]:
        yield f"{leaving:,} consents are taken back: those people get no more marketing, on any list"
    if suppressing := wishes[ConsentAction.SUPPRESS]:
        yield f"{suppressing:,} addresses are suppressed: they get no marketing mail, whatever their consent"
    if lifting := wishes[ConsentAction.UNSUPPRESS]:
        yield f"{lifting:,} addresses are no longer suppressed by hand; bounces, complaints and opt-outs stay"


def _history_notes(store: Store, run: Run, mapping: Mapping, targets: Sequence[KlaviyoList]) -> Iterator[str]:
    """Say what is different from the last time."""
    earlier, lines = vanished(store, run, mapping)
    if earlier is not None and mapping.load.only_changed and earlier.mapping_hash != run.mapping_hash:
        yield f"the mapping has changed since run {earlier.id}: every row is sent again"
    if (purged := purged_before(store, run, mapping)) is not None and mapping.load.missing != "mirror":
        yield f"who has vanished since the last import cannot be told: run {purged.id} was purged; nobody leaves a list"
    if earlier is not None and lines:
        rows = "1 row" if len(lines) == 1 else f"{len(lines):,} rows"
        fate = "; nothing is done about them"
        if targets and mapping.load.missing == "remove_from_list":
            fate = f"; they are taken off {describe(targets[0])}"
        elif targets and mapping.load.missing == "mirror":
            fate = f"; {describe(targets[0])} is made equal to it"
        yield f"{rows} of the last import ({earlier.id}) have vanished from the source{fate}"
