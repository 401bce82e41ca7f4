"""The question before anything is sent. No answer is a no, and what nobody agreed to cannot be resumed."""

from __future__ import annotations

from etl.errors import UsageError
from etl.model import RunStatus
from etl.pipeline.context import Context
from etl.state import Run, Store


def agree(context: Context, store: Store, run_id: str, question: str) -> None:
    """Ask. Raise :class:`UsageError` for a no; the run is given up then, also where the answer never came.

    That the question stands open is durable before it is asked: a terminal that is closed ends the process without a
    word, and the run must not look like one that may go on.
    """
    store.runs.update(run_id, asked=True)
    agreed = False
    try:
        agreed = context.confirm(question)
    finally:
        if agreed:
            store.runs.update(run_id, asked=False)
        else:
            give_up(store, run_id)
    if not agreed:
        raise UsageError("not-confirmed", "Nothing was sent", "Run it again when you are ready, or with --yes.")


def must_be_agreed(store: Store, run: Run) -> None:
    """Give up a run whose question was never answered. Raise :class:`UsageError` then."""
    if run.details.asked:
        give_up(store, run.id)
        raise UsageError(
            "not-confirmed",
            f"Run {run.id} asked whether to send, and nobody said yes: it was given up",
            "Run the source again.",
        )


def give_up(store: Store, run_id: str) -> None:
    """End a run of which nothing was sent."""
    discard_children(store, run_id)
    store.runs.update(run_id, status=RunStatus.ABANDONED)


def discard_children(store: Store, run_id: str) -> None:
    """Forget runs that were begun to follow this one: it does not take place, or begins them anew."""
    for one in store.runs.children(run_id):
        if one.status is RunStatus.STAGING:
            store.runs.discard(one.id)
