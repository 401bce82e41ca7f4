"""klaviyo-etl undo as a user types it: look first, then take the run back."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.command_line import spoken, told

MAPPING = """
[columns]
Email = "email"
Name = "first_name"

[load]
keep_before = true
"""


def imported(folder: Path, *rows: str) -> str:
    (folder / "people.toml").write_text(MAPPING)
    (folder / "people.csv").write_text("\n".join(["Email,Name", *rows]) + "\n")
    code, out, said = spoken(folder, "run", "people.csv", "--sandbox", "--yes", "--format", "json", "--verify", "none")
    assert code == 0, said
    return str(json.loads(out)["run"])


def test_a_run_is_looked_at_and_taken_back(tmp_path: Path) -> None:
    imported(tmp_path, "ann@mapleshop.com,Ann")
    run = imported(tmp_path, "ann@mapleshop.com,Oslo", "new@mapleshop.com,New")
    code, out, said = spoken(tmp_path, "undo", run, "--plan", "--sandbox")
    assert code == 0, said
    assert "1  would be restored" in out
    assert "1  were created by the run" in out
    assert "Name" in out
    assert "new@mapleshop.com" not in out
    code, out, said = spoken(tmp_path, "undo", run, "--plan", "--sandbox", "--format", "json")
    assert code == 0, said
    assert json.loads(out)["foresight"]["restored"] == 1
    code, said = told(tmp_path, "undo", run, "--sandbox", "--yes", "--delete-created", "--verify", "none")
    assert (code, "deletion-not-agreed" in said, "--deletions 1" in said) == (6, True, True)
    options = ("--delete-created", "--deletions", "1", "--verify", "none")
    code, out, said = spoken(tmp_path, "undo", run, "--sandbox", "--yes", *options)
    assert code == 0, said
    assert "1  restored" in out
    assert "1  deleted" in out
    code, out = told(tmp_path, "profile", "get", "ann@mapleshop.com", "--sandbox")
    assert "Oslo" not in out
    assert "Ann" in out


def test_a_run_that_is_not_there_is_said(tmp_path: Path) -> None:
    imported(tmp_path, "ann@mapleshop.com,Ann")
    code, said = told(tmp_path, "undo", "20200101-000000-xxxx", "--sandbox")
    assert code == 2
    assert "20200101-000000-xxxx" in said
