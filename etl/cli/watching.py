"""Commands that nobody may be watching: how one ended is kept, and told where that is a change."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from etl import config, extract, pipeline
from etl.cli.session import Common, load_settings
from etl.console import Console
from etl.errors import EtlError

_F = TypeVar("_F", bound=Callable[..., Any])


def watched(name: str, kind: str = "profiles") -> Callable[[_F], _F]:
    """Have the end of a command told. A rehearsal, and a look (``--check``, ``--plan``), concern nobody else."""

    def decorate(function: _F) -> _F:
        @functools.wraps(function)
        def command(*args: Any, common: Common, **kwargs: Any) -> Any:
            if common.sandbox or kwargs.get("check") or kwargs.get("plan"):
                return function(*args, common=common, **kwargs)
            files = kwargs.get("files") or tuple(filter(None, [kwargs.get("file")]))
            with _watching(name, kind, files, kwargs.get("mapping"), common):
                return function(*args, common=common, **kwargs)

        return command  # type: ignore[return-value]  # the same but for what surrounds it

    return decorate


@contextlib.contextmanager
def _watching(name: str, kind: str, files: Sequence[str], mapping: Path | None, common: Common) -> Iterator[None]:
    console = Console(quiet=common.quiet, bars=common.progress, log_format=common.log_format)
    rule = _rule(files, mapping)
    label = extract.source_name(files) if files else str(mapping or "")
    try:
        yield
    except EtlError as error:
        # Whoever sits there reads the error; it need not be told to others, nor kept.
        if not (console.interactive and sys.stdin.isatty()):
            tell(pipeline.Command(name, label, kind, rule, error), common, console)
        raise
    except SystemExit:
        tell(pipeline.Command(name, label, kind, rule), common, console)
        raise


def tell(ended: pipeline.Command | None, common: Common, console: Console, max_age: float | None = None) -> None:
    """Tell changes; what goes wrong with that is said, and changes nothing of how the command ended."""
    try:
        context = pipeline.Context(load_settings(common))
        deliveries = pipeline.tell_changes(context=context, command=ended, max_age=max_age)
    except EtlError as error:
        if ended is None or (ended.error is None and error.code != "state-missing"):
            console.say(f"warning [{error.code}]: alerts cannot be looked after: {error.message}")
        return
    for one in deliveries:
        if one.problem:
            console.say(
                f"warning [alert-undelivered]: {one.channel}: {one.problem}. The alert is kept and goes out with the "
                "next command."
            )
        else:
            console.say(f"Told by {one.channel}: {one.subject}")


def _rule(files: Sequence[str], mapping: Path | None) -> Mapping[str, Any]:
    """Return what the mapping at hand says; one that cannot be read says nothing, and is an error of its own."""
    path = mapping or (Path(files[0]).with_suffix(".toml") if len(files) == 1 else None)
    try:
        return config.load_notify_rule(path) if path is not None and path.is_file() else {}
    except (EtlError, OSError):
        return {}
