"""Fault knobs: what can go wrong between an importer and Klaviyo, on purpose and repeatably."""

from __future__ import annotations

import fnmatch
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from etl.errors import ConfigError

FaultKind = Literal[
    "latency",
    "throttle",
    "throttle_without_retry_after",
    "error_json",
    "error_html",
    "truncated",
    "malformed",
    "reset_before",
    "reset_during",
    "answer_lost",
    "job_stuck",
    "job_cancelled",
    "job_expired",
    "counters_null",
    "counters_off",
    "error_unmatched",
    "error_ambiguous",
    "list_deleted",
    "key_revoked",
    "unknown_enum",
    "extra_fields",
]


class Fault(BaseModel):
    """One rule.

    ``endpoint``: a pattern over ``"METHOD /path"``, such as ``POST /api/profile-bulk-import-jobs`` or ``*``.
    It strikes with ``probability``, not before ``after`` matching requests, and at most ``times`` times.
    ``seconds``: of latency; ``status``: of an error; ``retry_after``: in seconds.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    fault: FaultKind
    endpoint: str = "*"
    times: int | None = Field(None, ge=1)
    after: int = Field(0, ge=0)
    probability: float = Field(1.0, gt=0, le=1)
    seconds: float = Field(0.5, ge=0)
    status: Literal[500, 502, 503, 504] = 503
    retry_after: int = Field(1, ge=0)


class FaultFile(BaseModel):
    """A fault file: ``{"seed": 1, "rules": [...]}``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = 0
    rules: tuple[Fault, ...] = ()


def parse_faults(document: Any, where: str = "faults") -> FaultFile:
    """Check a fault document. Raise :class:`ConfigError` naming the key."""
    try:
        return FaultFile.model_validate(document)
    except ValidationError as error:
        said = [f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}" for fault in error.errors()]
        raise ConfigError("faults-invalid", f"{where}: " + "; ".join(said), "See klaviyo-etl docs sandbox.") from None


def load_faults(path: Path) -> FaultFile:
    """Read a fault file (JSON). Raise :class:`ConfigError`."""
    try:
        document = orjson.loads(path.read_bytes())
    except OSError as error:
        raise ConfigError("faults-unreadable", f"{path}: {error.strerror}", "Check the path.") from None
    except orjson.JSONDecodeError as error:
        raise ConfigError("faults-invalid", f"{path}: {error}", "A fault file is JSON.") from None
    return parse_faults(document, str(path))


@dataclass(slots=True)
class _Armed:
    rule: Fault
    matched: int = 0
    applied: int = 0


class Faults:
    """The rules in force, with their counters and their own seeded chance."""

    def __init__(self, rules: tuple[Fault, ...] = (), seed: int = 0) -> None:
        self._armed = [_Armed(rule) for rule in rules]
        self._rng = random.Random(seed)  # noqa: S311 - repeatable on purpose

    def next_fault(self, method: str, path: str) -> Fault | None:
        """Return the fault that strikes this request, if any; the first rule that fits wins."""
        endpoint = f"{method} {path}"
        for armed in self._armed:
            rule = armed.rule
            if not fnmatch.fnmatchcase(endpoint, rule.endpoint):
                continue
            armed.matched += 1
            if armed.matched <= rule.after or (rule.times is not None and armed.applied >= rule.times):
                continue
            if rule.probability < 1 and self._rng.random() >= rule.probability:
                continue
            armed.applied += 1
            return rule
        return None

    def describe(self) -> list[dict[str, Any]]:
        """Return the rules with how often they struck."""
        return [{**armed.rule.model_dump(), "matched": armed.matched, "struck": armed.applied} for armed in self._armed]
