"""klaviyo-etl forget, as somebody types it who answers a request."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from tests.support.command_line import spoken, told


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "people.csv").write_text("Email\nann@mapleshop.com\nbob@mapleshop.com\n", "utf-8")
    (tmp_path / "people.toml").write_text('[columns]\nEmail = "email"\n', "utf-8")
    assert told(tmp_path, "run", "people.csv", "--sandbox", "--non-interactive")[0] == 0
    return tmp_path


def test_who_is_forgotten_stands_on_standard_input_and_in_no_message(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("ann@mapleshop.com\n\n"))
    code, said = told(folder, "forget", "--dry-run")
    assert code == 0
    assert "1 rows in 1 runs" in said
    monkeypatch.setattr("sys.stdin", io.StringIO("ann@mapleshop.com\n\n"))
    code, out, err = spoken(folder, "forget")
    assert (code, out) == (0, "1 person forgotten: 1 rows.\n")
    assert "ann@" not in err
    code, said = told(folder, "run", "people.csv", "--sandbox", "--non-interactive")
    assert code == 1
    assert "forgotten" in said

    code, out, err = spoken(folder, "suppressions")
    assert "Not to be imported at all: 1" in err
    code, out, _ = spoken(folder, "suppressions", "--forgotten")
    assert out.splitlines()[0] == "account,person,digests,since"
    assert len(out.splitlines()) == 2
    assert "ann" not in out


def test_a_file_of_people_and_the_way_back(folder: Path) -> None:
    (folder / "requests.txt").write_text("ann@mapleshop.com\nbob@mapleshop.com\n", "utf-8")
    code, out, _ = spoken(folder, "forget", "--file", "requests.txt", "--yes")
    assert (code, out) == (0, "2 people forgotten: 2 rows.\n")
    code, out, _ = spoken(folder, "forget", "--allow", "Ann@mapleshop.com")
    assert (code, out) == (0, "1 person may be imported again.\n")
    code, out, _ = spoken(folder, "forget", "--allow", "ann@mapleshop.com")
    assert (code, out) == (0, "Nobody was on the list by that.\n")


def test_what_is_typed_wrong_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    code, said = told(folder, "forget")
    assert (code, "[identifier-missing]" in said) == (2, True)
    code, said = told(folder, "forget", "--file", "nowhere.txt")
    assert (code, "[file-unreadable]" in said) == (2, True)
    code, said = told(folder, "forget", "a@b.com", "--file", "nowhere.txt")
    assert (code, "both given" in said) == (2, True)
