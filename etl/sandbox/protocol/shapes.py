"""The shapes of request bodies: what type stands where (OpenAPI document). Pure.

Every endpoint asks for the shape of its body first. Whatever comes after may trust the types, so that no body, however
odd, meets code that expects another one. What the document does not name is let through here, and is the endpoints'.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from etl.sandbox.protocol.jsonapi import Problem, invalid

Shape = Callable[[Any, str], Iterator[Problem]]
"""(value, its pointer) → what is wrong."""


def anything(_value: Any, _at: str) -> Iterator[Problem]:
    """Let every value be."""
    yield from ()


def _plain(types: type | tuple[type, ...], named: str) -> Shape:
    def check(value: Any, at: str) -> Iterator[Problem]:
        if not isinstance(value, types) or (isinstance(value, bool) and types is not bool):
            yield invalid(f"Not a valid {named}.", at)

    return check


_string: Final = _plain(str, "string")


def text(value: Any, at: str) -> Iterator[Problem]:
    """Check a text. It holds no NUL, which no database of Klaviyo's kind could keep."""
    yield from _string(value, at)
    if isinstance(value, str) and "\x00" in value:
        yield invalid("Null characters are not allowed.", at)


flag: Final = _plain(bool, "boolean")
number: Final = _plain((int, float), "number")
mapping: Final = _plain(dict, "object")


def word(*words: str) -> Shape:
    """Return the shape of one of some words."""

    def check(value: Any, at: str) -> Iterator[Problem]:
        if value not in words:
            yield invalid(f"Must be {' or '.join(repr(one) for one in words)}.", at)

    return check


def maybe(shape: Shape) -> Shape:
    """Return a shape that may be null as well."""

    def check(value: Any, at: str) -> Iterator[Problem]:
        if value is not None:
            yield from shape(value, at)

    return check


def either(first: Shape, second: Shape) -> Shape:
    """Return the shape of what fits one of two."""

    def check(value: Any, at: str) -> Iterator[Problem]:
        if any(first(value, at)):
            yield from second(value, at)

    return check


def many(shape: Shape) -> Shape:
    """Return the shape of an array."""

    def check(value: Any, at: str) -> Iterator[Problem]:
        if not isinstance(value, list):
            yield invalid("Not a valid array.", at)
            return
        for index, item in enumerate(value):
            yield from shape(item, f"{at}/{index}")

    return check


def record(required: Mapping[str, Shape] | None = None, optional: Mapping[str, Shape] | None = None) -> Shape:
    """Return the shape of an object."""
    needed, others = required or {}, optional or {}

    def check(value: Any, at: str) -> Iterator[Problem]:
        if not isinstance(value, dict):
            yield invalid("Not a valid object.", at)
            return
        for name, shape in needed.items():
            if name in value:
                yield from shape(value[name], f"{at}/{name}")
            else:
                yield invalid("This field is required.", f"{at}/{name}")
        for name, shape in others.items():
            if name in value:
                yield from shape(value[name], f"{at}/{name}")

    return check


def data(shape: Shape) -> Shape:
    """Return the shape of a relationship or a group: an object whose ``data`` has the shape."""
    return record({"data": shape})


def reference(kind: str) -> Shape:
    """Return the shape of ``{"type", "id"}``."""
    return record({"type": word(kind), "id": text})
