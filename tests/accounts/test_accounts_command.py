"""Named accounts from outside: two accounts behind one address, keys from every place, and a CLI that mixes nothing."""

from __future__ import annotations

import io
import json
import os
import stat
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from etl.config import Account, KeyRule, fetch_key
from etl.errors import ConfigError
from etl.sandbox import SCOPES
from tests.support.command_line import spoken, told
from tests.support.two_accounts import OUTLET, OUTLET_KEY, SHOP, SHOP_KEY, TwoAccounts, changes, two_accounts

keyring = pytest.importorskip("keyring")


@pytest.fixture
def klaviyo() -> Iterator[TwoAccounts]:
    with two_accounts() as both:
        yield both


class Desk:
    """A folder that somebody works in, with settings of their own beside it."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url
        self.own = folder.parent / "config" / "klaviyo-etl" / "settings.toml"
        self.project = folder / "klaviyo-etl.toml"
        self.environ = {"KLAVIYO_BASE_URL": url, "KLAVIYO_PRIVATE_KEY_SHOP": SHOP_KEY, "OUTLET": OUTLET_KEY}
        (folder / "people.toml").write_text('[columns]\nEmail = "email"\n', "utf-8")
        self.write(3)

    def write(self, people: int) -> None:
        rows = "".join(f"person{number}@mapleshop.com\n" for number in range(people))
        (self.folder / "people.csv").write_text(f"Email\n{rows}", "utf-8")

    def says(self, *arguments: str, code: int = 0, **environment: str) -> str:
        """Run a command and return all that it says."""
        found, text = told(self.folder, *arguments, **{**self.environ, **environment})
        assert found == code, text
        for key in (SHOP_KEY, OUTLET_KEY):
            assert key not in text
        return text

    def both(self) -> None:
        """Make both accounts known."""
        self.says("accounts", "add", "shop", "--list", "News")
        self.says("accounts", "add", "outlet", "--env", "OUTLET")


@pytest.fixture
def desk(tmp_path: Path, klaviyo: TwoAccounts) -> Desk:
    folder = tmp_path / "work"
    folder.mkdir()
    return Desk(folder, klaviyo.url)


def test_a_name_stands_for_key_list_and_id(desk: Desk, klaviyo: TwoAccounts) -> None:
    desk.both()
    assert tomllib.loads(desk.own.read_text("utf-8"))["accounts"] == {
        "shop": {"id": SHOP, "list": "News"},
        "outlet": {"id": OUTLET, "key": {"env": "OUTLET"}},
    }
    assert stat.S_IMODE(desk.own.stat().st_mode) == 0o600
    said = desk.says("run", "people.csv", "--account", "shop", "--yes")
    assert f"account  shop: {SHOP} (Maple Shop)" in said
    assert "list     News" in said
    assert klaviyo.people() == (3, 0)
    # From the environment, as a scheduler may say it; the other account knows nobody yet, and gets everybody.
    said = desk.says("run", "people.csv", "--yes", KLAVIYO_ETL_ACCOUNT="outlet", KLAVIYO_PRIVATE_KEY=SHOP_KEY)
    assert f"account  outlet: {OUTLET} (Maple Outlet)" in said
    assert klaviyo.people() == (3, 3)
    for name in ("html", "json", "text"):
        assert "outlet" in desk.says("report", "--format", name, "--account", "outlet")
    document = json.loads(desk.says("report", "--format", "json", "--account", "shop", "-q"))
    assert (document["account_label"], document["account"]) == ("shop", SHOP)


def test_a_key_of_another_account_is_refused_before_anything_is_written(desk: Desk, klaviyo: TwoAccounts) -> None:
    desk.both()
    for arguments in (
        ("run", "people.csv", "--yes"),
        ("suppress", "people.csv"),
        ("lists", "create", "Mine"),
        ("profile", "upsert", "--set", "email=ann@mapleshop.com"),
        ("webhooks", "create", "https://hooks.example.com/k"),
    ):
        said = desk.says(*arguments, "--account", "shop", KLAVIYO_PRIVATE_KEY_SHOP=OUTLET_KEY, code=6)
        assert f"belongs to account {OUTLET}, and {SHOP} is expected" in said
    assert [changes(one) for one in (klaviyo.shop, klaviyo.outlet)] == [0, 0]
    assert "account-unexpected" in desk.says("accounts", "test", "shop", KLAVIYO_PRIVATE_KEY_SHOP=OUTLET_KEY, code=3)


def test_each_account_is_tested(desk: Desk) -> None:
    desk.both()
    said = desk.says("accounts", "test")
    assert f"shop: key from variable KLAVIYO_PRIVATE_KEY_SHOP, expected to be {SHOP}" in said
    assert f"account: {OUTLET} (Maple Outlet, a test account)" in said
    assert "problem" not in said
    said = desk.says("accounts", "test", "outlet", OUTLET="", code=3)
    assert "There is no key of account outlet: variable OUTLET has none [account-key-missing]" in said
    said = desk.says("accounts", "test", "shop", "outlet", KLAVIYO_PRIVATE_KEY_SHOP="pk_revoked_0123456789", code=3)
    assert "Klaviyo does not know this key" in said


def test_a_key_without_a_scope_is_told_by_test(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    with two_accounts(outlet_scopes=SCOPES - {"lists:read"}) as both:
        desk = Desk(tmp_path / "work", both.url)
        desk.both()
        assert "the key lacks lists:read" in desk.says("accounts", "test", code=3)


def test_the_key_comes_from_a_keyring_and_is_typed_into_nothing_else(
    desk: Desk, klaviyo: TwoAccounts, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from tests.support.fake_keyring import FileKeyring  # noqa: PLC0415 - needs the library

    entries = tmp_path / "entries.json"
    monkeypatch.setenv("FAKE_KEYRING", str(entries))
    before = keyring.get_keyring()
    keyring.set_keyring(FileKeyring())  # type: ignore[no-untyped-call]
    try:
        monkeypatch.setattr(sys, "stdin", io.StringIO(f"{SHOP_KEY}\n"))
        said = desk.says("accounts", "add", "shop", "--keyring")
        assert f"belongs to {SHOP} (Maple Shop)" in said
        assert SHOP_KEY not in desk.own.read_text("utf-8")
        assert json.loads(entries.read_text("utf-8")) == {"klaviyo-etl/shop": SHOP_KEY}
        desk.says("run", "people.csv", "--account", "shop", "--yes", KLAVIYO_PRIVATE_KEY_SHOP="")
        assert klaviyo.people() == (3, 0)
        kept = entries.read_text("utf-8")
        entries.write_text("locked", "utf-8")
        said = desk.says("doctor", "--account", "shop", code=3)
        assert "it failed (KeyringLocked) [keyring-failed]" in said
        assert "pk_" not in said
        entries.write_text(kept, "utf-8")
        assert "its key from the keyring" in desk.says("accounts", "remove", "shop")
        assert entries.read_text("utf-8") == "{}"
        # What cannot be a key goes nowhere; nor does one that Klaviyo does not know.
        for typed, code in (("AbC123", "key-public"), ("pk_unknown_0123456789", "key-refused")):
            monkeypatch.setattr(sys, "stdin", io.StringIO(f"{typed}\n"))
            assert code in desk.says("accounts", "add", "shop", "--keyring", code=3)
        assert entries.read_text("utf-8") == "{}"
        assert "shop" not in desk.own.read_text("utf-8")
    finally:
        keyring.set_keyring(before)


def program(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(f"#!{sys.executable}\n{text}\n", "utf-8")
    path.chmod(0o755)
    return path


@pytest.mark.skipif(os.name != "posix", reason="a script of its own")
def test_the_key_comes_from_a_command_without_a_shell(desk: Desk, klaviyo: TwoAccounts, tmp_path: Path) -> None:
    vault = program(
        tmp_path,
        "op",
        f"import sys; assert sys.argv[1:] == ['read', '$(touch x) ; y'], sys.argv; "
        f"assert not sys.stdin.read(); print('{SHOP_KEY}')",
    )
    desk.says("accounts", "add", "shop", "--command", f"{vault} read '$(touch x) ; y'")
    assert tomllib.loads(desk.own.read_text("utf-8"))["accounts"]["shop"]["key"]["command"] == [
        str(vault),
        "read",
        "$(touch x) ; y",
    ]
    desk.says("run", "people.csv", "--account", "shop", "--yes", "--debug")
    assert klaviyo.people() == (3, 0)
    assert not (desk.folder / "x").exists()
    # By PATH, and never from the folder that is worked in.
    program(desk.folder, "evil", f"print('{SHOP_KEY}')")
    assert "There is no program evil in PATH" in desk.says("accounts", "add", "e", "--command", "evil")
    assert "There is no program ./evil in PATH" in desk.says(
        "accounts", "add", "f", "--command", "./evil", PATH=f".{os.pathsep}{os.environ['PATH']}"
    )


@pytest.mark.skipif(os.name != "posix", reason="a script of its own")
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import sys; print('pk_told_by_the_vault', file=sys.stderr); sys.exit(3)", "ended with 3"),
        ("print('Your vault says hello: pk_told_by_the_vault')", "printed no key"),
        ("pass", "printed no key"),
        ("print('secret_told_by_the_vault')", "not a Klaviyo private key"),
        ("import os\nwhile True: os.write(1, b'pk_told_by_the_vault' * 4096)", "printed no key"),
    ],
)
def test_what_a_command_prints_is_shown_to_nobody(desk: Desk, tmp_path: Path, text: str, said: str) -> None:
    desk.says("accounts", "add", "shop", "--id", SHOP, "--command", str(program(tmp_path, "vault", text)))
    code = 2 if said.startswith("ended") else 3
    found = desk.says("run", "people.csv", "--account", "shop", "--yes", "--debug", code=code)
    assert said in found
    assert "told_by_the_vault" not in found


def test_a_project_names_accounts_and_runs_nothing_unasked(desk: Desk, klaviyo: TwoAccounts, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    vault = tmp_path / "vault.txt"
    vault.write_text(SHOP_KEY, "utf-8")
    command = [sys.executable, "-c", f"open({str(mark)!r}, 'a').close(); print(open({str(vault)!r}).read())"]
    desk.project.write_text(f"[accounts.shop]\nid = '{SHOP}'\nkey = {{ command = {json.dumps(command)} }}\n", "utf-8")
    said = desk.says("run", "people.csv", "--account", "shop", "--yes", code=2)
    assert "klaviyo-etl accounts trust shop" in said
    assert "command-not-trusted" in desk.says("accounts", "test", code=3)
    assert not mark.exists()
    assert "is trusted, for the key of shop" in desk.says("accounts", "trust", "shop")
    desk.says("run", "people.csv", "--account", "shop", "--yes")
    assert (mark.exists(), klaviyo.people()) == (True, (3, 0))
    # To the letter: whoever changes a word of it asks anew.
    desk.project.write_text(desk.project.read_text("utf-8").replace("open(", "open("[:-1] + " ("), "utf-8")
    assert "command-not-trusted" in desk.says("doctor", "--account", "shop", code=3)
    desk.says("accounts", "trust", "shop", "--revoke")


def test_the_projects_state_stays_in_its_folder(desk: Desk) -> None:
    for state in ("/tmp/x.db", "../x.db", "~/x.db", "postgresql://evil.example.com/x", "a/../../x.db"):
        desk.project.write_text(f"[accounts.shop]\nstate = {json.dumps(state)}\n", "utf-8")
        assert "leaves the folder" in desk.says("runs", "--account", "shop", code=2)
        assert "settings-refused" in desk.says("accounts", "add", "x", "--project", "--state", state, code=2)
    desk.project.unlink()
    desk.says("accounts", "add", "shop", "--project", "--state", "shop.db")
    below = desk.folder / "below"
    below.mkdir()
    (desk.folder / "people.csv").rename(below / "people.csv")
    (desk.folder / "people.toml").rename(below / "people.toml")
    code, said = told(below, "run", "people.csv", "--account", "shop", "--yes", **desk.environ)
    assert code == 0, said
    assert (desk.folder / "shop.db").exists()


@pytest.mark.skipif(os.name != "posix", reason="owners and modes")
def test_a_file_in_a_folder_that_others_write_to_is_left_alone(desk: Desk) -> None:
    desk.says("accounts", "add", "shop", "--project")
    below = desk.folder / "below"
    below.mkdir()
    environ = {**desk.environ, "HOME": str(desk.folder.parent)}
    assert told(below, "accounts", "list", **environ)[1].strip().startswith("shop")
    desk.folder.chmod(0o777)
    code, said = told(below, "doctor", "--account", "shop", **environ)
    assert (code, "was left alone" in said, "others may write" in said) == (2, True, True), said
    desk.folder.chmod(0o700)
    (below / ".git").mkdir()
    assert "account-unknown" in told(below, "doctor", "--account", "shop", **environ)[1]


def test_where_each_value_comes_from_is_shown(desk: Desk) -> None:
    desk.both()
    desk.project.write_text('[accounts.shop]\nlist = "VIP"\nstate = "shop.db"\n', "utf-8")
    said = desk.says("accounts", "list", "--verbose")
    lines = {tuple(line.split())[:2]: line for line in said.splitlines() if line.startswith("    ")}
    assert str(desk.project) in lines["list", "VIP"]
    assert str(desk.own) in lines["id", SHOP]
    assert "as is usual" in lines["key", "variable"]
    said = desk.says("runs", "--account", "shop", "--verbose", code=5)
    assert "account: shop (by --account)" in said
    assert f"usual list: VIP (by {desk.project})" in said
    assert f"shop.db (by {desk.project})" in said
    listed = [json.loads(line) for line in desk.says("accounts", "list", "--format", "json").splitlines()]
    assert [one["account"] for one in listed] == ["outlet", "shop"]
    # A flag is nearer than the account, and the account than the environment.
    assert "other.db (by --state)" in desk.says("runs", "--account", "shop", "-v", "--state", "other.db", code=5)
    assert "shop.db (by" in desk.says("runs", "--account", "shop", "-v", KLAVIYO_ETL_STATE="third.db", code=5)
    assert "third.db (by KLAVIYO_ETL_STATE)" in desk.says("runs", "-v", KLAVIYO_ETL_STATE="third.db", code=5)


def test_a_file_of_settings_says_no_key_and_keeps_what_else_it_says(desk: Desk) -> None:
    desk.own.parent.mkdir(parents=True, exist_ok=True)
    theirs = '# mine\nvariables = ["A"]\n\n# about alerts\n[notify]\nwebhook = "https://h.example.com/"  # ours\n'
    desk.own.write_text(theirs, "utf-8")
    desk.both()
    text = desk.own.read_text("utf-8")
    assert text.startswith(theirs)
    assert "account-exists" in desk.says("accounts", "add", "shop", code=2)
    assert "account-name" in desk.says("accounts", "add", "a b", code=2)
    desk.own.write_text(text.replace("[accounts.outlet]", "# below the shop\n[accounts.outlet]"), "utf-8")
    desk.says("accounts", "remove", "shop")
    assert "# below the shop\n[accounts.outlet]" in desk.own.read_text("utf-8")
    desk.says("accounts", "remove", "outlet")
    assert desk.own.read_text("utf-8").startswith(theirs)
    assert "account-unknown" in desk.says("accounts", "remove", "outlet", code=2)
    desk.own.write_text(f'[accounts.shop]\nkey = "{SHOP_KEY}"\n', "utf-8")
    assert "take it out, and make a new one" in desk.says("accounts", "list", code=2)
    desk.own.write_text("accounts = { shop = { id = 'SHOP01' } }\n", "utf-8")
    assert "settings-by-hand" in desk.says("accounts", "remove", "shop", code=2)
    desk.own.write_text(f"[accounts.shop]\nid = '{SHOP}'\n", "utf-8")
    desk.project.write_text(f"[accounts.shop]\nid = '{OUTLET}'\n", "utf-8")
    assert "account-conflict" in desk.says("doctor", "--account", "shop", code=2)


def test_a_rehearsal_of_a_named_account_is_its_own(desk: Desk, klaviyo: TwoAccounts) -> None:
    desk.both()
    for name in ("shop", "outlet"):
        # Neither its key nor its id is asked for; and what was rehearsed for the other is not known here.
        said = desk.says("run", "people.csv", "--sandbox", "--account", name, "--yes", OUTLET="", KLAVIYO_BASE_URL="")
        assert f"account  sandbox:{name}: SBX" in said
        assert "3 loaded" in said
        assert (desk.folder / f"klaviyo-sandbox-{name}.db").exists()
    assert klaviyo.people() == (0, 0)
    desk.says("run", "people.csv", "--account", "shop", "--yes")
    assert "3 loaded" in desk.says("report", "--account", "shop")
    assert f"shop: {SHOP}" in desk.says("report", "--account", "shop")
    assert "sandbox:shop" in desk.says("report", "--account", "shop", "--sandbox")


def test_what_is_advised_next_names_the_account(desk: Desk) -> None:
    desk.both()
    (desk.folder / "people.csv").write_text("Email\nann@mapleshop.com\nnobody\n", "utf-8")
    said = desk.says("run", "people.csv", "--account", "shop", "--yes", code=1)
    assert "--account shop" in said.replace("\N{NO-BREAK SPACE}", " ")
    _, out, _ = spoken(desk.folder, "status", "--account", "shop", **desk.environ)
    assert "--account shop" in out
    assert "shop: SHOP01 (Maple Shop)" in out


def test_a_schedule_names_the_account(desk: Desk) -> None:
    desk.both()
    for scheduler in ("cron", "systemd", "airflow", "dagster"):
        said = desk.says("schedule", "people.csv", "--print", scheduler, "--account", "outlet")
        # The import, what finishes one, and who looks after it.
        assert said.replace("', '", " ").count("--account outlet") == 3, said
    said = desk.says("schedule", "people.csv", "--print", "github", "--account", "outlet")
    assert "OUTLET: ${{ secrets.OUTLET }}" in said
    assert "KLAVIYO_PRIVATE_KEY" not in said
    assert "account-unknown" in desk.says("schedule", "people.csv", "--print", "cron", "--account", "x", code=2)


def test_a_command_that_does_not_end_is_ended() -> None:
    account = Account("shop", KeyRule(command=(sys.executable, "-c", "import time; time.sleep(60)")))
    with pytest.raises(ConfigError) as error:
        fetch_key(account, {}, seconds=0.05)
    assert "did not end" in error.value.message
