"""The text of a query, read just far enough to say whether it is one SELECT in a stable order, and what it asks for.

The database is the judge of everything else. A read-only transaction stands behind these checks wherever the database
has one; where it has none, they are what keeps a query from changing something.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from etl.errors import SourceError

_BEGINNINGS: Final = frozenset({"SELECT", "WITH", "VALUES", "TABLE", "FROM"})
_CHANGES: Final = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE", "TRUNCATE", "DROP"})
_COMBINED: Final = frozenset({"UNION", "INTERSECT", "EXCEPT", "MINUS"})
_NO_ORDER: Final = frozenset({"NULL", "RAND", "RANDOM", "NEWID", "UUID"})

_MYSQL: Final = frozenset({"mysql", "mariadb"})

_ESCAPED_STRING: Final = r"'(?:[^'\\]|\\.|'')*'"
_COMMON: Final = (
    ("block", r"/\*"),
    ("quoted", r'"(?:[^"]|"")*"|`[^`]*`'),
    ("cast", r"::"),
    ("parameter", r"(?<![\w'\"\])}:]):[A-Za-z_]\w*"),
    ("word", r"[^\W\d][\w$]*"),
    ("open", r"[(\[{]"),
    ("close", r"[)\]}]"),
    ("end", r";"),
    ("space", r"\s+"),
    ("other", r"."),
)


@dataclass(frozen=True, slots=True)
class Query:
    """A query that may run. ``text``: as :func:`sqlalchemy.text` wants it; ``parameters``: their names, in order."""

    text: str
    parameters: tuple[str, ...]


def read_query(text: str, dialect: str) -> Query:
    """Check a query. Raise :class:`SourceError` saying how to put it right.

    Colons that begin no parameter are escaped: ``sqlalchemy.text`` knows no strings and no comments, and would take
    ``'{"a":1}'`` for a parameter called ``1``.
    """
    out: list[str] = []
    code: list[tuple[str, str]] = []
    for kind, token in _tokens(text, dialect):
        if kind not in {"comment", "space"}:
            code.append((kind, token))
        if kind != "end":
            out.append(token if kind == "parameter" else token.replace(":", r"\:"))
    if any(kind == "end" for kind, _ in code[:-1]):
        raise SourceError("query-several", "The query holds more than one statement", "Leave one SELECT.")
    _require_select(code)
    if not _ordered(_top_words(code)):
        raise SourceError(
            "query-unordered",
            "The query has no ORDER BY that orders its result, so its rows would have no stable number",
            "End it with ORDER BY over columns that are unique together, such as ORDER BY updated_at, id. "
            "One inside a subquery, or by NULL or at random, does not count.",
        )
    named = [token[1:] for kind, token in code if kind == "parameter"]
    return Query("".join(out).strip(), tuple(dict.fromkeys(named)))


def _require_select(code: list[tuple[str, str]]) -> None:
    first = next((token.upper() for kind, token in code if kind == "word"), "")
    if first not in _BEGINNINGS:
        raise _refused(f"it begins with {first}" if first else "it is empty")
    for (_, before), (kind, token) in itertools.pairwise(code):
        if before == "(" and kind == "word" and token.upper() in _CHANGES:
            raise _refused(f"it holds {token.upper()}")
    if "INTO" in _top_words(code):
        raise _refused("it holds INTO")


def _top_words(code: list[tuple[str, str]]) -> list[str]:
    """Return what stands outside all brackets: words in capitals, and an empty text for anything else."""
    found = []
    depth = 0
    for kind, token in code:
        depth += (kind == "open") - (kind == "close")
        if depth == 0:
            found.append(token.upper() if kind == "word" else "")
    return found


def _ordered(words: list[str]) -> bool:
    ordered = False
    for place, word in enumerate(words):
        if word in _COMBINED:
            ordered = False
        elif word == "ORDER" and words[place + 1 : place + 2] == ["BY"]:
            ordered = not _NO_ORDER.intersection(words[place + 2 : place + 3])
    return ordered


def _refused(why: str) -> SourceError:
    return SourceError("query-not-select", f"The query is not one that only reads: {why}", "Give one SELECT.")


def _tokens(text: str, dialect: str) -> Iterator[tuple[str, str]]:
    pattern = _PATTERNS["mysql" if dialect in _MYSQL else "standard"]
    nests = dialect in {"postgresql", "duckdb", "mssql"}
    place = 0
    while place < len(text):
        found = pattern.match(text, place)
        assert found is not None  # noqa: S101 - the last alternative takes anything
        kind = str(found.lastgroup)
        stop = found.end()
        if kind == "block":
            if dialect in _MYSQL and re.match(r"/\*M?!", text[place : place + 4]):
                raise _refused("it holds a comment that MySQL would run")
            stop = _block_end(text, place, nests=nests)
            kind = "comment"
        yield kind, text[place:stop]
        place = stop


def _block_end(text: str, start: int, *, nests: bool) -> int:
    depth = 0
    for found in re.compile(r"/\*|\*/").finditer(text, start):
        if found.group() == "*/":
            depth -= 1
        elif nests or depth == 0:
            depth += 1
        if depth == 0:
            return found.end()
    return len(text)


def _pattern(*own: tuple[str, str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?P<{kind}>{part})" for kind, part in (*own, *_COMMON)), re.DOTALL)


_PATTERNS: Final = {
    # MySQL takes -- for a comment only before white space, and a backslash for an escape in every string.
    "mysql": _pattern(
        ("comment", r"--(?=\s|$)[^\n]*|\#[^\n]*"),
        ("string", _ESCAPED_STRING + r'|"(?:[^"\\]|\\.|"")*"'),
    ),
    "standard": _pattern(
        ("comment", r"--[^\n]*"),
        ("string", rf"[eE]{_ESCAPED_STRING}|'(?:[^']|'')*'|\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$"),
    ),
}
