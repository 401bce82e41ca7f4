"""How every run begins: the mapping, the source, the way cleared of earlier runs, and staging."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping as AbstractMapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from etl.config import EventMapping, Mapping, load_mapping, parse_mapping
from etl.errors import EtlError, ExitCode, StateError
from etl.extract import Source, SourceFiles, is_single_use
from etl.klaviyo import Account
from etl.model import RunStatus, SourceInfo
from etl.pipeline.context import Context
from etl.pipeline.lifecycle.origins import origins
from etl.pipeline.lifecycle.trust import trusted
from etl.pipeline.staging.pool import usual_workers
from etl.pipeline.staging.rejects_source import REJECTS_FACT
from etl.pipeline.staging.stage import stage
from etl.state import PROFILES, RunOptions, RunProcess, Store
from etl.version import VERSION

MappingLike = Mapping | AbstractMapping[str, Any] | Path | str
"""A mapping, its data as TOML would give it, or the path of its file."""

ENDED = (RunStatus.FINISHED, RunStatus.ABANDONED)
UNFINISHED = (RunStatus.STAGED, RunStatus.LOADING)
LOOKING_COMMANDS = ("check", "plan")
LOADING_COMMANDS = ("run", "retry", "suppress", "unsuppress", "events")


def rules_of(given: MappingLike, context: Context) -> tuple[Mapping, Path | None]:
    """Return the mapping and the folder its paths start from. Raise :class:`etl.errors.ConfigError`.

    Code that a mapping file names is there only if it is trusted.
    """
    if isinstance(given, Mapping):
        return trusted(context, given), None
    if isinstance(given, Path | str):
        return trusted(context, load_mapping(Path(given))), Path(given).parent
    return parse_mapping(given), None


def begin(
    store: Store,
    name: str,
    mapping: Mapping | EventMapping,
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
        mapping=mapping.model_dump(mode="json", by_alias=True),
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


def parent_of(
    store: Store, account: Account, info: SourceInfo, files: SourceFiles | None, *, kind: str = PROFILES
) -> str | None:
    """Return the run whose rejects file this source is, if it is one. ``kind``: see a run's options."""
    if REJECTS_FACT not in info.details:
        return None
    path = Path(files.paths[0]) if files is not None and not is_single_use(files.paths[0]) else None
    runs = origins(store, info, path, kind=kind)
    return next((run.id for run in runs if run.account in {account.id, None}), None)


def is_part_of_source(info: SourceInfo) -> bool:
    """Whether a source is a part of another, so that nobody has vanished from it."""
    return REJECTS_FACT in info.details


def stage_source(
    context: Context,
    store: Store,
    run_id: str,
    source: Source,
    mapping: Mapping,
    *,
    limit: int | None,
    keep: bool = True,
) -> None:
    """Stage a source; a run whose source breaks half-way is forgotten. ``keep``: see :func:`stage`."""
    try:
        stage(
            store,
            run_id,
            source,
            mapping,
            clock=context.clock,
            progress=context.progress,
            limit=limit,
            should_stop=context.should_stop,
            keep=keep,
            workers=usual_workers() if context.settings.workers is None else context.settings.workers,
        )
    except EtlError:
        # Half of a source is worth nothing, and nothing of it has left the house.
        store.runs.discard(run_id)
        raise


def clear_the_way(store: Store, account: Account, *, abandon: bool) -> None:
    """Forget what never left the house; refuse, or give up, what did and is not finished. The lock is held.

    What a run has sent is asked of its attempts, not of its status: one that failed on the way to its first request (a
    list that was renamed, a key without the scope) left nothing in Klaviyo, and its source is read again now.
    """
    while (stale := store.runs.latest([RunStatus.STAGING], commands=LOADING_COMMANDS, account=account.id)) is not None:
        store.runs.discard(stale.id)
    while (open_run := store.runs.latest(UNFINISHED, commands=LOADING_COMMANDS, account=account.id)) is not None:
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
