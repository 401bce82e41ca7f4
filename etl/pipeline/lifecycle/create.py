"""How every run begins: what it is made of is recorded, and the way is cleared of earlier runs."""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import replace
from pathlib import Path

from etl.config.mapping.document import MappingDocument
from etl.errors import ExitCode, StateError
from etl.extract import SourceFiles, is_single_use
from etl.klaviyo import Account
from etl.model import RunStatus, SourceInfo
from etl.pipeline.lifecycle.origins import origins
from etl.pipeline.staging.rejects_source import IS_REJECTS
from etl.state import PROFILES, RunOptions, RunProcess, Store
from etl.version import VERSION

ENDED = (RunStatus.FINISHED, RunStatus.ABANDONED)
UNFINISHED = (RunStatus.STAGED, RunStatus.LOADING)
LOOKING_COMMANDS = ("check", "plan")
LOADING_COMMANDS = ("run", "retry", "suppress", "unsuppress", "events", "undo")


def begin(
    store: Store,
    name: str,
    mapping: MappingDocument,
    *,
    command: str,
    account: str | None,
    options: RunOptions,
    moves_known_state: bool = True,
    parent: str | None = None,
) -> str:
    """Record a new run with what it is made of. ``name``: of the source.

    What a process that died left of looks at other sources goes first: it is people's data that nobody asked to keep.
    """
    sweep(store)
    if command in LOOKING_COMMANDS:
        options = replace(options, process=RunProcess(os.getpid(), socket.gethostname()))
    return store.runs.create(
        source=name,
        mapping_hash=mapping.hash,
        mapping=mapping.given,
        account=account,
        command=command,
        tool_version=VERSION,
        options=options,
        moves_known_state=moves_known_state,
        parent=parent,
    )


def sweep(store: Store) -> None:
    """Forget looks (``check``, ``plan``) that ended before they were done, with every row of theirs."""
    for found in store.runs.with_status([RunStatus.STAGING], LOOKING_COMMANDS):
        if not is_alive(found.options.process):
            store.runs.discard(found.id)


def is_alive(process: RunProcess | None) -> bool:
    """Whether a process may still run; one on another machine, or where that cannot be asked, may."""
    if process is None:
        return False
    if process.host != socket.gethostname() or sys.platform == "win32":
        return True
    try:
        os.kill(process.id, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def run_this_repairs(
    store: Store, account: Account, info: SourceInfo, files: SourceFiles | None, *, kind: str = PROFILES
) -> str | None:
    """Return the run whose rejects file this source is, if it is one. ``kind``: see a run's options."""
    if IS_REJECTS not in info.details:
        return None
    path = Path(files.paths[0]) if files is not None and not is_single_use(files.paths[0]) else None
    runs = origins(store, info, path, kind=kind)
    return next((run.id for run in runs if run.account in {account.id, None}), None)


def discard_or_refuse_unfinished(store: Store, account: Account, *, abandon: bool, besides: str | None = None) -> None:
    """Forget what never left the house; refuse, or give up, what did and is not finished. The lock is held.

    What a run has sent is asked of its attempts, not of its status: one that failed on the way to its first request (a
    list that was renamed, a key without the scope) left nothing in Klaviyo, and its source is read again now.
    ``besides``: a run that may stay as it is.
    """
    while (stale := store.runs.latest([RunStatus.STAGING], commands=LOADING_COMMANDS, account=account.id)) is not None:
        store.runs.discard(stale.id)
    unfinished = store.runs.with_status(UNFINISHED, LOADING_COMMANDS)
    for open_run in (one for one in reversed(unfinished) if one.account == account.id and one.id != besides):
        children = [one for one in store.runs.children(open_run.id) if one.command not in LOADING_COMMANDS]
        sent = any(store.runs.has_sent(one.id) for one in (open_run, *children))
        if sent and not abandon:
            raise StateError(
                "run-unfinished",
                f"Run {open_run.id} into this account is not finished",
                f"Finish it with klaviyo-etl resume {open_run.id}, or give it up with --abandon.",
                exit_code=ExitCode.STATE,
            )
        for child in children:
            if child.status is RunStatus.STAGING:
                store.runs.discard(child.id)
            elif child.status not in ENDED:
                store.runs.update(child.id, status=RunStatus.ABANDONED)
        unsent = "given up when another run began: nothing of it had been sent"
        notes = [*open_run.details.notes, *([] if sent else [unsent])]
        store.runs.update(open_run.id, status=RunStatus.ABANDONED, notes=notes)
