"""The words of the design as types: what flows between the stages, and nothing else.

Every type here is immutable. A *line* is always an ``int``: the physical source line (or sheet row, or ordinal of
an ordered query) where a record starts. It is the key of everything.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal, NamedTuple, Protocol

from etl.deferred import pd

Identifier = Literal["email", "phone_number", "external_id"]
IDENTIFIERS: Final = ("email", "phone_number", "external_id")
"""What a person is known by, in the order in which Klaviyo is asked for them."""
DIGEST_BYTES: Final = 16
"""Length of every digest that is stored or compared: fingerprints, identities, checksums."""


class Outcome(StrEnum):
    """What became of a row. *Rejected* is ours, *failed* is Klaviyo's; a row without outcome is *pending*."""

    REJECTED = "rejected"
    DUPLICATE = "duplicate"
    UNCHANGED = "unchanged"
    LOADED = "loaded"
    FAILED = "failed"
    UNKNOWN = "unknown"
    DIFFERENT = "different"  # read back, and not as it was sent


class Stage(StrEnum):
    """Where an issue was found."""

    EXTRACT = "extract"
    VALIDATE = "validate"
    TRANSFORM = "transform"
    DEDUPE = "dedupe"
    LOAD = "load"
    VERIFY = "verify"


class Severity(StrEnum):
    """An ``error`` costs the row; a ``warning`` costs at most a cell."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Issue:
    """What is wrong with one cell, row or file. Never carries the value itself (promise 9).

    ``code`` is a key of :data:`etl.codes.CODES`, which holds title and hint. ``column`` is the *source* header,
    or ``None`` for the whole row. ``detail`` adds particulars without personal data ("12 characters, at most 10").
    ``suggestion`` may be a corrected value; it goes to state and the rejects file only, never to a report.
    ``line`` 0 stands for the file as a whole. ``left_out``: a warning that cost the cell, which is not sent.
    """

    line: int
    stage: Stage
    code: str
    column: str | None = None
    detail: str = ""
    severity: Severity = Severity.ERROR
    suggestion: str = ""
    left_out: bool = False


@dataclass(frozen=True, slots=True)
class RaggedRow:
    """A record that could not become a row of the frame: wrong number of cells, or undecodable."""

    line: int
    cells: tuple[str, ...]


class SourceFile(NamedTuple):
    """A file of a source that has several. ``offset``: what its own lines are added to, to make them the source's."""

    name: str
    offset: int


class LineLocator:
    """Where the lines of a source with several files stand; with no files, a line stands where it says."""

    def __init__(self, parts: Iterable[SourceFile]) -> None:
        """``parts``: the files, in any order."""
        self._parts = sorted(parts, key=lambda part: part.offset)
        self._offsets = [part.offset for part in self._parts]

    def __bool__(self) -> bool:
        """Whether there are several files."""
        return bool(self._parts)

    def of(self, line: int) -> tuple[str, int]:
        """Return the file, and the line in it; 0 is the file as a whole. No file: the source as a whole."""
        place = bisect_right(self._offsets, line) - 1
        return (self._parts[place].name, line - self._offsets[place]) if place >= 0 else ("", line)

    def text(self, line: int) -> str:
        """Return ``orders-2.csv:17``, or the line alone where there are not several files."""
        return format_location(*self.of(line))


def format_location(file: str, line: int) -> str:
    """Return a place as people read it: ``orders-2.csv:17``."""
    return f"{file}:{line}" if file and line else file or str(line)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A slice of the source.

    ``frame``: pandas frame, all columns of pandas' ``str`` dtype, index of ``int64`` named ``line``, ascending. A
    missing cell (SQL NULL) is ``NaN``; an empty one is ``""``. Column names are the source's headers made unique.
    ``ragged``: records that are no row of the frame, each with an error in ``issues``.
    ``position``: how far into the source this chunk reaches, in the unit of :attr:`SourceInfo.size` (for progress).
    ``part``: the file it is from, where the source has several.
    """

    frame: pd.DataFrame
    ragged: tuple[RaggedRow, ...] = ()
    issues: tuple[Issue, ...] = ()
    position: int = 0
    part: SourceFile | None = None

    @property
    def records(self) -> int:
        """Records read in this chunk, ragged ones included."""
        return len(self.frame) + len(self.ragged)


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What was learnt about a source before its first row.

    ``size`` is in ``unit`` (``B`` or ``rows``), 0 where unknown; ``notes`` are sentences for the report ("read as
    Windows-1252"). ``words``: some of the source, as they were read, for eyes on a terminal and nowhere else.
    ``details`` holds facts for machines (``encoding``, ``delimiter``, ``sha256`` once read through). ``set_aside``: how
    many records were nobody's so far, by kind (blank rows, repeated headers, totals); they are no rows.
    """

    name: str
    kind: str
    columns: tuple[str, ...]
    size: int = 0
    notes: tuple[str, ...] = ()
    details: Mapping[str, str] = field(default_factory=dict)
    unit: str = "rows"
    words: tuple[str, ...] = ()
    set_aside: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Validated:
    """One chunk after validation.

    ``frame``: the accepted rows; columns are *targets* (``email``, ``location.city``, ``properties.plan`` ...), ``str``
    dtype, index ``line``; ``email`` and ``phone_number`` are in normal form; a cell that was refused is ``""``, or
    missing where the mapping lets an empty cell erase something.
    ``rejected``: lines refused as a whole, each with at least one error in ``issues``.
    """

    frame: pd.DataFrame
    rejected: frozenset[int]
    issues: tuple[Issue, ...]


class Record(NamedTuple):
    """A row ready to be sent. A tuple, because there are millions, and a frozen dataclass takes thrice as long to make.

    ``body`` is canonical JSON (sorted keys, compact, UTF-8) of the profile resource without its ``type``:
    ``{"attributes": {...}}``, with ``"meta"`` where patches are asked for. Only what shall be written is in it.
    ``fingerprint``: 16 bytes over ``body`` and ``lists``. ``identity``: 16 bytes over the first identifier the
    mapping's ``profile.key`` finds. ``lists``: names or ids from a ``list`` column. ``clears``: the body holds a
    ``null`` that clears a field, which only profile-import can do.
    """

    line: int
    body: bytes
    fingerprint: bytes
    identity: bytes
    email: str | None = None
    phone_number: str | None = None
    external_id: str | None = None
    lists: tuple[str, ...] = ()
    clears: bool = False


class Channel(StrEnum):
    """Where consent counts: each has its own. E-mail and SMS stand for marketing."""

    EMAIL = "email"
    SMS = "sms"
    SMS_TRANSACTIONAL = "sms_transactional"

    @property
    def address(self) -> Literal["email", "phone_number"]:
        """By what a person is reached."""
        return "email" if self is Channel.EMAIL else "phone_number"

    @property
    def place(self) -> tuple[str, str]:
        """Where Klaviyo's ``subscriptions`` keep it: the medium, and the kind of messages."""
        medium, _, kind = self.value.partition("_")
        return medium, kind or "marketing"


class ConsentAction(StrEnum):
    """What a row says of a person's consent. A row that says nothing, or "never", has no wish."""

    SUBSCRIBE = "subscribe"
    UNSUBSCRIBE = "unsubscribe"
    SUPPRESS = "suppress"  # e-mail only: no marketing, whatever the consent
    WITHHOLD = "withhold"  # said something nobody understands: no other line of the person may subscribe them
    UNSUPPRESS = "unsuppress"  # lifts what a person suppressed, nothing else


class ConsentResult(StrEnum):
    """What became of a wish. None of them but ``REFUSED`` and ``UNKNOWN`` costs the row."""

    ALREADY = "already"  # Klaviyo says so without us
    CONFIRMED = "confirmed"  # read back as asked for
    WITHHELD = "withheld"  # the person has opted out, somewhere, since
    PENDING = "pending"  # the list asks the person to confirm first
    REFUSED = "refused"
    UNKNOWN = "unknown"


class ConsentRequest(NamedTuple):
    """One wish of one row. ``at``: ISO 8601 with offset, or ``""``; ``source``: Klaviyo's ``custom_source``.

    ``birthday``: ``YYYY-MM-DD`` for accounts with age gating, or ``""``.
    """

    line: int
    channel: Channel
    wish: ConsentAction
    at: str = ""
    source: str = ""
    birthday: str = ""


@dataclass(frozen=True, slots=True)
class Transformed:
    """One chunk after transform: records in line order, refused lines and issues."""

    records: Sequence[Record]
    rejected: frozenset[int]
    issues: tuple[Issue, ...]


@dataclass(frozen=True, slots=True)
class Merge:
    """Lines of one person that became ``line``. ``fields``: source columns in which they differed; never a value."""

    line: int
    lines: tuple[int, ...]
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DedupeResolution:
    """What becomes of lines that are the same person.

    ``duplicates``: (line, the line it was merged into, code). ``replaced``: records with a new body. ``rejected``:
    lines refused as a whole; each has an error in ``issues``. ``merges``: who became one, and what they disagreed on.
    """

    duplicates: tuple[tuple[int, int, str], ...] = ()
    rejected: tuple[int, ...] = ()
    replaced: tuple[Record, ...] = ()
    issues: tuple[Issue, ...] = ()
    merges: tuple[Merge, ...] = ()


class BatchKind(StrEnum):
    """What a batch asks of Klaviyo."""

    IMPORT = "import"  # profile-bulk-import-job, up to 10,000 profiles
    UPSERT = "upsert"  # profile-import, one profile
    LIST_ADD = "list_add"  # list relationship, up to 1,000 ids
    LIST_REMOVE = "list_remove"
    SUBSCRIBE_EMAIL = "subscribe_email"  # up to 1,000 profiles; nothing to poll
    SUBSCRIBE_SMS = "subscribe_sms"
    SUBSCRIBE_SMS_TRANSACTIONAL = "subscribe_sms_transactional"
    UNSUBSCRIBE_EMAIL = "unsubscribe_email"  # up to 100
    UNSUBSCRIBE_SMS = "unsubscribe_sms"
    UNSUBSCRIBE_SMS_TRANSACTIONAL = "unsubscribe_sms_transactional"
    SUPPRESS = "suppress"  # up to 100 addresses
    UNSUPPRESS = "unsuppress"
    EVENTS = "events"  # up to 1,000 events; nothing to poll
    RESTORE = "restore"  # one profile, by Klaviyo's id
    DELETE = "delete"  # one profile, for good; accepted is all that is known


class BatchStatus(StrEnum):
    """``planned → sending → submitted(job) → settled``; ``superseded`` when a batch was planned again as others."""

    PLANNED = "planned"
    SENDING = "sending"
    SUBMITTED = "submitted"
    SETTLED = "settled"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True)
class PlannedBatch:
    """A batch to be: its rows in the order they will stand in the request.

    ``lists``: Klaviyo list ids; for ``IMPORT`` those inside the job, for ``LIST_ADD``/``LIST_REMOVE`` exactly one.
    ``size``: bytes of the request body. ``parent``: the batch this one replaces (strip-and-resend). ``resent``: its
    rows were in doubt once.
    """

    kind: BatchKind
    lines: tuple[int, ...]
    lists: tuple[str, ...] = ()
    size: int = 0
    parent: int | None = None
    resent: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch as state knows it. ``attempts`` counts requests that may have left; restarting does not reset it.

    ``not_before`` and ``expires_at``: seconds since the epoch. ``resent``: it was in doubt once and was sent again.
    ``adopted``: its job was found among Klaviyo's after the answer was lost; that it is ours needs proof.
    """

    id: int
    kind: BatchKind
    status: BatchStatus
    lines: tuple[int, ...]
    lists: tuple[str, ...] = ()
    size: int = 0
    parent: int | None = None
    job_id: str | None = None
    expires_at: float | None = None
    attempts: int = 0
    not_before: float = 0.0
    sent_at: float | None = None
    resent: bool = False
    adopted: bool = False


@dataclass(frozen=True, slots=True)
class RowResult:
    """What a settled batch says of one row.

    ``outcome`` ``None``: this step is done, another one (list membership) follows. ``code``: a key of the registry,
    ``detail`` Klaviyo's words without personal data, ``klaviyo_id`` the profile's id where it was learnt. ``consent``:
    what became of the row's wish, where the batch was about consent.
    """

    line: int
    outcome: Outcome | None
    code: str = ""
    detail: str = ""
    column: str | None = None
    klaviyo_id: str | None = None
    severity: Severity = Severity.ERROR
    consent: ConsentResult | None = None


class VerifyResult(StrEnum):
    """What reading a loaded row back from Klaviyo showed."""

    CONFIRMED = "confirmed"
    DIFFERS = "differs"
    PHONE_DROPPED = "phone_dropped"
    MISSING = "missing"  # proved: not shown after all patience, while others are
    UNSEEN = "unseen"  # not shown, but nothing else was either


@dataclass(frozen=True, slots=True)
class Observation:
    """One row as verify saw it. ``fields``: names of what differs (targets, or ``list`` with its id); never a value.

    ``foretold``: that it differs was said when it was sent, and sending it again would change nothing.
    """

    line: int
    verdict: VerifyResult
    fields: tuple[str, ...] = ()
    foretold: bool = False


@dataclass(frozen=True, slots=True)
class Watermark:
    """How far an incremental source has come: the highest value of its watermark column, all confirmed up to there.

    ``kind``: ``instant`` (a moment with zone), ``datetime`` (without), ``date``, ``integer`` or ``text``.
    """

    kind: str
    value: str


class RunStatus(StrEnum):
    """``staging → staged → loading → finished``.

    ``staged`` and ``loading`` runs are resumable, ``refused`` ones sent nothing, ``abandoned`` ones were given up.
    """

    STAGING = "staging"
    STAGED = "staged"
    LOADING = "loading"
    FINISHED = "finished"
    REFUSED = "refused"
    ABANDONED = "abandoned"


@dataclass(frozen=True, slots=True)
class Progress:
    """One step of a long phase, for a :class:`ProgressHook`. ``total`` 0 means unknown; ``unit``: ``B`` or ``rows``."""

    phase: str
    done: int
    total: int
    unit: str
    note: str = ""


class ProgressHook(Protocol):
    """Told about progress; the core itself prints nothing."""

    def __call__(self, progress: Progress, /) -> None:
        """Take one step."""


class Clock(Protocol):
    """Time, injected: tests turn it by hand."""

    def now(self) -> float:
        """Seconds since the epoch (UTC)."""

    def monotonic(self) -> float:
        """Seconds of a clock that never goes back."""

    def sleep(self, seconds: float) -> None:
        """Wait."""
