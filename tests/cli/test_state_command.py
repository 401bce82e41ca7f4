"""klaviyo-etl state: backup, restore, check and move, as somebody types them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.support.command_line import told
from tests.support.earlier_schemas import SCHEMAS, plant


def test_a_state_is_backed_up_checked_restored_and_moved(tmp_path: Path) -> None:
    plant(SCHEMAS[-1], str(tmp_path / "klaviyo-etl.db"))
    code, said = told(tmp_path, "state", "backup", "all.backup")
    assert code == 0
    assert "2 runs of account SBX001; 18 rows; the newest run is " in said
    assert "unfinished: " in said

    code, said = told(tmp_path, "state", "restore", "all.backup")
    assert code == 5
    assert "error [state-not-empty]" in said
    assert "--replace" in said
    code, said = told(tmp_path, "state", "restore", "all.backup", "--replace")
    assert (code, said.splitlines()[-1]) == (0, "Restored.")

    code, said = told(tmp_path, "state", "check")
    assert code == 0
    assert "it is whole" in said

    code, said = told(tmp_path, "state", "move", "elsewhere.db")
    assert code == 0
    assert f"The state is at {tmp_path / 'elsewhere.db'} now" in said
    code, said = told(tmp_path, "status")
    assert code == 2
    assert f"has moved to {tmp_path / 'elsewhere.db'}" in said
    code, said = told(tmp_path, "runs", "--state", "elsewhere.db")
    assert code == 0


def test_what_is_wrong_is_named_without_a_value(tmp_path: Path) -> None:
    plant(SCHEMAS[-1], str(tmp_path / "klaviyo-etl.db"))
    with closing(sqlite3.connect(tmp_path / "klaviyo-etl.db")) as database, database:
        database.execute("UPDATE blocks SET cells = substr(cells, 2) WHERE run = 1")
        database.execute("DROP TRIGGER rows_keep")
    code, said = told(tmp_path, "state", "check")
    assert code == 5
    # A copy is migrated and checked: this state is of an earlier version.
    assert "[trigger] rows_keep: is missing" in said
    assert "its cells cannot be read (ValueError)" in said
    assert "mapleshop" not in said


def test_mistakes_are_told_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("Email\n", encoding="utf-8")
    for arguments, code in [
        (("restore", "people.csv"), "backup-not-ours"),
        (("restore", "nothing.backup"), "backup-unreadable"),
        (("backup", "all.backup"), "state-missing"),
        (("check",), "state-missing"),
        (("move", "elsewhere.db"), "state-missing"),
        (("move", "mysql://db/x", "--state", "people.csv"), "state-not-ours"),
    ]:
        exit_code, said = told(tmp_path, "state", *arguments)
        assert (exit_code, f"[{code}]" in said) == (5, True), said
    assert not list(tmp_path.glob("*.db*")), "a mistake leaves no file"
