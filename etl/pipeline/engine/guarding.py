"""The guards of a mapping, asked of a staged run."""

from __future__ import annotations

from etl.config import Guards, Mapping
from etl.errors import GuardError
from etl.klaviyo import Account
from etl.model import Outcome
from etl.pipeline.engine.guards import BROKEN, GuardInput, check_guards
from etl.pipeline.lifecycle.history import is_part, previous_run
from etl.pipeline.lifecycle.notes import note
from etl.state import Run, Store


def check_account(guards: Guards, account: Account) -> None:
    """Raise :class:`GuardError` if the key belongs to another account than the mapping expects."""
    expected = guards.expect_account
    if expected is not None and expected != account.id:
        raise GuardError(
            "account-unexpected",
            f"The key belongs to account {account.id}, the mapping expects {expected}",
            "Use the key of that account, or correct expect_account in [guards].",
        )


def check_same_account(run: Run, account: Account) -> None:
    """Raise :class:`GuardError` if the key belongs to another account than a run was begun for."""
    if account.id != run.account:
        raise GuardError(
            "account-unexpected",
            f"Run {run.id} belongs to account {run.account}, the key to {account.id}",
            f"Use {_key_of(run)} (for a rehearsal: --sandbox).",
        )


def _key_of(run: Run) -> str:
    label = run.details.account_label
    return f"klaviyo-etl ... {run.id} --account {label}" if label else "the key the run was begun with"


def guard(
    store: Store,
    run: Run,
    mapping: Mapping,
    *,
    force: bool,
    vanished: int = 0,
    members: int = 0,
    not_in_source: int = 0,
) -> list[str]:
    """Return what the guards object to; nothing if they were waived, or ``force`` overrides it (which is recorded).

    ``vanished``, ``members``, ``not_in_source``: see :class:`etl.pipeline.engine.guards.GuardInput`.
    """
    if run.options.guards_waived:
        return []
    counts = store.rows.counts(run.id)
    earlier = previous_run(store, run)
    before = store.rows.counts(earlier.id) if earlier is not None and vanished else {}
    staged = GuardInput(
        read=sum(counts.values()),
        rejected=counts.get(Outcome.REJECTED, 0),
        previous_read=earlier.details.records_read or 0 if earlier is not None else None,
        source_age=run.options.source_age,
        incremental=mapping.source.watermark is not None and earlier is not None,
        previous_confirmed=before.get(Outcome.LOADED, 0) + before.get(Outcome.UNCHANGED, 0),
        vanished=vanished,
        members=members,
        not_in_source=not_in_source,
        part=is_part(run),
        broken=store.issues.with_codes(run.id, BROKEN),
    )
    objections = check_guards(mapping.guards, staged)
    if objections and force:
        note(store, run.id, [f"guard overridden by --force: {objection}" for objection in objections])
        return []
    return objections
