"""Carrying an undo out: profiles, then lists, then consents, by the runner that drives every load."""

from __future__ import annotations

from etl.load.options import LoadOptions, LoadSummary
from etl.load.runner import Runner, breaker_of
from etl.load.steps.step import Step
from etl.load.steps.writer import BatchWriter
from etl.load.task import LoadTask, carry_out
from etl.load.undo.consents import UndoConsentStep
from etl.load.undo.lists import UndoListStep
from etl.load.undo.options import UndoOptions
from etl.load.undo.restore import RestoreStep


def load_undo(task: LoadTask, options: LoadOptions, undo: UndoOptions) -> LoadSummary:
    """Put back what a staged undo has left to put back. Raises as :func:`etl.load.task.carry_out` does."""
    breaker = breaker_of(task)
    writer = BatchWriter(task, options, breaker)
    steps: list[Step] = [RestoreStep(task, undo, writer), UndoListStep(task, options, undo, writer)]
    if options.consent is not None:
        steps.append(UndoConsentStep(task, options, undo, writer))
    return carry_out(task, Runner(task, steps, writer, breaker, max_failed_percent=options.max_failed_percent))
