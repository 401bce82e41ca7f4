"""Every exception this project raises on purpose.

    EtlError                     code, message, hint, exit code
    ├── UsageError               2   the command line or the call is wrong
    ├── ConfigError              2   the mapping file or a setting is wrong
    ├── SourceError              3   the source cannot be read; nothing was sent
    ├── KlaviyoError             3/4 Klaviyo refused something that concerns the whole run
    │   ├── AuthError                the key is missing, wrong, or lacks a scope
    │   ├── RequestRefusedError      a 4xx that names no row
    │   └── UnavailableError         still not reachable after the retry budget
    ├── StateError               5   our own database cannot be used
    │   └── LockedError          5   another run holds it
    ├── GuardError               6   a guard stopped the run, nothing was sent
    ├── StoppedError             4   stopped part-way, resumable
    ├── InterruptedRunError      130/143 a signal, resumable
    └── InternalError            70  our bug

Group by what the caller should do. Row faults are data (:class:`etl.model.Issue`), never exceptions.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class ExitCode(IntEnum):
    """The process's exit codes (design §6)."""

    OK = 0
    ROWS_NOT_LOADED = 1
    USAGE = 2
    NOT_STARTED = 3
    STOPPED = 4
    STATE = 5
    GUARD = 6
    BUG = 70
    SIGINT = 130
    SIGTERM = 143


class EtlError(Exception):
    """An error with a stable kebab-case ``code``, a message, and the next thing to do (``hint``)."""

    exit_code: ExitCode = ExitCode.BUG

    def __init__(self, code: str, message: str, hint: str = "", *, exit_code: ExitCode | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        if exit_code is not None:
            self.exit_code = exit_code

    def __reduce__(self) -> tuple[type[EtlError], tuple[str, str, str], dict[str, object]]:
        """Pickle, so that an error in a process that judges rows reaches the one that asked."""
        return type(self), (self.code, self.message, self.hint), self.__dict__

    def __str__(self) -> str:
        """Message, code and hint, as a terminal shows them."""
        text = f"{self.message} [{self.code}]"
        return f"{text}\n  hint: {self.hint}" if self.hint else text


class UsageError(EtlError):
    """The command line, or the arguments of a library call, are wrong."""

    exit_code = ExitCode.USAGE


class ConfigError(EtlError):
    """The mapping file or a setting is wrong; the message names the key."""

    exit_code = ExitCode.USAGE


class SourceError(EtlError):
    """The source cannot be read at all. Nothing was sent."""

    exit_code = ExitCode.NOT_STARTED


class KlaviyoError(EtlError):
    """Klaviyo refused something that concerns the whole run. ``exit_code`` 3 before the first write, 4 after."""

    exit_code = ExitCode.NOT_STARTED


class AuthError(KlaviyoError):
    """The key is missing, malformed, unknown to Klaviyo, or lacks a scope."""


class RequestRefusedError(KlaviyoError):
    """A 4xx answer that names no row: trying again would not help."""


class UnavailableError(KlaviyoError):
    """Klaviyo could not be reached, or kept failing, until the retry budget was spent.

    ``retry_after``: seconds after which it wants to be asked again, where it said so.
    """

    retry_after: float | None = None


class StateError(EtlError):
    """Our own database cannot be opened, read or written."""

    exit_code = ExitCode.STATE


class LockedError(StateError):
    """Another run holds this state and account."""


class GuardError(EtlError):
    """A guard stopped the run before anything was sent."""

    exit_code = ExitCode.GUARD


GUARD_CODES: Final = frozenset(
    [
        "account-unexpected",
        "deletion-not-agreed",
        "encoding-doubtful",
        "header-doubtful",
        "merge-not-agreed",
        "opt-outs-unmapped",
    ]
)
"""The codes of guards, for those who know an error by its code alone: state, and who reads it later."""


class StoppedError(EtlError):
    """The run stopped part-way; what was settled stays settled, ``resume`` finishes the rest."""

    exit_code = ExitCode.STOPPED


class InterruptedRunError(EtlError):
    """A signal arrived; the transaction in hand was finished, ``resume`` goes on."""

    exit_code = ExitCode.SIGINT


class InternalError(EtlError):
    """A promise of ours is broken. Please report it."""

    exit_code = ExitCode.BUG
