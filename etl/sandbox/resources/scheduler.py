"""Time passes: everything that has come due since the last request happens, before anyone looks."""

from __future__ import annotations

import sqlite3
from functools import partial

import orjson

from etl.sandbox.account import aside, work_queue
from etl.sandbox.account.store import Store
from etl.sandbox.protocol.settings import SandboxSettings
from etl.sandbox.resources.consent import apply as subscribing
from etl.sandbox.resources.consent import suppressions
from etl.sandbox.resources.events import apply as recording
from etl.sandbox.resources.imports import jobs
from etl.sandbox.resources.profiles import deletion as privacy
from etl.sandbox.resources.profiles import merge_jobs as profile_merge


def run_due_work(store: Store, settings: SandboxSettings, now: float) -> None:
    """Bring the account to where it stands now. Work is dated to when it was due, not to when somebody looks."""
    jobs.run_due_work(store, settings, now)
    suppressions.run_due_work(store, settings, now)
    for row in work_queue.take(store, now):
        store.lag.now = row["due"]
        aside.attempt(store, row["kind"], row["payload"], partial(_do, store, settings, row))
    store.lag.now = now


def _do(store: Store, settings: SandboxSettings, row: sqlite3.Row) -> None:
    work = orjson.loads(row["payload"])
    match row["kind"]:
        case "subscribe":
            subscribing.subscribe(store, settings, work, row["due"])
        case "unsubscribe":
            subscribing.unsubscribe(store, work, row["due"])
        case "events":
            recording.record(store, settings, work["events"], row["due"])
        case "deletion":
            privacy.delete(store, work, row["due"])
        case "merge":
            profile_merge.run_merge(store, work, row["due"])
