"""What takes staged runs of a kind into an account."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic

from etl.config.mapping.document import R
from etl.klaviyo import KlaviyoClient
from etl.load import LoadSummary, LoadTask
from etl.pipeline.context import Context
from etl.state import Run, Store


@dataclass(frozen=True, slots=True)
class Loading(Generic[R]):
    """A staged run on its way into an account. ``force``: this command was told to go on past guards."""

    context: Context
    store: Store
    client: KlaviyoClient
    run_id: str
    rules: R
    force: bool = False

    @property
    def run(self) -> Run:
        """The run as state knows it now."""
        return self.store.runs.get(self.run_id)

    @property
    def overrides(self) -> bool:
        """Whether a guard that objects is overridden, now or when the run began."""
        return self.force or not self.run.options.guarded

    @property
    def task(self) -> LoadTask:
        """The run as it is loaded, or looked at."""
        return self.context.task(self.store, self.client, self.run_id)


class Sender(ABC, Generic[R]):
    """The half of a kind that talks to Klaviyo. What it does not say is as it is for most."""

    def check_settings(self, context: Context, rules: R) -> None:
        """Raise :class:`etl.errors.ConfigError` where what is set cannot do what the mapping asks for."""

    @abstractmethod
    def prepare(self, at: Loading[R]) -> list[str]:
        """Take a staged run to where it loads: what needs no request is settled, what must be asked was asked.

        Return what the guards object to; then nothing is sent. May be asked again after a crash. Keeps in the run's
        ``load`` what :meth:`send` needs. Raise :class:`etl.errors.UsageError` for a no.
        """

    @abstractmethod
    def send(self, at: Loading[R]) -> LoadSummary:
        """Send what is left to send, and settle every row."""

    def read_back(self, at: Loading[R], lines: Sequence[int]) -> int:  # noqa: ARG002 - not every endpoint can be read
        """Look at these rows in Klaviyo and write what was seen; return how many were looked at."""
        return 0

    def conclude(self, at: Loading[R]) -> bool:  # noqa: ARG002 - most runs end when their rows have
        """Do what follows when all rows have their outcome; whether that came to its end."""
        return True
