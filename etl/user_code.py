"""Code of the user's own: schemas and functions that the mapping names by ``module:name``.

A mapping may come from somebody else, so what it names is not simply imported. Of a mapping that was read from a file,
only Python files that stand beside it are code, each read once: the bytes that somebody trusted are the bytes that run,
here and in every process that judges rows. A program that makes its mapping itself may import whatever it likes.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.abc
import importlib.util
import os
import pkgutil
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType
from typing import Final, Protocol

import schemas

_MAX_BYTES: Final = 10**6
_PRIVATE: Final = "_klaviyo_etl_code"
_OURS: Final = frozenset(f"schemas.{found.name}" for found in pkgutil.iter_modules(schemas.__path__))


class CodeError(Exception):
    """Code that the mapping names and may not use. Its text says why."""


class NoSuchFileError(CodeError):
    """There is no such file beside the mapping."""


class Code(Protocol):
    """Where modules come from."""

    def module(self, name: str) -> ModuleType:
        """Import a module. Raises whatever importing it does, and :class:`CodeError`."""


@dataclass(frozen=True, slots=True)
class ImportedCode:
    """Of a program that made its mapping itself: anything that can be imported, from the current folder too."""

    def module(self, name: str) -> ModuleType:
        """Import a module."""
        here = str(Path.cwd())
        added = here not in sys.path
        if added:
            sys.path.insert(0, here)
        try:
            return importlib.import_module(name)
        finally:
            if added and here in sys.path:
                sys.path.remove(here)


@dataclass(frozen=True, slots=True)
class UntrustedCode:
    """Of a mapping that was read from a file: nothing but the schemas that come with us, until it is trusted.

    ``text``: the bytes of the mapping as they were read.
    """

    mapping: Path
    text: bytes

    def module(self, name: str) -> ModuleType:
        """Import one of our own schemas."""
        if name in _OURS:
            return importlib.import_module(name)
        raise CodeError(f"{self.mapping} names Python code that nobody has trusted")


@dataclass(frozen=True, slots=True)
class TrustedCode:
    """Python files beside a mapping, as they were when somebody trusted them: name of the module → path, bytes."""

    files: tuple[tuple[str, str, bytes], ...]

    def module(self, name: str) -> ModuleType:
        """Run a file and return its module; again only if it has not run yet in this process."""
        if name in _OURS:
            return importlib.import_module(name)
        finder = _Finder(self)
        spec = finder.find_spec(f"{_PRIVATE}.{self._key()}.{name}")
        if spec is None:
            raise CodeError(f"there is no {name}.py beside the mapping")
        if (known := sys.modules.get(spec.name)) is not None:
            return known
        self._leave_no_other()
        # What the files import of one another is looked for after everything that is installed; it stays in reach,
        # because a function may import when it is called.
        sys.meta_path.append(finder)
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        try:
            assert spec.loader is not None  # noqa: S101 - it is ours
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[spec.name]
            raise
        return module

    @staticmethod
    def _leave_no_other() -> None:
        """Forget the finders and the modules of other mappings: one name may mean another file now."""
        sys.meta_path[:] = [each for each in sys.meta_path if not isinstance(each, _Finder)]
        for name, module in list(sys.modules.items()):
            if isinstance(getattr(module, "__loader__", None), _Loader) and not name.startswith(_PRIVATE):
                del sys.modules[name]

    def _key(self) -> str:
        return hashlib.blake2b(repr(self.files).encode(), digest_size=8).hexdigest()


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the modules of a :class:`TrustedCode`, by their names and by our private ones."""

    def __init__(self, code: TrustedCode) -> None:
        self._files = {name: (path, text) for name, path, text in code.files}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how to load a module, ``None`` for one that is not among the files."""
        if path is not None or target is not None:
            return None
        found = self._files.get(fullname.rpartition(".")[2] if fullname.startswith(_PRIVATE) else fullname)
        return importlib.util.spec_from_loader(fullname, _Loader(*found), origin=found[0]) if found else None


class _Loader(importlib.abc.InspectLoader):
    """Runs the bytes that were trusted; nothing is read again, and no compiled file that lies about."""

    def __init__(self, path: str, text: bytes) -> None:
        self._path = path
        self._text = text

    def get_source(self, fullname: str) -> str:  # noqa: ARG002 - the protocol's
        """Return the text of the file."""
        return importlib.util.decode_source(self._text)

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002 - the protocol's
        """Return the compiled text."""
        compiled: CodeType = compile(self._text, self._path, "exec", dont_inherit=True)
        return compiled

    def is_package(self, fullname: str) -> bool:  # noqa: ARG002 - the protocol's
        """Return ``False``: files only."""
        return False


def foreign(references: Iterable[str]) -> tuple[str, ...]:
    """Return the modules of references (``module:name``) that are no schemas of ours."""
    names = dict.fromkeys(reference.partition(":")[0] for reference in references)
    return tuple(name for name in names if name not in _OURS)


def beside(mapping: Path, names: Iterable[str]) -> TrustedCode:
    """Read the files of modules beside a mapping, and those beside it that they import. Raise :class:`CodeError`."""
    folder = mapping.parent.resolve()
    files: dict[str, tuple[str, bytes]] = {}
    for name in names:
        files.setdefault(name, _read(folder, name))
    waiting = list(files)
    there = {entry.removesuffix(".py") for entry in os.listdir(folder) if entry.endswith(".py")}  # noqa: PTH208 - names
    while waiting:
        for name in _imports(*files[waiting.pop()]):
            if name in there and name not in files:
                files[name] = _read(folder, name)
                waiting.append(name)
    return TrustedCode(tuple((name, path, text) for name, (path, text) in sorted(files.items())))


def _read(folder: Path, name: str) -> tuple[str, bytes]:
    if not name.isidentifier():
        raise CodeError(f"{name} is not the plain name of a Python file beside the mapping")
    path = folder / f"{name}.py"
    try:
        # Asked of the folder, because some file systems find a name in other letters too.
        if path.name not in os.listdir(folder):  # noqa: PTH208 - names
            raise NoSuchFileError(f"there is no {path.name} beside the mapping")
        if path.resolve() != path:
            raise CodeError(f"{path.name} beside the mapping is a link to another place")
        if not stat.S_ISREG(path.lstat().st_mode):
            raise CodeError(f"{path.name} beside the mapping is not a file")
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise CodeError(f"{path.name} cannot be read ({error.strerror})") from None
    if len(text) > _MAX_BYTES:
        raise CodeError(f"{path.name} is larger than any module")
    return str(path), text


def _imports(path: str, text: bytes) -> Iterator[str]:
    """Yield the top-level modules that a file imports."""
    try:
        tree = ast.parse(text, path)
    except (SyntaxError, ValueError):
        return  # it says so itself when it is run
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]
