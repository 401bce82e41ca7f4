"""Write the state of an earlier version, by that version: ``python write_earlier_schema.py TREE NUMBER FOLDER``.

``TREE``: a checkout (``git archive COMMIT | tar -x -C TREE``) of the last version whose newest migration is ``NUMBER``,
with ``PYTHONPATH`` set to it. Its own scenario of a crash runs in its own program, up to the first bulk request of its
second import. ``FOLDER`` gets ``schema-NN.sql`` and, from a PostgreSQL that is at hand, ``schema-NN-postgresql.sql``.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import sqlite3
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

import sqlalchemy as sa

SCENARIOS = ("crash_world", "tests.support.crash_scenario")
POSTGRES = os.environ.get("ETL_TEST_POSTGRES", "postgresql+psycopg://root@127.0.0.1/test")


class DiedError(BaseException):
    """The process ends here."""


class Deadly:
    """Dies once the mark of the first bulk request is written, before the request leaves."""

    def reach(self, name: str) -> None:
        if name == "before POST /api/profile-bulk-import-jobs":
            raise DiedError


def scenario() -> Any:
    """Return the class of the scenario; it has had other names and another place."""
    for place in SCENARIOS:
        with contextlib.suppress(ModuleNotFoundError):
            module = import_module(place)
            return getattr(module, "CrashScenario", None) or module.World
    raise SystemExit("this version has no scenario of a crash")


def written(folder: Path) -> str:
    """Run the two imports, and return the state as SQL, without the names of this machine."""
    world = scenario()(folder)
    world.prepare()
    with contextlib.suppress(DiedError):
        world.process(points=Deadly())
    world.sandbox.close()
    with contextlib.closing(sqlite3.connect(folder / "state.db")) as database:
        text = "\n".join(database.iterdump())
    text = text.replace(str(folder), "/srv/shop").replace(socket.gethostname(), "shop")
    return re.sub(r'"process":\d+', '"process":4711', text) + "\n"


def made_on_postgresql() -> str:
    """Return the statements with which the version makes its tables and triggers."""
    state, context = import_module("etl.state"), import_module("etl.pipeline.context")
    schema = f"etl_write_{os.getpid()}"
    admin = sa.create_engine(POSTGRES, isolation_level="AUTOCOMMIT")
    made: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.lstrip().startswith(("CREATE", "DROP")):
            made.append(statement.strip() if "$$" in statement else " ".join(statement.split()))

    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
        sa.event.listen(sa.engine.Engine, "before_cursor_execute", note)
        try:
            url = f"{POSTGRES}?options=-csearch_path%3D{schema}"
            state.Store.open(url, clock=context.SystemClock()).close()
        finally:
            sa.event.remove(sa.engine.Engine, "before_cursor_execute", note)
            connection.exec_driver_sql(f"DROP SCHEMA {schema} CASCADE")
    return ";\n\n".join(made) + ";\n\n"


if __name__ == "__main__":
    tree, number, out = Path(sys.argv[1]).resolve(), int(sys.argv[2]), Path(sys.argv[3]).resolve()
    sys.path[:0] = [str(tree), str(tree / "tests")]
    with tempfile.TemporaryDirectory() as room:
        (out / f"schema-{number:02}.sql").write_text(written(Path(room)), encoding="utf-8")
    (out / f"schema-{number:02}-postgresql.sql").write_text(made_on_postgresql(), encoding="utf-8")
