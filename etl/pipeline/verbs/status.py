"""The verb that watches: status_of."""

from __future__ import annotations

from collections.abc import Sequence

from etl.monitor import Status, Wanted, collect
from etl.pipeline.context import Context
from etl.state import StateView, shown


def status_of(
    *,
    context: Context | None = None,
    account: str | None = None,
    sources: Sequence[str] = (),
    max_age: float | None = None,
) -> Status:
    """Return how every import does, from an existing state that is only read.

    ``account``, ``sources``: only these; a source is named as ``runs`` lists it, or ``orders-*.csv`` for files with a
    date in their name. ``max_age``: seconds within which each source must have finished an import, instead of what its
    mapping says. Raise StateError: ``state-missing`` where there is none.
    """
    context = context or Context.create()
    with StateView.open(context.settings.state) as view:
        wanted = Wanted(account, tuple(sources), max_age)
        return collect(view, context.clock.now(), state=shown(context.settings.state), wanted=wanted)
