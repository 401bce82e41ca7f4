"""Incremental sources: where a query begins, and where it has come to once its rows are confirmed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from etl.config import Mapping
from etl.extract import Source, SourceFiles, query_key
from etl.extract.sql.watermark import clamp_to_confirmed, newest
from etl.model import RunStatus, Watermark
from etl.pipeline.context import Context
from etl.pipeline.staging.stage import open_mapped
from etl.state import Store


@contextlib.contextmanager
def opened(
    context: Context,
    files: SourceFiles | None,
    mapping: Mapping,
    account: Callable[[], str | None],
    *,
    hash_: str | None = None,
) -> Iterator[tuple[Source, Store]]:
    """Open the source and the state. ``files`` ``None``: the query of the mapping.

    A query that goes on where an earlier run stopped needs the state, and the account, first. Any other source comes
    first: one that cannot be read leaves no trace. ``hash_``: of the mapping that was given, where this one was made
    from another.
    """
    now = datetime.fromtimestamp(context.clock.now(), UTC)
    if files is not None or mapping.source.watermark is None:
        with open_mapped(files, mapping, now=now) as source, context.open_store() as store:
            yield source, store
        return
    with context.open_store() as store:
        whose = account() or context.meant_account(store)
        stored = store.watermarks.get(whose, query_key(mapping.source))
        if stored is not None and stored.mapping_hash != (hash_ or mapping.hash):
            context.announce(
                "The mapping has changed since the watermark was set: rows before it are not read again. "
                "A change to the query, such as a comment, makes it begin anew."
            )
        mark = stored.watermark if stored is not None else None
        with open_mapped(None, mapping, mark=mark, now=now) as source:
            yield source, store


def finish(store: Store, run_id: str) -> None:
    """End a run. Its watermark moves on to the last row before which nothing is failed or unknown; never back.

    A pilot moves nothing. Neither do rejected rows hold it: what we think of them changes only when the row does.
    """
    run = store.runs.get(run_id)
    reached = run.details.watermark
    if reached is None or not run.moves_known_state:
        store.runs.update(run_id, status=RunStatus.FINISHED)
        return
    mark = clamp_to_confirmed(
        Watermark(reached.kind, reached.value), store.watermarks.unconfirmed_cells(run_id, reached.column)
    )
    stored = store.watermarks.get(run.account, reached.source)
    mark = newest(mark, stored.watermark if stored is not None else None)
    store.watermarks.finish_run(run_id, reached.source, mark)
