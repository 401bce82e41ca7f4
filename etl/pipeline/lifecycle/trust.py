"""Whether the Python code that a mapping names may run: asked before any of it is imported."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from etl.config.mapping.document import MappingDocument
from etl.config.settings.trust import forget, is_trusted, trust
from etl.errors import ConfigError
from etl.pipeline.context import Context
from etl.user_code import CodeError, TrustedCode, UntrustedCode, beside, foreign

_Rules = TypeVar("_Rules", bound=MappingDocument)


def trusted(context: Context, rules: _Rules) -> _Rules:
    """Return the mapping with the code that it may run. Raise :class:`ConfigError` where nobody trusts that.

    A mapping that a program made itself stays as it is.
    """
    found = code_of(rules)
    if found is None:
        return rules
    read, code = found
    if not (context.trust or is_trusted(read, code)):
        if context.ask_trust is None or not context.ask_trust(question(read, code)):
            raise ConfigError(
                "code-not-trusted",
                f"{read.mapping} names Python code that you have not trusted as it is now: {_files(code)}",
                f"Read it, then: klaviyo-etl trust {_quoted(read.mapping)}   (or run with --trust for this once)",
            )
        trust(read, code)
    return rules.with_code(code)


def code_of(rules: MappingDocument) -> tuple[UntrustedCode, TrustedCode] | None:
    """Return the code that a mapping read from a file names, ``None`` for none.

    Raise :class:`ConfigError` for code that is not beside the mapping.
    """
    read = rules.code
    if not isinstance(read, UntrustedCode) or not (names := foreign(rules.code_references)):
        return None
    try:
        return read, beside(read.mapping, names)
    except CodeError as error:
        raise ConfigError(
            "code-not-beside",
            f"{read.mapping} names Python code: {error}",
            "Functions and schemas of your own stand in plain Python files beside the mapping: module:name.",
        ) from None


def trust_mapping(rules: MappingDocument) -> tuple[str, ...]:
    """Trust the code that a mapping names, as it is now; return its files. Raise :class:`ConfigError`."""
    found = code_of(rules)
    if found is None:
        return ()
    trust(*found)
    return tuple(path for _, path, _ in found[1].files)


def distrust(mapping: Path) -> bool:
    """Trust a mapping no longer; whether it was trusted."""
    return forget(mapping)


def question(read: UntrustedCode, code: TrustedCode) -> str:
    """Return what a person is asked."""
    listed = "\n".join(f"  {path}" for _, path, _ in code.files)
    return (
        f"{read.mapping} runs Python code, with all that you may do on this machine:\n{listed}\n"
        "Have you read it, and do you trust it as it is now?"
    )


def _files(code: TrustedCode) -> str:
    return ", ".join(Path(path).name for _, path, _ in code.files)


def _quoted(path: Path) -> str:
    text = str(path)
    return f"'{text}'" if " " in text else text
