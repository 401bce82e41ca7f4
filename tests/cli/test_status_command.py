"""klaviyo-etl status, as a monitor calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command_line import spoken, told


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "people.csv").write_text("Email\nann@mapleshop.com\nbob@mapleshop.com\n", "utf-8")
    (tmp_path / "people.toml").write_text('[columns]\nEmail = "email"\n', "utf-8")
    return tmp_path


def test_a_missing_state_is_critical_and_stays_missing(folder: Path) -> None:
    code, out, err = spoken(folder, "status")
    assert (code, out) == (2, "")
    assert "[state-missing]" in err
    assert not (folder / "klaviyo-etl.db").exists()


def test_levels_formats_and_files(folder: Path) -> None:
    assert told(folder, "run", "people.csv", "--sandbox", "--non-interactive")[0] == 0
    code, out, err = spoken(folder, "status")
    assert (code, err) == (0, "")
    assert out.startswith("All is well: 1 well\n\nwell        people.csv  account SBX001 (Sandbox Store)\n")
    assert spoken(folder, "status", "--quiet") == (0, "", "")

    (folder / "people.csv").write_text("Email\nann@mapleshop.com\nnonsense\n", "utf-8")
    assert told(folder, "run", "people.csv", "--sandbox", "--non-interactive")[0] == 1
    code, out, _ = spoken(folder, "status", "--quiet", "people.csv")
    assert code == 1
    assert out.startswith("Warning: 1 partly\n")
    code, out, _ = spoken(folder, "status", "--format", "json", "--max-age", "26h")
    document = json.loads(out)
    assert (code, document["exit_code"], document["level"]) == (1, 1, "warning")
    assert document["sources"][0]["max_age_seconds"] == 26 * 3_600

    written = folder / "klaviyo.prom"
    code, out, _ = spoken(folder, "status", "--format", "prometheus", "--output", str(written))
    assert (code, out) == (1, "")
    assert "klaviyo_etl_status 1\n" in written.read_text("utf-8")
    assert written.stat().st_mode & 0o044 == 0o044, "the collector is another user"
    assert [path.name for path in folder.iterdir() if path.name.endswith(".part")] == []


def test_what_is_typed_wrong_is_said(folder: Path) -> None:
    code, said = told(folder, "status", "--max-age", "yesterday")
    assert code == 2
    assert "such as 26h" in said
    assert told(folder, "run", "people.csv", "--sandbox", "--non-interactive")[0] == 0
    code, said = told(folder, "status", "--output", str(folder / "nowhere" / "a.prom"))
    assert code == 2
    assert "[file-unwritable]" in said
