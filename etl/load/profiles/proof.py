"""Evidence (promise 4): what a finished job, or a profile that was read back, proves about each row. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from etl.identity import identity_key
from etl.klaviyo import ImportJob, JobError, Profile, redact
from etl.model import IDENTIFIERS, Outcome, RowResult, Severity

_TOLERANCE: Final = 1e-9
_TELLING: Final = 3


@dataclass(frozen=True, slots=True)
class Counted:
    """``failed``: rows with Klaviyo's reason. ``proven``: whether that leaves nothing open for the other rows.

    ``unmatched``: errors of which nobody can say which row they are about.
    """

    failed: dict[int, RowResult]
    proven: bool
    unmatched: int = 0


def count_job(job: ImportJob, errors: Iterable[JobError], sent: Mapping[int, Mapping[str, Any]]) -> Counted:
    """Join a complete job's errors to lines and see whether its counters tie. ``sent``: line → attributes.

    Import errors carry no row number (reference 3.5), only what was sent. An error that fits no row, or two, leaves the
    whole batch unproven.
    """
    by_key: dict[tuple[str | None, ...], list[int]] = {}
    for line, attributes in sent.items():
        by_key.setdefault(_key(attributes), []).append(line)
    failed: dict[int, RowResult] = {}
    count = unmatched = 0
    for error in errors:
        count += 1
        lines = by_key.get(_key(_attributes(error.original_payload)), []) if error.original_payload else []
        if len(lines) != 1 or lines[0] in failed:
            unmatched += 1
            continue
        code = "klaviyo-duplicate" if error.code == "duplicate_profile" else "klaviyo-invalid"
        detail = scrub(error.detail, sent[lines[0]])
        failed[lines[0]] = RowResult(lines[0], Outcome.FAILED, code, detail)
    total = len(sent)
    counters = (job.total, job.completed, job.failed)
    ties = counters == (total, total - count, count)
    return Counted(failed, proven=ties and unmatched == 0, unmatched=unmatched)


def read_back(sent: Mapping[int, Mapping[str, Any]], found: Mapping[int, Profile]) -> dict[int, RowResult]:
    """Judge rows by the profiles that were found for them, line by line.

    As sent: ``loaded``, with a warning where only the phone is missing. There but different: ``unknown``, because an
    older state may be what is seen. Not there: ``failed``.
    """
    return {line: _judge(line, attributes, found.get(line)) for line, attributes in sent.items()}


def differing_fields(sent: Mapping[str, Any], profile: Profile) -> list[str]:
    """Return the targets of which Klaviyo has another value than was sent; ``null`` sent means absent."""
    differing = []
    for name, value in sent.items():
        stored = profile.attributes.get(name)
        if name in {"location", "properties"} and isinstance(value, dict):
            section = stored if isinstance(stored, dict) else {}
            fields = {f"{name}.{field}": (part, section.get(field)) for field, part in value.items()}
            differing += [field for field, (part, there) in fields.items() if not same_value(field, part, there)]
        elif not same_value(name, value, stored) and name not in profile.answers:
            differing.append(name)
    return differing


def same_value(field: str, sent: object, stored: object) -> bool:
    """Whether Klaviyo stores what was sent for a field, such as ``location.city``; see :func:`same`.

    E-mails are compared without regard to case; a coordinate may come back as text.
    """
    if field in IDENTIFIERS:
        return _fold(field, sent) == _fold(field, stored)
    return _same_place(sent, stored) if field.startswith("location.") else same(sent, stored)


def scrub(detail: str, sent: Mapping[str, Any]) -> str:
    """Return Klaviyo's words without the row's own values, and without what may be somebody else's.

    A report holds no personal data (promise 9), and Klaviyo may quote another profile that is in the way.
    """
    for value in sorted(_texts(sent), key=len, reverse=True):
        detail = detail.replace(value, "…")
    return redact(detail)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        # Shorter ones would eat into ordinary words, and tell nobody who it is.
        if len(value) >= _TELLING:
            yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)


def _judge(line: int, sent: Mapping[str, Any], profile: Profile | None) -> RowResult:
    if profile is None:
        return RowResult(line, Outcome.FAILED, "profile-not-found")
    differing = differing_fields(sent, profile)
    if not differing:
        return RowResult(line, Outcome.LOADED, klaviyo_id=profile.id)
    if differing == ["phone_number"] and not profile.phone_number:
        return RowResult(
            line,
            Outcome.LOADED,
            "phone-dropped",
            klaviyo_id=profile.id,
            severity=Severity.WARNING,
            column="phone_number",
        )
    return RowResult(line, Outcome.UNKNOWN, "result-unproven", f"differs in {', '.join(differing[:5])}")


def _key(attributes: Mapping[str, Any]) -> tuple[str | None, ...]:
    return tuple(_fold(name, attributes.get(name)) for name in IDENTIFIERS)


def _fold(name: str, value: object) -> str | None:
    return identity_key(name, value) if isinstance(value, str) and value else None


def _attributes(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the attributes in a payload, whichever of its wrappings Klaviyo kept."""
    for _ in range(2):
        for name in ("data", "attributes"):
            inner = payload.get(name)
            if isinstance(inner, dict):
                payload = inner
    return payload


def same(sent: object, stored: object) -> bool:
    """Whether a stored value is the one sent: type for type, but 20 equals 20.0 and a moment is one in any zone."""
    if sent is None or sent == "":
        return stored in (None, "")
    if isinstance(sent, bool) or isinstance(stored, bool):
        return sent is stored
    if isinstance(sent, int | float) and isinstance(stored, int | float):
        return sent == stored or abs(sent - stored) < _TOLERANCE * max(1.0, abs(sent))
    if isinstance(sent, str) and isinstance(stored, str):
        return sent == stored or (_moment(sent) is not None and _moment(sent) == _moment(stored))
    if isinstance(sent, list) and isinstance(stored, list):
        return len(sent) == len(stored) and all(map(same, sent, stored))
    if isinstance(sent, dict) and isinstance(stored, dict):
        return sent.keys() == stored.keys() and all(same(value, stored[name]) for name, value in sent.items())
    return False


def _same_place(sent: object, stored: object) -> bool:
    """As :func:`same`, but a coordinate may come back as text: Klaviyo documents it as either."""
    if isinstance(sent, int | float) and isinstance(stored, str):
        return _number(stored) == float(sent)
    return same(sent, stored)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _moment(text: str) -> datetime | None:
    if len(text) < len("2025-01-01T00:00"):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else None
