"""klaviyo-etl schedule: each recipe is read by its own tool where that is here, and its commands run for real."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import pytest
import yaml

from etl.sandbox import SANDBOX_KEY, SandboxServer, SandboxSettings
from tests.support.cli_process import ABSENT
from tests.support.command_line import spoken, told
from tests.support.effort import sample
from tests.support.paths import ROOT

AWKWARD = "a b%c$d'e"


@pytest.fixture(params=sample([AWKWARD, "imports"], 2))
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder with a source and its mapping; a name that shells, cron and systemd each read in their own way."""
    folder = tmp_path / str(request.param)
    folder.mkdir()
    (folder / f"{request.param}.csv").write_text("Email\nann@mapleshop.com\nbob@mapleshop.com\n", "utf-8")
    mapping = '[columns]\nEmail = "email"\n[notify]\nslack = "${NOTIFY_SLACK}"\nmax_age = "30h"\n'
    (folder / f"{request.param}.toml").write_text(mapping, "utf-8")
    return folder


@pytest.fixture
def klaviyo() -> Iterator[dict[str, str]]:
    with SandboxServer(SandboxSettings()) as server:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("KLAVIYO_")}
        own = {
            "KLAVIYO_BASE_URL": server.url,
            "KLAVIYO_PRIVATE_KEY": SANDBOX_KEY,
            "NOTIFY_SLACK": "http://127.0.0.1:9/",
        }
        yield {**clean, **own, "PYTHONPATH": os.pathsep.join(map(str, (ABSENT, ROOT)))}


def recipe(folder: Path, scheduler: str, *more: str) -> str:
    code, out, err = spoken(folder, "schedule", f"{folder.name}.csv", "--print", scheduler, *more)
    assert (code, err) == (0, "")
    return out


def imported(folder: Path, environ: dict[str, str]) -> str:
    """What the state says of the import that a recipe has just made."""
    code, out, _ = spoken(folder, "status", KLAVIYO_BASE_URL=environ["KLAVIYO_BASE_URL"])
    assert code == 0, out
    return out


def sh(command: str, cwd: Path, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["/bin/sh", "-c", command], cwd=cwd, env=environ, capture_output=True, text=True, check=False)


@pytest.mark.skipif(shutil.which("flock") is None, reason="flock is not here")
def test_cron_runs_its_line(folder: Path, klaviyo: dict[str, str], tmp_path: Path) -> None:
    text = recipe(folder, "cron", "--at", "03:30")
    nightly, watch = [line for line in text.splitlines() if not line.startswith("#")]
    assert nightly.startswith("30 3 * * * ")
    assert watch.startswith("30 8 * * * ")
    # As cron does it: a percent sign that is not escaped ends the command.
    commands = [re.sub(r"\\%", "%", line.split(" ", 5)[5]) for line in (nightly, watch)]
    assert not re.search(r"(?<!\\)%", nightly)
    assert sh(commands[0], tmp_path, klaviyo).returncode == 0
    assert "2 loaded" in imported(folder, klaviyo)
    (log,) = (folder / "logs").glob("*-[1-7].log")
    assert "2 loaded" in log.read_text("utf-8")
    assert sh(commands[1], tmp_path, klaviyo).returncode == 0
    assert "All is well" in next((folder / "logs").glob("*-status.log")).read_text("utf-8")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here")
def test_systemd_reads_its_units(folder: Path, tmp_path: Path) -> None:
    units = tmp_path / "units"
    code, said = told(folder, "schedule", f"{folder.name}.csv", "--print", "systemd", "--to", str(units))
    assert code == 0
    names = sorted(path.name for path in units.iterdir())
    assert [name.rpartition(".")[2] for name in names] == ["conf", "service", "timer", "service", "timer"]
    assert all(name in said for name in names)
    found = [str(path) for path in units.iterdir() if path.suffix in {".service", ".timer"}]
    done = subprocess.run(["systemd-analyze", "verify", *found], capture_output=True, text=True, check=False)
    ours = [line for line in done.stderr.splitlines() if "klaviyo-" in line]
    assert (done.returncode, ours) == (0, []), done.stderr
    service = next(path for path in units.iterdir() if path.name.endswith(".service") and "watch" not in path.name)
    assert "OnFailure=" in service.read_text("utf-8")
    calendar = ["systemd-analyze", "calendar", "*-*-* 02:00:00"]
    assert subprocess.run(calendar, capture_output=True, check=False).returncode == 0
    # Printed, they are one text that says which file is which.
    assert [name for name in names if f"{name}\n" not in recipe(folder, "systemd")] == []


class Recorder:
    """Stands for a class of Airflow: keeps what it was given."""

    made: list[dict[str, Any]]

    def __init__(self, **given: Any) -> None:
        type(self).made.append(given)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __rshift__(self, other: Recorder) -> Recorder:
        return other


def module(monkeypatch: pytest.MonkeyPatch, name: str, **names: Any) -> None:
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        whole = ".".join(parts[:end])
        if whole not in sys.modules:
            monkeypatch.setitem(sys.modules, whole, ModuleType(whole))
    for key, value in names.items():
        monkeypatch.setattr(sys.modules[name], key, value, raising=False)


def test_airflow_runs_its_tasks(folder: Path, klaviyo: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The DAG is built from what Airflow 3 calls its parts; its commands are run as its BashOperator does."""
    text = recipe(folder, "airflow")
    dag: Any = type("DAG", (Recorder,), {"made": []})
    bash: Any = type("BashOperator", (Recorder,), {"made": []})
    module(monkeypatch, "pendulum", datetime=lambda *_, **__: None)
    module(monkeypatch, "airflow.sdk", DAG=dag)
    module(monkeypatch, "airflow.providers.standard.operators.bash", BashOperator=bash)
    exec(compile(text, "dag.py", "exec"), {})
    (given,) = dag.made
    assert (given["schedule"], given["max_active_runs"], given["catchup"]) == ("0 2 * * *", 1, False)
    first, second = bash.made
    assert (first["task_id"], second["task_id"], second["trigger_rule"]) == ("import", "tell", "all_done")
    for task in (first, second):
        done = sh(task["bash_command"], Path(task["cwd"]), klaviyo)
        assert done.returncode == 0, done.stderr
    assert "2 loaded" in imported(folder, klaviyo)


def test_dagster_runs_its_ops(folder: Path, klaviyo: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    text = recipe(folder, "dagster")

    def plain(*functions: Any, **_: Any) -> Any:
        return functions[0] if functions else lambda function: function

    class Failed(Exception):  # noqa: N818 - Dagster calls it Failure
        pass

    kept: Any = type("Schedule", (Recorder,), {"made": []})
    names = {"op": plain, "job": plain, "Failure": Failed, "Out": plain, "ScheduleDefinition": kept}
    module(monkeypatch, "dagster", DefaultScheduleStatus=type("S", (), {"RUNNING": 1}), Definitions=dict, **names)
    inside: dict[str, Any] = {}
    exec(compile(text, "job.py", "exec"), inside)
    assert kept.made[0]["cron_schedule"] == "0 2 * * *"
    said: list[str] = []
    context = type("Context", (), {"log": type("Log", (), {"info": staticmethod(said.append)})})
    for name in list(os.environ):
        if name.startswith("KLAVIYO_"):
            monkeypatch.delenv(name)
    for name, value in klaviyo.items():
        monkeypatch.setenv(name, value)
    ops = {name.partition("_")[0]: value for name, value in inside.items() if name.startswith(("import_", "tell_"))}
    code = ops["import"](context)
    ops["tell"](context, code)
    assert code == 0, said
    with pytest.raises(Failed, match="exit code 3"):
        ops["tell"](context, 3)
    assert "2 loaded" in imported(folder, klaviyo)


def test_github_reads_its_workflow(folder: Path) -> None:
    text = recipe(folder, "github")
    document = yaml.safe_load(text)
    # YAML 1.1 reads the key "on" as true.
    assert document[True] == {"schedule": [{"cron": "0 2 * * *"}], "workflow_dispatch": {}}
    assert document["concurrency"]["cancel-in-progress"] is False
    job = document["jobs"]["import"]
    assert job["env"]["NOTIFY_SLACK"] == "${{ secrets.NOTIFY_SLACK }}"
    runs = [step["run"] for step in job["steps"] if "run" in step]
    assert all("klaviyo-etl" in run for run in runs)
    assert "'run" not in runs[2]
    for run in runs:
        assert subprocess.run(["/bin/sh", "-n", "-c", run], check=False).returncode == 0
    schema = schema_of_github()
    if schema is not None:
        schema(document)


def schema_of_github() -> Any:
    """Return a check by the schema that editors use, where the package that holds it is installed."""
    found = Path(sys.prefix).glob("lib/python*/site-packages/check_jsonschema/builtin_schemas/vendor/*workflows*.json")
    path = next(found, None)
    if path is None:
        return None
    import json  # noqa: PLC0415 - where there is a schema

    import jsonschema  # noqa: PLC0415 - likewise

    def check(document: dict[Any, Any]) -> None:
        named = {"on" if key is True else key: value for key, value in document.items()}
        jsonschema.Draft7Validator(json.loads(path.read_text("utf-8"))).validate(named)

    return check


@pytest.mark.parametrize("scheduler", ["cron", "systemd", "airflow", "dagster", "github"])
def test_every_recipe_locks_tells_and_resumes(folder: Path, scheduler: str) -> None:
    text = recipe(folder, scheduler, "--max-age", "50h")
    for word in ("resume", "--non-interactive", "--notify", "50h"):
        assert word in text, word
    lock = {"cron": "flock -n", "systemd": "Type=oneshot", "airflow": "max_active_runs=1", "github": "concurrency:"}
    assert lock.get(scheduler, "A lock for each account is held") in text
    logs = {"cron": "date +\\%u", "systemd": "SystemMaxUse", "github": "retention-days", "airflow": "log cleanup"}
    assert logs.get(scheduler, "retention of its instance") in text
    assert "30h" in recipe(folder, scheduler), "the mapping says how often it comes"
    assert "NOBODY IS TOLD" not in text


def test_what_must_not_stand_in_a_recipe_is_refused(folder: Path) -> None:
    secret = ("--state", "postgresql://etl:hunter2@db/state")
    code, said = told(folder, "schedule", f"{folder.name}.csv", "--print", "cron", *secret)
    assert code == 2
    assert "[state-secret]" in said
    assert "hunter2" not in said
    code, said = told(folder, "schedule", "-m", f"{folder.name}.toml", "--print", "cron")
    assert code == 2
    assert "[source-missing]" in said
    code, said = told(folder, "schedule", f"{folder.name}.csv", "--print", "cron", "--at", "25:00")
    assert code == 2
    assert "02:00" in said


def test_a_mapping_of_events_is_scheduled_as_such(tmp_path: Path) -> None:
    mapping = '[source]\npath = "orders.csv"\n[event]\nmetric = "Order"\n[columns]\nE = "email"\nT = "time"\n'
    (tmp_path / "orders.toml").write_text(mapping, "utf-8")
    code, out, _ = spoken(tmp_path, "schedule", "-m", "orders.toml", "--print", "cron")
    assert code == 0
    assert " events --mapping orders.toml " in out
    assert "NOBODY IS TOLD YET" in out
