"""An account with three people, an import with a shifted column on top of it, and how that is undone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from etl import pipeline
from etl.report import Report
from tests.support.importer import ImporterFixture

COLUMNS: dict[str, Any] = {
    "Id": "external_id",
    "Email": "email",
    "Name": "first_name",
    "City": "location.city",
    "Tier": {"to": "properties.tier", "write": "clear_if_blank"},
    "Tags": {"to": "properties.tags", "type": "list", "separator": ",", "write": "append"},
}
HEADER = tuple(COLUMNS)
BEFORE = [
    ("1", "ann@mapleshop.com", "Ann", "Oslo", "gold", "a,b"),
    ("2", "bob@mapleshop.com", "Bob", "", "silver", ""),
    ("3", "cat@mapleshop.com", "", "Bergen", "", "c"),
]
SHIFTED = [
    ("1", "ann@mapleshop.com", "Oslo", "gold", "x", "b,new"),
    ("2", "bob@mapleshop.com", "Roma", "Rome", "", "new"),
    ("3", "cat@mapleshop.com", "Cat", "Bergen", "c", "new"),
    ("4", "new@mapleshop.com", "New", "", "", ""),
]


class UndoDesk(ImporterFixture):
    """An account with three people, and an import with a shifted column on top of it."""

    def __init__(self, folder: Path, *, time: float | None = None, **settings: Any) -> None:
        super().__init__(folder, limits="off", **settings)
        self.load: dict[str, Any] = {"small_run": 0, "keep_before": True}
        self.columns = COLUMNS
        if time is not None:
            # The folder holds an account already.
            self.clock.time = time
            return
        self.import_(BEFORE)
        self.before = self.sandbox.dump()

    def import_(self, rows: Sequence[Sequence[str]], **load: Any) -> Report:
        self.write(rows, HEADER)
        self.mapping = {"columns": self.columns, "load": {**self.load, **load}}
        self.clock.time += 1_000
        return self.run()

    def undo(self, run: Report | str, context: pipeline.Context | None = None, **options: Any) -> Report:
        self.clock.time += 10
        run_id = run if isinstance(run, str) else run.run
        return pipeline.undo(run_id, context=context or self.context, **{"verify": "full", **options})

    def edit(self, email: str, **attributes: Any) -> None:
        """Let somebody change a profile in Klaviyo."""
        self.clock.time += 1_000
        with self.context.open_client() as client:
            (found,) = client.profiles_by("email", [email])
            body = {"data": {"type": "profile", "id": found.id, "attributes": attributes}}
            assert client.patch_profile(found.id, orjson.dumps(body)).status == 200

    def person(self, email: str) -> dict[str, Any]:
        found = [orjson.loads(line) for line in self.sandbox.dump().splitlines() if line]
        return next(one for one in found if one["email"] == email)


def parts(report: Report) -> dict[str, int]:
    assert sum(count for _, count in report.parts) == report.tally.read
    return {name: count for name, count in report.parts if count}


def members(desk: UndoDesk) -> dict[str, list[str]]:
    people = [orjson.loads(line) for line in desk.sandbox.dump().splitlines() if line]
    return {one["email"].partition("@")[0]: one["lists"] for one in people if one["lists"]}


def consents(desk: UndoDesk) -> dict[str, str]:
    rows = [orjson.loads(line) for line in desk.sandbox.dump_consents().splitlines() if line]
    return {row["email"].partition("@")[0]: row["consent"] for row in rows if row["channel"] == "email.marketing"}


def with_consents(desk: UndoDesk, *said: str) -> Report:
    desk.columns = {**COLUMNS, "Consent": "consent.email", "When": "consent.email_at"}
    rows = [(*row, word, "2024-01-01T00:00:00Z") for row, word in zip(BEFORE, said, strict=True)]
    desk.write(rows, (*HEADER, "Consent", "When"))
    desk.mapping = {"columns": desk.columns, "load": desk.load}
    desk.clock.time += 1_000
    return desk.run()
