"""The errors that stop a command, read from where they are raised: ``python -m docs.generate`` writes their table."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from etl import errors

_PACKAGE: Final = Path(errors.__file__).parent
_EXITS: Final = {
    name: int(kind.exit_code)
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.EtlError) and kind is not errors.InternalError
} | {"_Doubt": int(errors.ExitCode.GUARD)}
_BUG: Final = int(errors.ExitCode.BUG)
_CODE: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)+|interrupted")
_FIELD: Final = re.compile(r"\{\w+\}")


class ErrorCode(NamedTuple):
    """One error: its stable code, the exit code, and what is said, with … for what differs from time to time."""

    code: str
    exit: int
    message: str
    hint: str


def error_codes() -> list[ErrorCode]:
    """Return them by code; of a code that is raised in several places, the place that says the most."""
    trees = [
        ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(_PACKAGE.rglob("*.py"))
        if "sandbox" not in path.relative_to(_PACKAGE).parts
    ]
    constants = {name: text for tree in trees for name, text in _constants(tree)}
    found: dict[str, ErrorCode] = {}
    for tree in trees:
        for one in _found(tree, constants):
            if one.code not in found or _told(one) > _told(found[one.code]):
                found[one.code] = one
    return [found[code] for code in sorted(found) if code != "bug"]


def _constants(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield the names of a module that stand for a code."""
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            text = _text(node.value, {})
            if _CODE.fullmatch(text):
                yield node.target.id, text


def _found(tree: ast.Module, constants: Mapping[str, str]) -> Iterator[ErrorCode]:
    """Yield the errors of a module: where one is raised or described, and its table of what is said by code."""
    imported = [name.name for node in tree.body if isinstance(node, ast.ImportFrom) for name in node.names]
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name), args=[code, *texts]) if name in _EXITS:
                told = [_text(text, constants) for text in texts]
                message, hint = (*told[:1], *told[2 if name == "_Doubt" else 1 :][:1], "", "")[:2]
                yield from _one(_text(code, constants), _EXITS[name], message, hint)
            case ast.AnnAssign(target=ast.Name(id="_SAID"), value=ast.Dict(keys=keys, values=values)):
                exit_code = next((_EXITS[name] for name in imported if _EXITS.get(name, _BUG) < _BUG), None)
                for code, said in zip(keys, values, strict=True):
                    if isinstance(said, ast.Tuple) and code is not None and exit_code is not None:
                        yield from _one(_text(code, {}), exit_code, *(_text(text, {}) for text in said.elts[:2]))


def _one(code: str, exit_code: int, message: str, hint: str) -> Iterator[ErrorCode]:
    if _CODE.fullmatch(code):
        yield ErrorCode(code, exit_code, message, hint)


def _text(node: ast.expr, constants: Mapping[str, str]) -> str:
    """Return the text that an argument is, "" where only the program knows it."""
    match node:
        case ast.Constant(value=str(text)):
            return " ".join(_FIELD.sub("…", text).split())
        case ast.Name(id=name):
            return constants.get(name, "")
        case ast.JoinedStr(values=parts):
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in parts)
            return " ".join(text.split())
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _text(left, constants) + _text(right, constants)
    return ""


def _told(one: ErrorCode) -> tuple[bool, bool]:
    return bool(one.message.strip("… :")), bool(one.hint.strip("… :"))
