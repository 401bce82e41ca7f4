"""One person is forgotten: removed from every run and folder, and refused in whatever comes later."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from etl.errors import ExitCode, StateError, UsageError
from etl.model import IDENTIFIERS, RunStatus
from etl.pipeline.context import Context
from etl.pipeline.lifecycle.artifacts import write_artifacts
from etl.pipeline.lifecycle.create import LOOKING_COMMANDS, is_alive
from etl.pipeline.privacy.folders import files_naming, folders_of
from etl.state import Person, Store
from etl.transform import make_record


@dataclass(frozen=True, slots=True)
class Remains:
    """What state and folders hold of one person. ``rows`` of so many ``runs``; ``waiting``: requests to be sent.

    ``identifiers``: by so many they are refused from now on. ``unfinished``: runs that must end first. ``left``: files
    in run folders that are not ours, and name them.
    """

    rows: int
    runs: int
    waiting: int
    identifiers: int
    unfinished: tuple[str, ...] = ()
    left: tuple[Path, ...] = ()


def plan_forget(who: Sequence[str], *, context: Context | None = None) -> list[Remains]:
    """Return what :func:`forget` would remove of each of these people. Raise UsageError for what is no identifier."""
    context = context or Context.create()
    given = [_given(one) for one in who]
    with context.open_store() as store:
        return [_remains(store, store.people.find([one])) for one in given]


def forget(who: Sequence[str], *, context: Context | None = None) -> list[Remains]:
    """Remove people from state and from the runs' folders, and refuse them from now on; return what went of each.

    ``who``: e-mails, phones with +, external ids, each of one person. All that state knows of a person is refused:
    their e-mails, phones and external ids. Nothing is asked of Klaviyo. Cut short, it can be repeated. Raise
    LockedError while an import is running, StateError (``run-unfinished``) where a run that holds one of them can still
    be resumed; then nobody is forgotten.
    """
    context = context or Context.create()
    given = [_given(one) for one in who]
    with context.open_store() as store, _all_locked(store):
        people = [store.people.find([one]) for one in given]
        for person in people:
            _demand_ended(store, person)
        gone = [_forget(context, store, person) for person in people]
        fresh = _write_folders(context, store)
        store.forgetting.rewrite_files()
        for run_id in fresh:
            store.forgetting.freshen(run_id)
    return gone


def allow(who: Sequence[str], *, context: Context | None = None) -> int:
    """Take people off the list of those not to be imported, in every account; return how many were on it."""
    context = context or Context.create()
    with context.open_store(create=False) as store:
        return sum(store.forgotten.remove(None, [_given(one)]) for one in who)


def forgotten_people(*, context: Context | None = None) -> Iterator[dict[str, str]]:
    """Yield who is not to be imported: a random name, how many digests, since when; never the person."""
    context = context or Context.create()
    with context.open_store(create=False) as store:
        for one in store.forgotten.people():
            yield {
                "account": one.account,
                "person": one.person,
                "digests": str(one.digests),
                "since": datetime.fromtimestamp(one.forgotten_at, UTC).isoformat(timespec="seconds"),
            }


def _given(who: str) -> tuple[str, str]:
    text = who.strip()
    if not text:
        raise UsageError("identifier-missing", "An identifier is empty", "Give an e-mail, a phone with +, or an id.")
    name = "email" if "@" in text else "phone_number" if text.startswith("+") else "external_id"
    return name, text


@contextlib.contextmanager
def _all_locked(store: Store) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for account in store.people.accounts():
            stack.enter_context(store.lock.hold(account, "forget"))
        yield


def _demand_ended(store: Store, person: Person) -> None:
    looks = [run_id for run_id in person.half_staged if _is_alive(store, run_id)]
    if busy := [*person.unfinished, *looks]:
        raise StateError(
            "run-unfinished",
            f"Run {busy[0]} is not finished and holds this person",
            f"Finish it with klaviyo-etl resume {busy[0]}, or let the next run give it up with --abandon; then forget.",
            exit_code=ExitCode.STATE,
        )


def _is_alive(store: Store, run_id: str) -> bool:
    run = store.runs.get(run_id)
    return run.command in LOOKING_COMMANDS and run.status is RunStatus.STAGING and is_alive(run.options.process)


def _forget(context: Context, store: Store, person: Person) -> Remains:
    found = _remains(store, person)
    for run_id in person.half_staged:
        store.runs.discard(run_id)
        del person.lines[run_id]
    store.forgetting.forget(person, _identities(person.identifiers))
    return Remains(found.rows, found.runs, found.waiting, found.identifiers, left=_left(context, store, person))


def _identities(identifiers: Iterable[tuple[str, str]]) -> set[bytes]:
    """Return under which identities a person may be known, whatever the key of the mapping was."""
    return {
        make_record(0, {"attributes": {name: value}}, (), (name,), clears=False).identity
        for name, value in identifiers
        if name in IDENTIFIERS
    }


def _remains(store: Store, person: Person) -> Remains:
    runs = [lines for lines in person.lines.values() if lines]
    return Remains(
        rows=sum(map(len, runs)),
        runs=len(runs),
        waiting=store.forgetting.waiting(person),
        identifiers=len(person.identifiers),
        unfinished=tuple(person.unfinished),
    )


def _left(context: Context, store: Store, person: Person) -> tuple[Path, ...]:
    words = [value for _, value in person.identifiers if "@" in value or value.startswith("+")]
    found = []
    for run_id in person.lines:
        for folder in folders_of(run_id, store.runs.get(run_id).details.folders, context.output):
            found += files_naming(folder, words)
    return tuple(found)


def _write_folders(context: Context, store: Store) -> list[str]:
    """Write the files of runs anew that lost rows; return these runs. Raise UsageError for a folder that cannot be."""
    stale = store.forgetting.stale_runs()
    for run_id in stale:
        for folder in folders_of(run_id, store.runs.get(run_id).details.folders, context.output):
            write_artifacts(store, run_id, folder.parent, _unwritable)
    return stale


def _unwritable(sentence: str) -> None:
    raise UsageError("folder-unwritable", sentence, "See to it that it can be written, then forget again.")
