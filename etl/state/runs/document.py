"""What a run was asked for, and what has become known of it: typed in the program, JSON in state.

Every version of the program reads what earlier versions wrote, and keeps the keys that it does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final, TypedDict

from etl.model import LineLocator, SourceFile

PROFILES: Final = "profiles"
"""The kind of a run whose options name none."""
_VERSION: Final = 2
_KINDS_OF_COMMANDS: Final = {
    "suppress": "suppressions",
    "unsuppress": "suppressions",
    "missing": "list_removal",
    "mirror": "list_removal",
}
"""Version 1 named only events; of the other kinds the command tells."""
_WAIVING_COMMANDS: Final = ("retry", "suppress", "unsuppress")
"""Version 1 said ``force`` for them, as if a person had overridden the guards."""


@dataclass(frozen=True, slots=True)
class RunProcess:
    """A process that only looks at a source: ``id`` as its ``host`` counts them."""

    id: int
    host: str


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What a run was asked for; it does not change.

    ``kind``: of record. ``verb``: the command that sends such a source. ``limit``: so many rows were read, a pilot.
    ``list``: name or id of the list rows are added to. ``force``: a person overrode the guards. ``guards_waived``:
    there is nothing for guards to say, since the rows were guarded before or named one by one. ``verify``: how much is
    read back at the end (``none``, ``sample``, ``full``). ``source_age``: seconds since the newest file was written.
    ``undoable``: what Klaviyo has is to be kept, whatever the mapping says. ``part``: the source is a part of another.
    ``events_by_person``: events are told apart by their person too; versions up to 0.1 did not. ``process``: of a run
    that is only looked at. ``delete_created`` and ``take_back_consents``: what an undo does about profiles and
    consents that the earlier run gave. ``others``: keys of other versions.
    """

    kind: str = PROFILES
    verb: str = "run"
    limit: int | None = None
    list: str | None = None
    force: bool = False
    guards_waived: bool = False
    verify: str = "none"
    source_age: float | None = None
    undoable: bool = False
    part: bool = False
    events_by_person: bool = False
    process: RunProcess | None = None
    delete_created: bool = False
    take_back_consents: bool = False
    others: Mapping[str, Any] = field(default_factory=dict)

    @property
    def guarded(self) -> bool:
        """Whether a guard that objects stops the run."""
        return not (self.force or self.guards_waived)

    def to_stored(self) -> dict[str, Any]:
        """Return the options as state keeps them; what is as usual is left out."""
        return {"version": _VERSION, "kind": self.kind, **_to_stored(self)}

    @classmethod
    def from_stored(cls, stored: Mapping[str, Any], command: str) -> RunOptions:
        """Read the options of any version. ``command``: of the run."""
        given = dict(stored)
        if given.pop("version", 1) == 1:
            given.setdefault("kind", _KINDS_OF_COMMANDS.get(command, PROFILES))
            given.setdefault("verb", "events" if given["kind"] == "events" else "run")
            if given.get("force") and command in _WAIVING_COMMANDS:
                given |= {"force": False, "guards_waived": True}
        return cls(**_from_stored(cls, given, _OPTIONS))


@dataclass(frozen=True, slots=True)
class StagedFile:
    """A file of a source that has several. ``offset``: see :class:`etl.model.SourceFile`; ``rows``: staged of it."""

    name: str
    offset: int
    rows: int


@dataclass(frozen=True, slots=True)
class ReachedMark:
    """How far a query came: the ``kind`` and ``value`` of its watermark. ``source``: its key; ``column``: of it."""

    source: str
    column: str
    kind: str
    value: str


@dataclass(frozen=True, slots=True)
class StagedRevenue:
    """Sums by currency, as decimal texts. ``grouped``: several rows may be one event."""

    read: Mapping[str, str]
    rejected: Mapping[str, str]
    grouped: bool = False


@dataclass(frozen=True, slots=True)
class RunDetails:
    """What has become known of a run so far.

    ``columns``: header → what it is used for, in the order of the source. ``source_facts`` and ``source_notes``: of how
    it was read; ``set_aside``: what in it was no record. ``watermark``: how far a query came. ``load``: what loading it
    comes to, once it is prepared. ``asked``: a person was asked whether to send, and has not said yes. ``objection``:
    what a guard has against a run that went to its end. ``seconds``: by phase. ``verified``: rows read back.
    ``metrics``: names of its events' metrics. ``folders``: where it left files. ``purged_at``: when what it held of
    people was removed (epoch seconds); ``purge_open``: some of it may still be on the disk. ``amounts``: currency →
    outcome → decimal text, of events whose bodies are gone. ``account_label``: what the account was called. ``others``:
    keys of other versions.
    """

    records_read: int | None = None
    headers: tuple[str, ...] = ()
    columns: tuple[tuple[str, tuple[str, ...]], ...] = ()
    source_facts: Mapping[str, str] = field(default_factory=dict)
    source_notes: tuple[str, ...] = ()
    set_aside: Mapping[str, int] = field(default_factory=dict)
    files: tuple[StagedFile, ...] = ()
    watermark: ReachedMark | None = None
    account_name: str = ""
    account_label: str = ""
    list_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    load: Mapping[str, Any] | None = None
    asked: bool = False
    bounced_flagged: bool = False
    objection: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)
    verified: int = 0
    revenue: StagedRevenue | None = None
    metrics: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    purged_at: float | None = None
    purge_open: bool = False
    amounts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    others: Mapping[str, Any] = field(default_factory=dict)

    @property
    def locator(self) -> LineLocator:
        """Where the lines of the run stand."""
        return LineLocator(SourceFile(one.name, one.offset) for one in self.files)

    def to_stored(self) -> dict[str, Any]:
        """Return the details as state keeps them; what is as usual is left out."""
        return _to_stored(self)

    @classmethod
    def from_stored(cls, stored: Mapping[str, Any]) -> RunDetails:
        """Read the details of any version."""
        return cls(**_from_stored(cls, stored, _DETAILS))


class DetailChanges(TypedDict, total=False):
    """What may be learnt of a run at once; see :class:`RunDetails`."""

    records_read: int
    headers: Sequence[str]
    columns: Sequence[tuple[str, Sequence[str]]]
    source_facts: Mapping[str, str]
    source_notes: Sequence[str]
    set_aside: Mapping[str, int]
    files: Sequence[StagedFile]
    watermark: ReachedMark
    account_name: str
    list_names: Sequence[str]
    notes: Sequence[str]
    load: Mapping[str, Any]
    asked: bool
    bounced_flagged: bool
    objection: str
    seconds: Mapping[str, float]
    verified: int
    revenue: StagedRevenue
    metrics: Sequence[str]
    folders: Sequence[str]


def changed_details(stored: Mapping[str, Any], changes: DetailChanges) -> dict[str, Any]:
    """Return stored details with changes; tables of values, such as ``seconds``, are merged."""
    merged = dict(stored)
    for name, value in changes.items():
        new = _plain(value)
        old = merged.get(name)
        merged[name] = {**old, **new} if isinstance(old, dict) and isinstance(new, dict) else new
    return merged


# --- between types and JSON -------------------------------------------------------------------------------------------

_Read = Callable[[Any], Any]


def _texts(given: Iterable[Any]) -> tuple[str, ...]:
    return tuple(map(str, given))


def _made_of(kind: type[Any]) -> _Read:
    names = {one.name for one in fields(kind)}
    return lambda given: kind(**{name: value for name, value in given.items() if name in names})


_OPTIONS: Final[Mapping[str, _Read]] = {"process": _made_of(RunProcess)}
_DETAILS: Final[Mapping[str, _Read]] = {
    "records_read": int,
    "headers": _texts,
    "columns": lambda given: tuple((str(header), _texts(uses)) for header, uses in given),
    "source_notes": _texts,
    "files": lambda given: tuple(map(_made_of(StagedFile), given)),
    "watermark": _made_of(ReachedMark),
    "list_names": _texts,
    "notes": _texts,
    "verified": int,
    "revenue": _made_of(StagedRevenue),
    "metrics": _texts,
    "folders": _texts,
}
"""How a value that JSON knows otherwise is read."""


def _from_stored(kind: type[Any], stored: Mapping[str, Any], read: Mapping[str, _Read]) -> dict[str, Any]:
    names = {one.name for one in fields(kind)} - {"others"}
    # ``null`` stood for what is not there.
    known = {name: value for name, value in stored.items() if name in names and value is not None}
    others = {name: value for name, value in stored.items() if name not in names}
    return {**{name: read.get(name, _as_it_is)(value) for name, value in known.items()}, "others": others}


def _to_stored(document: RunOptions | RunDetails) -> dict[str, Any]:
    usual = type(document)()
    found = {}
    for one in fields(document):
        value = getattr(document, one.name)
        if one.name != "others" and value != getattr(usual, one.name):
            found[one.name] = _plain(value)
    return {**document.others, **found}


def _as_it_is(value: Any) -> Any:
    return value


def _plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    if isinstance(value, RunProcess | StagedFile | ReachedMark | StagedRevenue):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(inner) for inner in value]
    return value
