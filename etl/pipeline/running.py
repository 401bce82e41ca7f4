"""The verbs that do something: check, run, resume. Each returns the report of its run."""

from __future__ import annotations

from collections.abc import Mapping as AbstractMapping
from pathlib import Path
from typing import Any

from etl.config import Mapping, load_mapping, parse_mapping
from etl.errors import ConfigError, EtlError, ExitCode, GuardError, StateError, UsageError
from etl.extract import Source
from etl.klaviyo import Account, KlaviyoClient
from etl.load import run_load
from etl.model import RunStatus
from etl.pipeline.context import Context
from etl.pipeline.folder import write_folder
from etl.pipeline.prepare import check_account, guard, prepare, stored_options
from etl.pipeline.staging import open_mapped, stage
from etl.report import Report
from etl.state import Run, Store
from etl.version import VERSION

MappingLike = Mapping | AbstractMapping[str, Any] | Path | str
"""A mapping, its data as TOML would give it, or the path of its file."""

UNFINISHED = (RunStatus.STAGED, RunStatus.LOADING)
LOADING_COMMANDS = ("run",)


def check(
    source: Path | str | None,
    mapping: MappingLike,
    *,
    context: Context | None = None,
    limit: int | None = None,
) -> Report:
    """Stage a source and report what would be sent; no network, no key.

    ``source`` ``None``: the one the mapping names. ``limit``: read only so many rows. Raise ConfigError, SourceError,
    StateError.
    """
    context = context or Context.create()
    rules, base = _mapping(mapping)
    path = _path(source, rules, base)
    with open_mapped(path, rules) as opened, context.open_store() as store:
        run_id = _begin(store, path, rules, command="check", account=None, options={"limit": limit}, pilot=False)
        _stage(context, store, run_id, opened, rules, limit=limit)
        return write_folder(store, run_id, context.output)


def run(
    source: Path | str | None,
    mapping: MappingLike,
    *,
    context: Context | None = None,
    limit: int | None = None,
    list: str | None = None,  # noqa: A002 - the word of the design
    force: bool = False,
    abandon: bool = False,
) -> Report:
    """Run the whole pipeline: stage, check the guards, load, report.

    ``list``: id or name, instead of the mapping's. ``limit``: a pilot, which moves no incremental state. ``force``:
    override guards. ``abandon``: give up an unfinished earlier run. A signal (``context.should_stop``) ends it with a
    report that is not ``complete``. Raise ConfigError, SourceError, KlaviyoError (nothing was sent), StoppedError
    (resumable), StateError, GuardError.
    """
    context = context or Context.create()
    rules, base = _mapping(mapping)
    path = _path(source, rules, base)
    with context.open_client() as client, open_mapped(path, rules) as opened, context.open_store() as store:
        account = client.get_account()
        check_account(rules, account)
        with store.lock(account.id, "run"):
            _clear_the_way(store, account, abandon=abandon)
            options = {
                "limit": limit,
                "list": list or context.settings.list or rules.load.list,
                "force": force,
                "source_age": _age(path, context),
            }
            run_id = _begin(
                store, path, rules, command="run", account=account.id, options=options, pilot=limit is not None
            )
            _stage(context, store, run_id, opened, rules, limit=limit)
            store.update_run(run_id, details={"account_name": account.name})
            return _load(context, store, client, run_id, force=force)


def resume(run_id: str | None = None, *, context: Context | None = None, force: bool = False) -> Report:
    """Finish an interrupted run: the one given, or the newest unfinished one.

    ``force``: go on past ``max_failed_percent``. Raises as :func:`run` does; UsageError if there is nothing to resume.
    """
    context = context or Context.create()
    with context.open_store(create=False) as store:
        found = store.run(run_id) if run_id else store.latest_run(UNFINISHED, commands=LOADING_COMMANDS)
        if found is None:
            raise UsageError("nothing-to-resume", "No run is unfinished", "klaviyo-etl runs shows the history.")
        if found.status not in UNFINISHED or found.command not in LOADING_COMMANDS:
            raise UsageError(
                "not-resumable",
                f"Run {found.id} ({found.command}) is {found.status.value}",
                "Only a run that was stopped part-way can be resumed.",
            )
        with context.open_client() as client:
            account = client.get_account()
            if account.id != found.account:
                raise GuardError(
                    "account-unexpected",
                    f"Run {found.id} belongs to account {found.account}, the key to {account.id}",
                    "Use the key the run was begun with.",
                )
            with store.lock(account.id, "resume"):
                return _load(context, store, client, found.id, force=force)


def _load(context: Context, store: Store, client: KlaviyoClient, run_id: str, *, force: bool) -> Report:
    """From staged, or from half-way, to the end."""
    run = store.run(run_id)
    mapping = parse_mapping(run.mapping, where="the mapping of the run")
    started = context.clock.monotonic()
    try:
        if run.status is RunStatus.STAGED:
            forced = force or bool(run.options.get("force"))
            objections = guard(store, run, mapping, source_age=run.options.get("source_age"), force=forced)
            if objections:
                return _refuse(context, store, run_id, objections)
            prepare(context, store, client, store.run(run_id), mapping)
            _ask_first(context, store, run)
        summary = run_load(
            store,
            client,
            run_id,
            _options(store.run(run_id), force=force),
            clock=context.clock,
            rng=context.rng,
            progress=context.progress,
            should_stop=context.should_stop,
            pace=context.pace,
        )
    except EtlError:
        # What is known so far is worth a report; the error itself goes on to the caller.
        _book_time(context, store, run_id, started)
        write_folder(store, run_id, context.output)
        raise
    _book_time(context, store, run_id, started)
    if not summary.interrupted:
        store.update_run(run_id, status=RunStatus.FINISHED)
    return write_folder(store, run_id, context.output)


def _ask_first(context: Context, store: Store, run: Run) -> None:
    """Ask before the first write to an account. A no gives the run up."""
    pending = store.counts(run.id).get(None, 0)
    if not pending or store.has_loaded(run.account or ""):
        return
    name = run.details.get("account_name") or "no name"
    if not context.confirm(f"Send {pending:,} rows to account {run.account} ({name}), for the first time?"):
        store.update_run(run.id, status=RunStatus.ABANDONED)
        raise UsageError("not-confirmed", "Nothing was sent", "Run it again when you are ready, or with --yes.")


def _options(run: Run, *, force: bool) -> Any:
    options = stored_options(run)
    if not force:
        return options
    return type(options)(**{name: getattr(options, name) for name in options.__slots__} | {"max_failed_percent": None})


def _refuse(context: Context, store: Store, run_id: str, objections: list[str]) -> Report:
    notes = [f"guard: {objection}" for objection in objections]
    earlier = store.run(run_id).details.get("notes", ())
    store.update_run(run_id, status=RunStatus.REFUSED, details={"notes": [*earlier, *notes]})
    return write_folder(store, run_id, context.output)


def _book_time(context: Context, store: Store, run_id: str, started: float) -> None:
    spent = store.run(run_id).details.get("seconds", {}).get("load", 0.0)
    store.update_run(run_id, details={"seconds": {"load": spent + context.clock.monotonic() - started}})


def _stage(context: Context, store: Store, run_id: str, source: Source, mapping: Mapping, *, limit: int | None) -> None:
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
        )
    except EtlError:
        # Half of a source is worth nothing, and nothing of it has left the house.
        store.discard_run(run_id)
        raise


def _begin(
    store: Store,
    path: Path | str,
    mapping: Mapping,
    *,
    command: str,
    account: str | None,
    options: AbstractMapping[str, Any],
    pilot: bool,
) -> str:
    return store.begin_run(
        source=str(path),
        mapping_hash=mapping.hash,
        mapping=mapping.model_dump(mode="json", by_alias=True),
        account=account,
        command=command,
        tool_version=VERSION,
        options=options,
        pilot=pilot,
    )


def _clear_the_way(store: Store, account: Account, *, abandon: bool) -> None:
    """Forget what never left the house; refuse, or give up, what did and is not finished. The lock is held."""
    while (stale := store.latest_run([RunStatus.STAGING], commands=LOADING_COMMANDS, account=account.id)) is not None:
        store.discard_run(stale.id)
    while (open_run := store.latest_run(UNFINISHED, commands=LOADING_COMMANDS, account=account.id)) is not None:
        if not abandon:
            raise StateError(
                "run-unfinished",
                f"Run {open_run.id} into this account is not finished",
                f"Finish it with klaviyo-etl resume {open_run.id}, or give it up with --abandon.",
                exit_code=ExitCode.STATE,
            )
        store.update_run(open_run.id, status=RunStatus.ABANDONED)


def _mapping(given: MappingLike) -> tuple[Mapping, Path | None]:
    """Return the mapping and the folder its paths start from."""
    if isinstance(given, Mapping):
        return given, None
    if isinstance(given, Path | str):
        return load_mapping(Path(given)), Path(given).parent
    return parse_mapping(given), None


def _path(source: Path | str | None, mapping: Mapping, base: Path | None) -> Path | str:
    if source is not None:
        return source
    if mapping.source.path is None:
        raise ConfigError(
            "source-missing", "No source is given", "Name a file, or set path in [source] of the mapping."
        )
    return base / mapping.source.path if base is not None else mapping.source.path


def _age(path: Path | str, context: Context) -> float | None:
    try:
        return max(context.clock.now() - Path(path).stat().st_mtime, 0.0)
    except OSError:
        return None
