"""How a run is loaded, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from etl.model import BatchKind
from etl.operations import FULL_REQUEST_BYTES, OPERATIONS


@dataclass(frozen=True, slots=True)
class ConsentOptions:
    """How consent is sent.

    ``historical``: it was given earlier, so nobody is asked to confirm. ``list``: id of the list whose opt-in process
    decides; ``None`` leaves it to the account. ``confirms``: that process asks people to confirm.
    """

    historical: bool = True
    list: str | None = None
    confirms: bool = False


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """Everything loading needs to know beside state; it is stored with the run, so that a resume does the same.

    ``common_lists``: ids of the lists every row goes to. ``list_ids``: name or id in a row's list column → id.
    ``remove_from``: id of the list every row is taken off. ``one_by_one``: send single profiles instead of bulk jobs.
    ``headers``: target → source column, to name the column of Klaviyo's errors. ``consent``: ``None`` where no row says
    anything of it. ``account``: whose opt-outs count. ``only_if_blank``: fields, such as ``properties.plan``, that are
    written only where Klaviyo has nothing. ``patches``: rows may add items to lists or take some away. ``key``:
    identifiers by priority. ``on_conflict``: what becomes of a row whose identifiers belong to different profiles.
    ``keep_before``: what Klaviyo has is kept before it is changed, so that the run can be undone.
    """

    common_lists: tuple[str, ...] = ()
    list_ids: Mapping[str, str] = field(default_factory=dict)
    remove_from: str | None = None
    one_by_one: bool = False
    batch_rows: int = OPERATIONS[BatchKind.IMPORT].most_rows
    batch_bytes: int = FULL_REQUEST_BYTES
    max_failed_percent: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    consent: ConsentOptions | None = None
    account: str = ""
    only_if_blank: tuple[str, ...] = ()
    patches: bool = False
    key: tuple[str, ...] = ()
    on_conflict: str | None = None
    keep_before: bool = False

    @property
    def needs_preflight(self) -> bool:
        """Whether what is sent of a row depends on what Klaviyo has."""
        return self.patches or bool(self.only_if_blank)

    def to_stored(self) -> dict[str, Any]:
        """Return the options as a run keeps them."""
        return asdict(self)

    @classmethod
    def from_stored(cls, stored: Mapping[str, Any]) -> LoadOptions:
        """Read options that a run keeps. What this version does not know is left out; what it misses is as usual."""
        given = _known_to(cls, stored)
        given |= {name: tuple(given[name]) for name in _SEQUENCES & given.keys()}
        if given.get("consent") is not None:
            given["consent"] = ConsentOptions(**_known_to(ConsentOptions, given["consent"]))
        return cls(**given)


_SEQUENCES = frozenset({"common_lists", "only_if_blank", "key"})


def _known_to(kind: type[LoadOptions | ConsentOptions], stored: Mapping[str, Any]) -> dict[str, Any]:
    names = {one.name for one in fields(kind)}
    return {name: value for name, value in stored.items() if name in names}


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Patience, in seconds and counts.

    ``failures_in_a_row``: answers of "not now" after which a process gives up, resumable. ``attempts``: requests a
    batch may cost over all processes. ``job_patience``: how long a job may stay unfinished before its rows are read
    back instead. ``consent_patience``: how long a consent that was accepted may take to show on the profile.
    ``visible_after``: how long a write may take until a reader sees it; a lost patch is looked for no sooner.
    ``visible_within``: how long what was written may stay out of sight before its absence means anything.
    """

    first_poll: float = 0.5
    longest_poll: float = 10.0
    jobs_in_flight: int = 60
    failures_in_a_row: int = 8
    attempts: int = 50
    job_patience: float = 3_600.0
    consent_patience: float = 120.0
    visible_after: float = 10.0
    visible_within: float = 90.0
    clock_skew: float = 300.0


@dataclass(frozen=True, slots=True)
class LoadSummary:
    """``interrupted``: a signal ended it early; what is settled stays settled."""

    settled_rows: int
    interrupted: bool = False


def wanted_lists(options: LoadOptions, named: tuple[str, ...]) -> tuple[str, ...]:
    """Return the ids of the lists a row belongs on; a name without id is left out."""
    routed = (options.list_ids[name] for name in named if name in options.list_ids)
    return tuple(dict.fromkeys((*options.common_lists, *routed)))


def later_lists(options: LoadOptions, named: tuple[str, ...], *, in_job: bool) -> tuple[str, ...]:
    """Return the lists that a relationship call has to add the row to; a bulk job does the common ones itself."""
    wanted = wanted_lists(options, named)
    return tuple(list_id for list_id in wanted if list_id not in options.common_lists) if in_job else wanted
