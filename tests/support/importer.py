"""A folder with a source, a sandbox account and a context: what most tests of the pipeline stand on."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from etl import pipeline
from etl.report import Report
from etl.sandbox import Sandbox, SandboxSettings, parse_faults
from tests.support.in_process import CrashPoints, NetworkFaults, context
from tests.support.state_backends import FakeClock


class ImporterFixture:
    def __init__(self, folder: Path, *, state: str | None = None, **settings: Any) -> None:
        self.folder = folder
        self.clock = FakeClock()
        self.sandbox = Sandbox(
            SandboxSettings(**{"lists": ("News", "VIP"), "job_seconds": 1.0, **settings}), self.clock
        )
        self.state = state
        self.context = self.process()
        self.source = folder / "people.csv"
        self.mapping: dict[str, Any] = {
            "columns": {"Id": "external_id", "Email": "email", "Name": "first_name"},
            "load": {"list": "News", "small_run": 0},
        }

    def process(
        self, points: CrashPoints | None = None, network_faults: NetworkFaults | None = None, **others: Any
    ) -> pipeline.Context:
        """Return the context of another process on the same folder."""
        return context(
            self.folder,
            self.sandbox,
            self.clock,
            state=self.state,
            points=points,
            network_faults=network_faults,
            **others,
        )

    def write(self, rows: int | Sequence[Sequence[str]], header: Sequence[str] = ("Id", "Email", "Name")) -> None:
        if isinstance(rows, int):
            rows = [(f"c{number}", f"person{number}@mapleshop.com", "Ann") for number in range(rows)]
        with self.source.open("w", encoding="utf-8", newline="") as out:
            csv.writer(out).writerows([header, *rows])

    def run(self, **options: Any) -> Report:
        return pipeline.run(self.source, self.mapping, context=self.context, **{"verify": "none", **options})

    def faults(self, *rules: dict[str, Any], seed: int = 0) -> None:
        self.sandbox.set_faults(parse_faults({"seed": seed, "rules": list(rules)}))

    def guards(self, **guards: Any) -> None:
        self.mapping = {**self.mapping, "guards": guards}

    @property
    def writes(self) -> int:
        """Requests that would have changed the account."""
        return sum(count for name, count in self.sandbox.requests.items() if not name.startswith("GET"))

    @property
    def profiles(self) -> int:
        return len([line for line in self.sandbox.dump().splitlines() if line])
