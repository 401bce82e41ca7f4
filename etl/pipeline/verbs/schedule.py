"""The verb that writes recipes: schedule."""

from __future__ import annotations

import getpass
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Literal

from etl.config import (
    Account,
    EventMapping,
    Mapping,
    load_event_mapping,
    load_mapping,
    load_notify_rule,
    load_user_settings,
)
from etl.config.mapping.model import parse_toml, read_mapping
from etl.config.mapping.notify import VARIABLE
from etl.errors import ConfigError, UsageError
from etl.monitor.schedule import airflow, cron, dagster, github, systemd
from etl.monitor.schedule.model import File, Job, slug
from etl.state import shown

Scheduler = Literal["cron", "systemd", "airflow", "dagster", "github"]

_RECIPES: Final[dict[Scheduler, Callable[[Job], list[File]]]] = {
    "cron": cron.files,
    "systemd": systemd.files,
    "airflow": airflow.files,
    "dagster": dagster.files,
    "github": github.files,
}
_ELSEWHERE: Final = ("github",)


def schedule(
    scheduler: Scheduler,
    mapping: Path,
    files: Sequence[str] = (),
    *,
    at: tuple[int, int] = (2, 0),
    max_age: str | None = None,
    state: str | None = None,
    account: Account | None = None,
) -> list[File]:
    """Return the files with which a scheduler imports every night what a mapping reads.

    ``files``: what is imported, where the mapping does not say. ``at``: hour and minute. ``max_age``: when it counts as
    overdue; by default what the mapping says, else 26h. ``state``, ``account``: as the options. Raise ConfigError,
    UsageError.
    """
    rules = _read(mapping)
    if not files and not rules.source.paths_from(None) and rules.source.url is None:
        raise UsageError("source-missing", "Nothing says what is imported", "Name the FILE, as you would for run.")
    if state is not None and shown(state) != state:
        raise UsageError(
            "state-secret",
            "The address of the state holds a password, which does not belong into a recipe",
            "Write KLAVIYO_ETL_STATE into .env, or into the secrets of your scheduler.",
        )
    rule = load_notify_rule(mapping)
    user = load_user_settings().notify
    told = [name for text in _texts(rule) for name in VARIABLE.findall(text)]
    named: tuple[str, ...] = ()
    keys: tuple[str, ...] = ("KLAVIYO_PRIVATE_KEY",)
    key_place = ".env in the folder"
    if account is not None:
        named, keys, key_place = ("--account", account.name), tuple(filter(None, (account.key.env,))), account.key_place
        if scheduler in _ELSEWHERE and not keys:
            raise UsageError(
                "key-elsewhere",
                f"The key of {account.name} comes from {key_place}, which a machine of {scheduler} does not have",
                "Let klaviyo-etl.toml of the project say key = { env = ... }, and make that a secret there.",
            )
    job = Job(
        title=f"{', '.join(files) or mapping.name}{f' into {account.name}' if account is not None else ''}",
        name=slug(f"{account.name}-{mapping.stem}" if account is not None else mapping.stem),
        folder=str(Path.cwd()),
        program=("klaviyo-etl",) if scheduler in _ELSEWHERE else _program(),
        arguments=("events" if isinstance(rules, EventMapping) else "run", *files, "--mapping", str(mapping)),
        state=(*named, *(("--state", state) if state else ())),
        hour=at[0],
        minute=at[1],
        max_age=max_age or rule.get("max_age") or "26h",
        told=bool(rule) or user is not None,
        variables=tuple(dict.fromkeys([*rules.source.variables, *told])),
        keys=keys,
        key_place=key_place,
        user=getpass.getuser() if os.name == "posix" and os.getuid() else "",
    )
    return _RECIPES[scheduler](job)


def _read(mapping: Path) -> Mapping | EventMapping:
    document = parse_toml(read_mapping(mapping), mapping)
    try:
        return load_event_mapping(mapping) if "event" in document else load_mapping(mapping)
    except ConfigError:
        columns = document.get("columns")
        if "event" in document or not isinstance(columns, dict):
            raise
        targets = [rule.get("to") if isinstance(rule, dict) else rule for rule in columns.values()]
        if "time" not in targets:
            raise
    return load_event_mapping(mapping)


def _program() -> tuple[str, ...]:
    """Return how this program is called from anywhere: a scheduler knows no PATH of a person's."""
    here = Path(sys.executable).with_name("klaviyo-etl")
    found = str(here) if here.exists() else shutil.which("klaviyo-etl")
    return (str(Path(found).absolute()),) if found else (sys.executable, "-m", "etl")


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for one in inner for text in _texts(one)]
