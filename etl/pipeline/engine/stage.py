"""A source becomes a staged run: what a run is made of is recorded, then its rows are judged."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic

from etl.config.mapping.document import R
from etl.errors import EtlError
from etl.extract import Source, SourceFiles
from etl.klaviyo import Account
from etl.pipeline.context import Context
from etl.pipeline.engine.kind import RecordKind
from etl.pipeline.lifecycle.create import begin, run_this_repairs
from etl.pipeline.lifecycle.trust import trusted
from etl.pipeline.staging import watermarks
from etl.pipeline.staging.rejects_source import IS_REJECTS
from etl.pipeline.staging.sources import age_of
from etl.pipeline.staging.stage import Staging, stage
from etl.state import RunOptions, Store


@dataclass(frozen=True, slots=True)
class ImportRequest(Generic[R]):
    """What a verb asks the engine for, with the options that the user gave.

    ``files`` ``None``: the query of the mapping. ``command``: the verb that sends it. ``abandon``: give up an
    unfinished earlier run.
    """

    context: Context
    kind: RecordKind[R]
    rules: R
    files: SourceFiles | None
    command: str
    options: RunOptions
    abandon: bool = False

    def opened(self, account: Callable[[], str | None]) -> contextlib.AbstractContextManager[tuple[Source, Store]]:
        """Open the source and the state."""
        columns = self.kind.columns(self.rules)
        return watermarks.opened(self.context, self.files, columns, account, hash_=self.rules.hash)


def resolve_mapping(
    kind: RecordKind[R], given: R | AbstractMapping[str, Any] | Path | str, context: Context
) -> tuple[R, Path | None]:
    """Return a mapping and the folder its paths start from. Raise :class:`etl.errors.ConfigError`.

    Code that a mapping file names is there only if it is trusted.
    """
    if isinstance(given, Path | str):
        return trusted(context, kind.read(Path(given))), Path(given).parent
    if isinstance(given, AbstractMapping):
        return kind.parse(given), None
    return trusted(context, given), None


def staged(
    request: ImportRequest[R],
    store: Store,
    source: Source,
    account: Account | None,
    *,
    command: str | None = None,
    finalize: bool = True,
) -> str:
    """Record a run and stage its source; return its id. A run whose source breaks half-way is forgotten.

    ``account``: ``None`` where it is only looked at. ``command``: if not the request's. ``finalize``: see
    :func:`etl.pipeline.staging.stage.stage`.
    """
    context, kind, options = request.context, request.kind, request.options
    run_id = begin(
        store,
        request.files.name if request.files is not None else source.info.name,
        request.rules,
        command=command or request.command,
        account=account.id if account is not None else None,
        options=replace(
            options,
            kind=kind.name,
            source_age=age_of(request.files, context),
            part=IS_REJECTS in source.info.details,
        ),
        moves_known_state=options.limit is None and kind.moves_known_state,
        parent=(
            run_this_repairs(store, account, source.info, request.files, kind=kind.name)
            if account is not None
            else None
        ),
    )
    stage_source(context, kind, request.rules, store, run_id, source, limit=options.limit, finalize=finalize)
    if account is not None:
        store.runs.update(run_id, account_name=account.name)
    return run_id


def stage_source(  # noqa: PLR0917 - what is staged, and the world it is staged in
    context: Context,
    kind: RecordKind[R],
    rules: R,
    store: Store,
    run_id: str,
    source: Source,
    *,
    limit: int | None = None,
    finalize: bool = True,
) -> None:
    """Stage a source into a run that was recorded. Arguments as above."""
    at = Staging(store, run_id, source, context.clock, context.progress, context.should_stop, limit, context.observer)
    try:
        stage(at, kind.stager(at, rules, context), kind.columns(rules), finalize=finalize)
    except EtlError:
        # Half of a source is worth nothing, and nothing of it has left the house.
        store.runs.discard(run_id)
        raise


@contextlib.contextmanager
def looked_at(request: ImportRequest[R], store: Store, source: Source, account: Account) -> Iterator[str]:
    """Stage a source for as long as it is looked at; yield the run's id."""
    run_id = staged(request, store, source, account, command="plan", finalize=False)
    try:
        yield run_id
    finally:
        store.runs.discard(run_id)
