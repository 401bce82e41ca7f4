"""What is imported at its first use, so that a command pays only for what it does.

A command line that shows its version needs no table of millions of rows. Two things are put off: the names that a
package exports (:func:`exports`), and the libraries of arrays (``np``, ``npt``, ``pa``, ``pc``, ``pd``), which take
longer to import than most commands take to run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc

__all__ = ["Library", "exports", "np", "npt", "pa", "pc", "pd"]


def exports(package: str, homes: Mapping[str, Sequence[str]]) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a package that imports what it exports when it is first asked for (PEP 562).

    ``homes``: for each module below the package, or whole name of one elsewhere, the names that come from there;
    ``a as b`` exports a name as another.
    """
    found = {}
    for module, names in homes.items():
        for name in names:
            there, _, here = name.partition(" as ")
            found[here or there] = (module if module.startswith("etl.") else f"{package}.{module}", there)

    def __getattr__(name: str) -> Any:  # noqa: N807 - it becomes the package's
        if name not in found:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, there = found[name]
        value = getattr(import_module(module), there)
        # From now on it is an attribute like any other.
        setattr(import_module(package), name, value)
        return value

    return __getattr__


class Library:
    """A library that is imported when the first of its names is used; from then on it is as fast as the library."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        value = getattr(import_module(self._name), name)
        setattr(self, name, value)
        return value


if not TYPE_CHECKING:
    np = Library("numpy")
    npt = Library("numpy.typing")
    pa = Library("pyarrow")
    pc = Library("pyarrow.compute")
    pd = Library("pandas")
