"""The border where a driver's errors become :class:`SourceError`.

Decided by codes and classes, not by texts, which servers translate. A driver's text is passed on only where it can
speak of names in the query and nothing else: a refused *value* is somebody's data and stays out of every message.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Final, Literal

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from etl.errors import SourceError
from etl.extract.url_variables import hidden

Phase = Literal["connect", "query", "read"]

_RETRYABLE: Final = "Nothing was sent; run it again."

# code → (message, hint); {at} is the database without user and password
_SAID: Final[dict[str, tuple[str, str]]] = {
    "source-login": ("{at} refused the login", "Check user, password and database in [source] url."),
    "source-unreachable": ("{at} cannot be reached", "Check host and port in [source] url, the server, the network."),
    "source-lost": ("The connection to {at} broke while rows were read", f"{_RETRYABLE} Nothing of it is kept."),
    "source-busy": ("{at} is in use by another process that locks it", "Wait for it to end, then run it again."),
    "source-timeout": (
        "{at} took longer than it may",
        "Raise timeout in [source], or help the query with an index over its ORDER BY.",
    ),
    "source-unreadable": ("{at} cannot be opened", "Check the path in [source] url, and its permissions."),
    "source-not-database": ("{at} is not such a database, or it is damaged", "Check the path in [source] url."),
    "query-not-select": ("The query would change something on {at}", "Give one SELECT; the connection is read-only."),
    "query-failed": ("{at} refused the query", "Try the query in the database's own client."),
    "source-data": (
        "{at} stopped at a value that it cannot convert or compute",
        "Cast the column to text in the query, or leave the row out; the value itself is not shown here.",
    ),
}

_POSTGRESQL: Final = (
    ("28", "source-login"),
    ("3D000", "source-login"),
    ("57014", "source-timeout"),
    ("55P03", "source-busy"),
    ("25006", "query-not-select"),
    ("57P", "source-lost"),
    ("08", "source-lost"),
    ("53", "source-unreachable"),
    ("42", "query-failed"),
    ("0A000", "query-failed"),
    ("26", "query-failed"),
)
_MYSQL: Final = {
    "source-login": (1044, 1045, 1049, 1130, 1698, 2059, 2061),
    "source-unreachable": (1040, 1129, 2001, 2002, 2003, 2005),
    "source-lost": (0, 1053, 1159, 1160, 1161, 1184, 1927, 2006, 2013, 2014, 2055),
    "source-timeout": (1205, 1317, 1969, 3024),
    "query-not-select": (1290, 1792, 1836),
    "query-failed": (1051, 1052, 1054, 1055, 1056, 1064, 1066, 1109, 1140, 1142, 1143, 1146, 1222, 1227, 1305, 1370),
}
_SQLITE: Final = (
    ("SQLITE_CANTOPEN", "source-unreadable"),
    ("SQLITE_AUTH", "source-unreadable"),
    ("SQLITE_PERM", "source-unreadable"),
    ("SQLITE_IOERR", "source-lost"),
    ("SQLITE_NOTADB", "source-not-database"),
    ("SQLITE_CORRUPT", "source-not-database"),
    ("SQLITE_BUSY", "source-busy"),
    ("SQLITE_LOCKED", "source-busy"),
    ("SQLITE_INTERRUPT", "source-timeout"),
    ("SQLITE_READONLY", "query-not-select"),
    ("SQLITE_ERROR", "query-failed"),
    ("SQLITE_RANGE", "query-failed"),
)
_DUCKDB: Final = {
    "CatalogException": "query-failed",
    "BinderException": "query-failed",
    "ParserException": "query-failed",
    "SyntaxException": "query-failed",
    "PermissionException": "query-failed",
    "IOException": "source-unreadable",
    "ConnectionException": "source-lost",
    "FatalException": "source-not-database",
    "InterruptException": "source-timeout",
}
# Of these the driver's own words help, and hold nothing of the rows.
_WORDS_HELP: Final = frozenset({"query-failed", "source-login", "source-unreachable"})


@contextlib.contextmanager
def translated(at: str, dialect: str, phase: Phase, secrets: Sequence[str] = ()) -> Iterator[None]:
    """Turn what a driver raises inside into :class:`SourceError`. ``secrets``: must not be in any message."""
    try:
        yield
    except DBAPIError as error:
        raise _translate(error, at, dialect, phase, secrets) from None
    except UnicodeDecodeError:
        raise SourceError(
            "source-undecodable",
            f"{at} sent text that is not in the character set it names",
            "Set the client's character set in [source] url, or convert the column in the query.",
        ) from None
    except (SQLAlchemyError, OSError, sqlite3.Error) as error:
        # What a driver raises past its own classes, on a socket that is gone for example.
        code = {"connect": "source-unreachable", "query": "query-failed", "read": "source-lost"}[phase]
        raise _said(code, at, type(error).__name__) from None


def _translate(error: DBAPIError, at: str, dialect: str, phase: Phase, secrets: Sequence[str]) -> SourceError:
    original = error.orig
    code = _code(original, dialect, phase)
    if code is None and error.connection_invalidated:
        code = "source-lost"
    if code is None:
        number = getattr(original, "sqlstate", None) or next(iter(getattr(original, "args", ())), "")
        named = f"{type(original).__name__} {number if isinstance(number, int) else ''}".strip()
        return _said("source-data", at, getattr(original, "sqlstate", None) or named)
    words = _first_line(original) if code in _WORDS_HELP or dialect == "sqlite" else ""
    return _said(code, at, hidden(words, secrets))


def _code(original: BaseException | None, dialect: str, phase: Phase) -> str | None:
    name = type(original).__name__
    number = next(iter(getattr(original, "args", ())), None)
    match dialect:
        case "postgresql":
            return _postgresql(original, name, phase)
        case "mysql" | "mariadb":
            return next((code for code, numbers in _MYSQL.items() if number in numbers), None)
        case "sqlite":
            told = getattr(original, "sqlite_errorname", None) or ""
            return next((code for prefix, code in _SQLITE if told.startswith(prefix)), None)
        case "duckdb":
            return _DUCKDB.get(name)
    if phase == "connect":
        return "source-unreachable"
    return "query-failed" if phase == "query" and name == "ProgrammingError" else None


def _postgresql(original: BaseException | None, name: str, phase: Phase) -> str | None:
    state = getattr(original, "sqlstate", None) or getattr(original, "pgcode", None)
    if state:
        return next((code for prefix, code in _POSTGRESQL if state.startswith(prefix)), None)
    if phase == "connect":
        # A refusal before the session began carries no code; only a server that answered says FATAL.
        return "source-login" if "FATAL" in str(original) else "source-unreachable"
    return "source-lost" if name in {"OperationalError", "InterfaceError"} else None


def _first_line(original: BaseException | None) -> str:
    args = getattr(original, "args", ())
    text = next((arg for arg in reversed(args) if isinstance(arg, str)), "")
    return text.strip().splitlines()[0].strip() if text.strip() else ""


def _said(code: str, at: str, words: str) -> SourceError:
    message, hint = _SAID[code]
    return SourceError(code, message.format(at=at) + (f": {words}" if words else ""), hint)
