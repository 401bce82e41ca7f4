"""The verbs about a state as a whole: back_up_state, restore_state, check_state, move_state."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from etl import state
from etl.pipeline.context import Context
from etl.state import BackupHeader, CheckResult, MoveResult
from etl.version import VERSION


def back_up_state(path: Path, *, context: Context | None = None) -> BackupHeader:
    """Write a backup of the state, as it is at one moment, to a file of mode 0600; return what is in it.

    Whoever uses the state goes on meanwhile. The file is there as a whole or not at all. Raise StateError.
    """
    context = context or Context.create()
    return state.back_up(context.settings.state, path, clock=context.clock, tool_version=VERSION)


def restore_state(
    path: Path,
    *,
    context: Context | None = None,
    replace: bool = False,
    hear: Callable[[BackupHeader], None] = lambda _: None,
) -> BackupHeader:
    """Put what a backup holds in the place of the state, whichever database either is of; as a whole or not at all.

    ``hear`` is told what that is before anything is written. Raise StateError: ``state-not-empty`` for a state that
    holds anything, unless ``replace``; for a backup that is damaged, or of a newer version. LockedError while a run is
    at work there.
    """
    context = context or Context.create()
    return state.restore(
        path, context.settings.state, clock=context.clock, replace=replace, hear=hear, on_commit=context.on_commit
    )


def check_state(*, context: Context | None = None) -> CheckResult:
    """Return what is wrong with the state: its database, schema, triggers, blocks, batches and sums.

    It changes nothing, and sees one moment of a state in use. Raise StateError if it cannot be opened.
    """
    context = context or Context.create()
    return state.check_state(context.settings.state, clock=context.clock)


def move_state(to: str, *, context: Context | None = None, replace: bool = False) -> MoveResult:
    """Move the state to another path or URL; the one it was in is closed, and says where it went.

    Interrupted, it leaves the state where it was; asked again, it comes to its end. Raise StateError, LockedError.
    """
    context = context or Context.create()
    return state.move(context.settings.state, to, clock=context.clock, replace=replace, on_commit=context.on_commit)
