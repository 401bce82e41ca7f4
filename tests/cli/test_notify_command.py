"""klaviyo-etl notify, status --notify, and what a nightly command tells of itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from etl.sandbox import SANDBOX_KEY, SandboxServer, SandboxSettings
from tests.support.command_line import spoken, told
from tests.support.receivers import WebReceiver, web_receiver

NIGHTLY = ("run", "people.csv", "--non-interactive")


@pytest.fixture
def web() -> Iterator[WebReceiver]:
    with web_receiver() as receiver:
        yield receiver


@pytest.fixture
def folder(tmp_path: Path, web: WebReceiver) -> Path:
    folder = tmp_path / "imports"
    folder.mkdir()
    (folder / "people.csv").write_text("Email\nann@mapleshop.com\nbob@mapleshop.com\n", "utf-8")
    mapping = f'[columns]\nEmail = "email"\n\n[notify]\nwebhook = "{web.url}"\nmax_age = "26h"\n'
    (folder / "people.toml").write_text(mapping, "utf-8")
    return folder


@pytest.fixture
def klaviyo() -> Iterator[dict[str, str]]:
    with SandboxServer(SandboxSettings(limits="off")) as server:
        yield {"KLAVIYO_BASE_URL": server.url, "KLAVIYO_PRIVATE_KEY": SANDBOX_KEY}


def test_a_revoked_key_is_told_and_shown_until_it_works_again(
    folder: Path, web: WebReceiver, klaviyo: dict[str, str]
) -> None:
    assert told(folder, *NIGHTLY, **klaviyo)[0] == 0
    assert spoken(folder, "status")[0] == 0
    revoked = {**klaviyo, "KLAVIYO_PRIVATE_KEY": f"pk_{'0' * 34}"}
    for _ in range(2):
        code, said = told(folder, *NIGHTLY, **revoked)
        assert code == 3
    assert web.told == [("failed", "well")]
    code, out, _ = spoken(folder, "status")
    assert code == 2
    assert out.startswith("Critical: 1 failed\n\nfailed      people.csv  account SBX001 (Sandbox Store)\n")
    assert "the last import that finished:" in out
    assert "0" * 34 not in out + web.bodies[0].decode()
    assert told(folder, *NIGHTLY, **klaviyo)[0] == 0
    assert web.told == [("failed", "well"), ("well", "failed")]
    assert "Told by webhook: klaviyo-etl: people.csv failed" in said or web.refused == 0
    assert spoken(folder, "status")[0] == 0


def test_a_mapping_that_is_broken_is_told(folder: Path, web: WebReceiver, klaviyo: dict[str, str]) -> None:
    assert told(folder, *NIGHTLY, **klaviyo)[0] == 0
    mapping = folder / "people.toml"
    mapping.write_text(mapping.read_text("utf-8").replace("[columns]", "[colums]"), "utf-8")
    assert told(folder, *NIGHTLY, **klaviyo)[0] == 2
    assert [(one["condition"], one["code"]) for one in web.documents] == [("failed", "mapping-invalid")]


def test_a_rehearsal_and_a_look_concern_nobody(folder: Path, web: WebReceiver) -> None:
    (folder / "people.csv").write_text("Email\nnonsense\n", "utf-8")
    assert told(folder, *NIGHTLY, "--sandbox")[0] == 1
    assert told(folder, "check", "people.csv")[0] == 1
    assert web.bodies == []
    # Nor does a later command tell of a rehearsal's account.
    assert told(folder, "status", "--notify")[0] == 1
    assert web.bodies == []


def test_status_tells_on_demand_and_what_could_not_be_told(
    folder: Path, web: WebReceiver, klaviyo: dict[str, str]
) -> None:
    assert told(folder, *NIGHTLY, **klaviyo)[0] == 0
    web.status = 500
    (folder / "people.csv").write_text("Email\nann@mapleshop.com\nnonsense\n", "utf-8")
    code, said = told(folder, *NIGHTLY, **klaviyo)
    assert code == 1, f"that nobody could be told is no matter of the import: {said}"
    assert "warning [alert-undelivered]: webhook: the receiver answered 500" in said
    code, out, _ = spoken(folder, "status", **klaviyo)
    assert (code, out.splitlines()[0]) == (1, "Warning: 1 partly, 1 alert undelivered")
    web.status = 200
    code, said = told(folder, "status", "--notify", **klaviyo)
    assert code == 1
    assert web.told == [("partly", "well")]
    assert "alert undelivered" not in said


def test_a_test_says_what_works(folder: Path, web: WebReceiver) -> None:
    code, said = told(folder, "notify", "test", "-m", "people.toml")
    assert (code, said) == (0, "ok       webhook  not signed: KLAVIYO_ETL_NOTIFY_SECRET is not set\n")
    assert [one["condition"] for one in web.documents] == ["test"]
    web.status = 404
    code, said = told(folder, "notify", "test", "-m", "people.toml", KLAVIYO_ETL_NOTIFY_SECRET="0123456789abcdef")
    assert (code, said) == (3, "problem  webhook  the receiver answered 404\n")
    code, said = told(folder, "notify", "test")
    assert code == 2
    assert "[notify-missing]" in said
    assert not (folder / "klaviyo-etl.db").exists()
