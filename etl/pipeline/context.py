"""What a verb works with besides its arguments: settings, time, chance, and who is told what."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from etl import klaviyo, load, state
from etl.config import DEFAULT_BASE_URL, Settings, environment, load_settings
from etl.config.settings.base_url import host_of
from etl.model import Clock, Progress, ProgressHook
from etl.version import VERSION

if TYPE_CHECKING:
    from etl.klaviyo import Backoff, ExchangeHook, KlaviyoClient
    from etl.load import LoadTask, RetryPolicy
    from etl.monitor.telemetry.record import Observer
    from etl.report.plan_model import Plan
    from etl.state import Store


class SystemClock:
    """The machine's time. Is a :class:`etl.model.Clock`."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds of a clock that never goes back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


class SteadyClock:
    """The time of day when the process began, plus what a clock that never goes back has counted since.

    An import compares times that it wrote itself. A clock that is put right meanwhile must neither make it wait for an
    hour that comes twice, nor let it believe that its patience is spent. Is a :class:`etl.model.Clock`.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._start = self._clock.now() - self._clock.monotonic()

    def now(self) -> float:
        """Seconds since the epoch, as the start knew them."""
        return self._start + self._clock.monotonic()

    def monotonic(self) -> float:
        """Seconds of a clock that never goes back."""
        return self._clock.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        self._clock.sleep(seconds)


def _silent(_progress: Progress, /) -> None:
    pass


def _unheard(_sentence: str) -> None:
    pass


def _never() -> bool:
    return False


def _assent(_question: str) -> bool:
    return True


def _refuse(_count: int) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Context:
    """Make one with :meth:`create`; every field has a sensible default.

    ``progress`` is told how far a phase is, ``announce`` a sentence before something happens that a person may want to
    know; ``confirm`` is asked before the first write to an account, and ``on_plan`` shown before that what the import
    would do (``None``: nobody looks, so Klaviyo is not read for it); ``disregard`` is asked whether opt-outs may go
    unheard (``None``: nobody can answer, so they may not); ``should_stop`` is asked between transactions.
    ``agreed``: somebody said ``--yes`` to what is doubtful.
    ``agree_to_merges``: whether so many pairs of profiles may be merged, for good; nobody agrees by default.
    ``agree_to_deletions``: whether so many profiles may be deleted, for good; likewise.
    ``trust``: Python code that a mapping file names may run; else it must have been trusted, or ``ask_trust`` says yes.
    ``output``: where each run leaves its folder. ``transport``: an httpx transport instead of the network.
    ``on_exchange`` is told of every request, ``observer`` of the stages of runs. ``on_commit``: see
    :meth:`etl.state.Store.open`.
    """

    settings: Settings
    clock: Clock = field(default_factory=SteadyClock)
    rng: random.Random = field(default_factory=random.SystemRandom)
    progress: ProgressHook = _silent
    announce: Callable[[str], None] = _unheard
    confirm: Callable[[str], bool] = _assent
    agree_to_merges: Callable[[int], bool] = _refuse
    agree_to_deletions: Callable[[int], bool] = _refuse
    on_plan: Callable[[Plan], None] | None = None
    trust: bool = False
    ask_trust: Callable[[str], bool] | None = None
    disregard: Callable[[str], bool] | None = None
    agreed: bool = False
    should_stop: Callable[[], bool] = _never
    output: Path = Path("runs")
    retry_policy: RetryPolicy = field(default_factory=load.RetryPolicy)
    transport: Any = None
    on_exchange: ExchangeHook | None = None
    observer: Observer | None = None
    on_commit: Callable[[str], None] | None = None

    @classmethod
    def create(
        cls,
        *,
        private_key: str | None = None,
        state: str | Path | None = None,
        base_url: str | None = None,
        revision: str | None = None,
        workers: int | None = None,
        account: str | None = None,
        **others: Any,
    ) -> Self:
        """Return a context; what is not given comes from the environment, ``.env``, or a default.

        ``account``: the name of one that settings know (docs/accounts.md), instead of ``private_key``.
        ``others``: further fields of this class. Raise :class:`etl.errors.ConfigError` for a setting that is not valid.
        """
        flags = {
            "private_key": private_key,
            "state": str(state) if state is not None else None,
            "base_url": base_url,
            "revision": revision,
            "workers": str(workers) if workers is not None else None,
            "account": account,
        }
        return cls(load_settings(flags), **others)

    def open_store(self, *, create: bool = True, patience: float | None = None) -> Store:
        """Open the state. Raise :class:`etl.errors.StateError`. ``patience``: see :meth:`etl.state.Store.open`."""
        return state.Store.open(
            self.settings.state,
            clock=self.clock,
            create=create,
            rng=self.rng,
            on_commit=self.on_commit,
            patience=patience,
            label=self.settings.label,
        )

    def private_key(self) -> str | None:
        """Return the key; that of a named account is fetched anew each time, and kept nowhere.

        Raise :class:`etl.errors.AuthError` where the account has none, :class:`etl.errors.ConfigError` where its place
        cannot be asked.
        """
        own, account = self.settings.private_key, self.settings.account
        if own is not None or account is None:
            return own
        from etl.config import fetch_key  # noqa: PLC0415 - brings pydantic, and is seldom needed

        return fetch_key(account, environment())

    def open_client(self, backoff: Backoff | None = None) -> KlaviyoClient:
        """Return a client; a host that is not Klaviyo's own is said. Any account but the expected one is left alone.

        Raise :class:`etl.errors.AuthError` for a key that is missing or cannot be one,
        :class:`etl.errors.ConfigError` for an API revision that does not know what every request needs.
        ``backoff``: how often and how long reads are tried again.
        """
        klaviyo.check_features(self.settings.revision, klaviyo.EVERY_REQUEST)
        if self.settings.base_url != DEFAULT_BASE_URL:
            self.say_host()
        return klaviyo.KlaviyoClient(
            key=klaviyo.check_key(self.private_key()),
            expected=self.expected_account,
            revision=self.settings.revision,
            base_url=self.settings.base_url,
            clock=self.clock,
            version=VERSION,
            rng=self.rng,
            transport=self.transport,
            on_exchange=self.on_exchange,
            should_stop=self.should_stop,
            on_wait=self.announce,
            backoff=backoff,
        )

    @property
    def expected_account(self) -> str | None:
        """The id that the account of the key must have; ``None`` where nobody says."""
        return self.settings.account.id if self.settings.account is not None else None

    def meant_account(self, store: Store) -> str | None:
        """Return the id of the named account, empty while nobody knows it; ``None`` where no account was named."""
        label = self.settings.label
        return (self.expected_account or store.runs.account_called(label) or "") if label else None

    def only_mine(self, store: Store) -> dict[str, Any]:
        """Return the conditions by which runs are looked for: of the named account, none where none was named."""
        account = self.meant_account(store)
        return {} if account is None else {"account": account, "label": self.settings.label}

    def say_host(self) -> None:
        """Say where the key goes."""
        self.announce(f"Klaviyo is asked at {host_of(self.settings.base_url)}")

    def task(self, store: Store, client: KlaviyoClient, run_id: str) -> LoadTask:
        """Return a run to be loaded, or looked at, in this context."""
        return load.LoadTask(
            store,
            client,
            run_id,
            self.clock,
            self.rng,
            self.progress,
            self.announce,
            self.should_stop,
            self.retry_policy,
        )
