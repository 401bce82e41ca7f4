"""What the tests of state are made of: a clock, runs, records, chunks."""

from __future__ import annotations

import os
from collections.abc import Callable

import pandas as pd

from etl.model import Chunk, Issue, RaggedRow, Record, Transformed, Validated
from etl.state import RunOptions, Store

POSTGRES = os.environ.get("ETL_TEST_POSTGRES", "postgresql+psycopg://root@127.0.0.1/test")

OpenStore = Callable[..., Store]


class FakeClock:
    """Time that only the test moves. ``wrong``: seconds that the clock on the wall is ahead of what has passed."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.time = now
        self.wrong = 0.0

    def now(self) -> float:
        return self.time + self.wrong

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


def begin(store: Store, *, mapping_hash: str = "m1", account: str | None = "AbC123", pilot: bool = False) -> str:
    return store.runs.create(
        source="people.csv",
        mapping_hash=mapping_hash,
        mapping={"columns": {"Email": "email"}},
        account=account,
        command="run",
        tool_version="0.1.0",
        options=RunOptions(list="Newsletter"),
        moves_known_state=not pilot,
    )


def record(line: int, *, email: str | None = None, phone: str | None = None, **more: object) -> Record:
    """Return a record whose identity follows from its e-mail (or its line) and whose body says ``plan``."""
    email = email if email is not None else f"person{line}@example.org"
    parts = [f'"email":"{email}"'] if email else []
    if phone:
        parts.append(f'"phone_number":"{phone}"')
    parts.append(f'"properties":{{"plan":"{more.pop("plan", "free")}"}}')
    body = ('{"attributes":{' + ",".join(parts) + "}}").encode()
    values: dict[str, object] = {
        "fingerprint": body[-32:].rjust(32)[:16],
        "identity": (email or f"line {line}").casefold().encode().ljust(16)[:16],
        "email": email or None,
        "phone_number": phone,
    }
    return Record(line=line, body=body, **{**values, **more})  # type: ignore[arg-type]


def chunk(lines: list[int], *, ragged: tuple[RaggedRow, ...] = (), issues: tuple[Issue, ...] = ()) -> Chunk:
    frame = pd.DataFrame(
        {"Email": [f"person{line}@example.org" for line in lines], "Plan": [f"00{line}" for line in lines]},
        index=pd.Index(lines, dtype="int64", name="line"),
        dtype="str",
    )
    return Chunk(frame=frame, ragged=ragged, issues=issues, position=100)


def stage(
    store: Store,
    run_id: str,
    records: list[Record],
    *,
    rejected: dict[int, Issue] | None = None,
    ragged: tuple[RaggedRow, ...] = (),
    issues: tuple[Issue, ...] = (),
) -> None:
    """Stage one chunk: these records, and rejected lines with their issue."""
    refused = rejected or {}
    cells = chunk(sorted([*(each.line for each in records), *refused]), ragged=ragged, issues=issues)
    store.staging.add_chunk(
        run_id,
        cells,
        Validated(cells.frame, frozenset(refused), tuple(refused.values())),
        Transformed(records, frozenset(), ()),
    )
