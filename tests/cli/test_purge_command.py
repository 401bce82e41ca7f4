"""klaviyo-etl purge, as a person or cron types it."""

from __future__ import annotations

from pathlib import Path

from tests.support.command_line import told


def test_what_goes_is_shown_and_goes_only_when_told(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("Email\nann@mapleshop.com\nnonsense\n", "utf-8")
    (tmp_path / "people.toml").write_text('[columns]\nEmail = "email"\n', "utf-8")
    assert told(tmp_path, "run", "people.csv", "--sandbox", "--non-interactive")[0] == 1
    (rejects,) = (tmp_path / "runs").glob("*/rejects.csv")
    run = rejects.parent.name

    code, said = told(tmp_path, "purge", "--older-than", "90d")
    assert (code, "holds personal data" in said) == (0, True)
    code, said = told(tmp_path, "purge", "--older-than", "0.001s", "--dry-run")
    assert code == 0
    assert "1 run ended before" in said
    assert run in said
    assert rejects.name in said
    assert rejects.exists()
    code, said = told(tmp_path, "purge", "--older-than", "0.001s", "--yes")
    assert (code, "1 run purged." in said) == (0, True)
    assert not rejects.exists()
    code, said = told(tmp_path, "rejects", run)
    assert (code, "[run-purged]" in said) == (2, True)
    code, said = told(tmp_path, "report", run)
    assert "every row is accounted for" in said
    assert "purged on" in said


def test_what_is_typed_wrong_is_said(tmp_path: Path) -> None:
    code, said = told(tmp_path, "purge")
    assert (code, "--older-than" in said) == (2, True)
    code, said = told(tmp_path, "purge", "--older-than", "long")
    assert (code, "such as 26h" in said) == (2, True)
    code, said = told(tmp_path, "purge", "--older-than", "90d")
    assert (code, "[state-missing]" in said) == (5, True)
