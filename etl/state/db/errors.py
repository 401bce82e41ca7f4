"""The border where a database's errors become :class:`StateError`; statements and values stay behind it.

Decided by the driver's own codes, never by its texts, which are translated on some servers.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from typing import Final

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from etl.errors import EtlError, LockedError, StateError

WRITE_ONCE: Final = "write-once: "
"""How the message of our own triggers begins."""
MOVED: Final = "moved-away: "
"""How the message of the triggers begins that close a state which has gone elsewhere."""

_BUG: Final = "Please report this bug."

# code → (message, hint)
_SAID: Final[dict[str, tuple[str, str]]] = {
    "state-disk-full": ("The disk with the state is full", "Make room, then resume the run."),
    "state-io": ("The disk with the state cannot be read or written", "Check the disk, then resume the run."),
    "state-readonly": ("The state cannot be written", "Check its permissions and its disk, then resume the run."),
    "state-busy": ("The state is in use by another process", "Wait for it to end, then try again."),
    "state-unreadable": ("The state cannot be opened", "Check the path and its permissions."),
    "state-not-ours": ("The state is not a state database, or it is damaged", "Check --state."),
    "state-unreachable": ("The state database cannot be reached", "Check --state, the server and the network."),
    "state-moved": ("The state has moved to another place", "Use it there; klaviyo-etl status says where."),
    "state-login": ("The state database refused the login", "Check user, password and database in --state."),
}

# https://www.sqlite.org/rescode.html: an extended code's name begins with its primary code's.
_SQLITE: Final[tuple[tuple[str, str], ...]] = (
    ("SQLITE_FULL", "state-disk-full"),
    # The index of the log is the first file that has to grow when a state is opened; nothing but room is wanted for it.
    ("SQLITE_IOERR_SHMSIZE", "state-disk-full"),
    ("SQLITE_IOERR", "state-io"),
    ("SQLITE_READONLY", "state-readonly"),
    ("SQLITE_PERM", "state-readonly"),
    ("SQLITE_BUSY", "state-busy"),
    ("SQLITE_LOCKED", "state-busy"),
    ("SQLITE_PROTOCOL", "state-busy"),
    ("SQLITE_CANTOPEN", "state-unreadable"),
    ("SQLITE_AUTH", "state-unreadable"),
    ("SQLITE_NOTADB", "state-not-ours"),
    ("SQLITE_CORRUPT", "state-not-ours"),
)

# https://www.postgresql.org/docs/current/errcodes-appendix.html: two characters are the class of a code.
_POSTGRESQL: Final[tuple[tuple[str, str], ...]] = (
    ("53100", "state-disk-full"),
    ("58", "state-io"),
    ("25006", "state-readonly"),
    ("42501", "state-readonly"),
    ("55P03", "state-busy"),
    ("40", "state-busy"),
    ("53", "state-busy"),
    ("XX001", "state-not-ours"),
    ("XX002", "state-not-ours"),
    ("08", "state-unreachable"),
    ("57P", "state-unreachable"),
    ("28", "state-login"),
    ("3D000", "state-login"),
)


def is_trouble(error: EtlError) -> bool:
    """Whether the database itself is in trouble: then any statement would have failed, and may succeed later."""
    return error.code in _SAID or isinstance(error, LockedError)


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turn what a database raises inside into :class:`StateError`.

    The original is dropped (``from None``): drivers quote rows and statements, which hold personal data.
    """
    try:
        yield
    except DBAPIError as error:
        raise translate(error) from None
    except UnicodeDecodeError:
        # SQLite's own words about a damaged file may quote bytes of it.
        raise _state_error("state-not-ours") from None
    except PoolTimeoutError:
        raise _state_error("state-busy") from None


def translate(error: DBAPIError) -> StateError:
    """Return our error for one of SQLAlchemy's."""
    original = error.orig
    text = str(original)
    if WRITE_ONCE in text:
        rule = text.split(WRITE_ONCE, 1)[1].splitlines()[0].strip()
        return StateError("state-write-once", f"State refused a change: {rule}", _BUG)
    if MOVED in text:
        return _state_error("state-moved")
    if isinstance(original, sqlite3.Error):
        name = getattr(original, "sqlite_errorname", "")
        known = _SQLITE
    else:
        # A connection that never came up, or broke, has no code of the server's.
        name = getattr(original, "sqlstate", None) or ("08" if error.connection_invalidated else _no_code(original))
        known = _POSTGRESQL
    for prefix, code in known:
        if name.startswith(prefix):
            return _state_error(code)
    return StateError("state-failed", f"State failed: {type(original).__name__} {name}".rstrip(), _BUG)


def _no_code(original: BaseException | None) -> str:
    return "08" if type(original).__name__ in {"OperationalError", "ConnectionTimeout", "InterfaceError"} else ""


def _state_error(code: str) -> StateError:
    message, hint = _SAID[code]
    return StateError(code, message, hint)
