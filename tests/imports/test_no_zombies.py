"""A run that failed before anything was sent blocks nobody: the next one just runs. No answer to a question is a no."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from etl import pipeline
from etl.cli import _main
from etl.errors import ConfigError, EtlError, ExitCode, StateError, UsageError
from etl.model import RunStatus
from etl.pipeline.engine.load import load_run
from etl.pipeline.engine.sender import Loading
from etl.pipeline.kinds.profiles.kind import KIND
from etl.sandbox import SANDBOX_KEY, SandboxServer, SandboxSettings
from tests.support.cli_process import Forked, start_at_terminal
from tests.support.importer import ImporterFixture

JOBS = "POST /api/profile-bulk-import-jobs"


def statuses(desk: ImporterFixture) -> list[tuple[str, str]]:
    with desk.context.open_store() as store:
        return [(run.command, run.status.value) for run in reversed(store.runs.newest())]


def with_list(desk: ImporterFixture, name: str) -> None:
    desk.mapping = {**desk.mapping, "load": {**desk.mapping["load"], "list": name}}


def test_a_misspelt_list_does_not_block_the_night_after_it_was_mended(desk: ImporterFixture) -> None:
    desk.write(5)
    with_list(desk, "Nws")
    for _ in range(2):
        with pytest.raises(ConfigError, match="no list 'Nws'"):
            desk.run()
    with_list(desk, "News")
    assert desk.run().tally.loaded == 5
    assert statuses(desk) == [("run", "abandoned"), ("run", "abandoned"), ("run", "finished")]


@pytest.mark.parametrize(
    ("column", "fault"),
    [("list", {}), ("properties.x", {"load": {"list": "News", "missing": "mirror"}})],
    ids=["a list column", "mirror"],
)
def test_any_failure_on_the_way_to_the_first_request_leaves_the_way_clear(
    desk: ImporterFixture, column: str, fault: dict[str, Any]
) -> None:
    """Klaviyo goes away while the lists are looked up, or while the one to mirror is read."""
    desk.write([("1", "ann@mapleshop.com", "VIP")])
    desk.mapping = {"columns": {**desk.mapping["columns"], "Name": column}, "load": {"list": "News"}, **fault}
    desk.faults({"fault": "error_json", "endpoint": "GET /api/lists*", "status": 503})
    with pytest.raises(EtlError):
        desk.run()
    desk.faults()
    assert desk.run().tally.loaded == 1
    assert [status for command, status in statuses(desk) if command == "run"] == ["abandoned", "finished"]


def test_a_key_without_the_scope_is_no_run_in_flight(desk: ImporterFixture) -> None:
    """A request that Klaviyo surely refused has left nothing there: the source is read anew, and all of it goes."""
    desk.write(5)
    desk.faults({"fault": "key_revoked", "endpoint": JOBS, "times": 1})
    with pytest.raises(EtlError):
        desk.run()
    desk.faults()
    desk.write(6)
    assert desk.run().tally.loaded == 6


def test_a_signal_before_the_first_request_leaves_the_way_clear(desk: ImporterFixture) -> None:
    desk.write(5)

    def stop() -> bool:
        with desk.context.open_store() as store:
            return store.runs.latest([RunStatus.LOADING]) is not None

    report = pipeline.run(desk.source, desk.mapping, context=desk.process(should_stop=stop), verify="none")
    assert not report.complete
    assert desk.writes == 0
    assert desk.run().tally.loaded == 5


def test_a_run_of_which_something_may_have_arrived_still_blocks(desk: ImporterFixture) -> None:
    """The other half of the promise: what Klaviyo may have got is finished, or given up by a person."""
    desk.write(5)
    desk.faults({"fault": "answer_lost", "endpoint": JOBS}, {"fault": "error_json", "endpoint": f"GET{JOBS[4:]}"})
    with pytest.raises(EtlError):
        desk.run()
    desk.faults()
    with pytest.raises(StateError, match="not finished"):
        desk.run()
    assert pipeline.resume(context=desk.process()).tally.loaded == 5


def test_a_mapping_that_cannot_be_read_back_blocks_nobody(desk: ImporterFixture) -> None:
    """What an older version of the tool kept may be refused by this one."""
    desk.write(5)
    with_list(desk, "Nws")
    with pytest.raises(ConfigError):
        desk.run()
    with desk.context.open_store() as store:
        (run,) = store.runs.newest()
        with store.database.write() as connection:
            connection.exec_driver_sql("UPDATE runs SET mapping = '{\"columns\": {}}'")
    with pytest.raises(ConfigError, match="the mapping of the run"):
        pipeline.resume(run.id, context=desk.process())
    with_list(desk, "News")
    assert desk.run().tally.loaded == 5


def test_retry_looks_past_a_run_that_sent_nothing(desk: ImporterFixture) -> None:
    desk.write([("1", "ann@mapleshop.com", "Ann"), ("f", "b@sandbox-failed.com", "Cat")])
    first = desk.run()
    with_list(desk, "Nws")
    with pytest.raises(ConfigError):
        desk.run()
    again = pipeline.retry(context=desk.context)
    assert (again.parent, again.tally.read) == (first.run, 1)


def test_a_computed_column_is_read_back_from_state(desk: ImporterFixture) -> None:
    """It passed check and plan, and then no run with it could ever load."""
    desk.write(3)
    desk.mapping = {
        **desk.mapping,
        "computed": {"properties.label": {"template": "{Id} {Name}", "transform": ["upper"]}},
    }
    report = desk.run(verify="full")
    assert report.tally.loaded == 3
    assert [one.verdict for one in report.observed] == ["confirmed"]


# --- the question -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [KeyboardInterrupt, EOFError, RuntimeError])
def test_a_question_that_breaks_off_is_a_no(desk: ImporterFixture, error: type[BaseException]) -> None:
    desk.write(5)

    def confirm(_question: str) -> bool:
        raise error

    with pytest.raises(error):
        pipeline.run(desk.source, desk.mapping, context=desk.process(confirm=confirm), verify="none")
    with pytest.raises(UsageError, match="No run is unfinished"):
        pipeline.resume(context=desk.process())
    assert desk.writes == 0
    assert desk.run().tally.loaded == 5


def test_a_process_that_dies_at_the_question_leaves_nothing_to_resume(desk: ImporterFixture) -> None:
    desk.write(5)

    def confirm(_question: str) -> bool:
        with desk.context.open_store() as store:
            (run,) = store.runs.newest()
            # What another process sees while the question stands: all that a SIGKILL leaves behind.
            at = Loading(desk.process(), store, None, run.id, KIND.parse(run.mapping))  # type: ignore[arg-type]
            with pytest.raises(UsageError, match="nobody said yes"):
                load_run(KIND, at)
        return False

    with pytest.raises(UsageError, match="Nothing was sent"):
        pipeline.run(desk.source, desk.mapping, context=desk.process(confirm=confirm), verify="none")
    assert desk.writes == 0


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, SandboxServer]]:
    with SandboxServer(SandboxSettings(lists=("News",), job_seconds=0.05)) as server:
        (tmp_path / ".env").write_text(f"KLAVIYO_PRIVATE_KEY={SANDBOX_KEY}\n", encoding="utf-8")
        monkeypatch.setenv("KLAVIYO_BASE_URL", server.url)
        (tmp_path / "people.csv").write_text("Email\nann@mapleshop.com\nbob@mapleshop.com\n", encoding="utf-8")
        (tmp_path / "people.toml").write_text('[columns]\n"Email" = "email"\n', encoding="utf-8")
        yield tmp_path, server


def at_the_question(folder: Path, server: SandboxServer) -> tuple[Forked, int]:
    """Start an import on a terminal of its own and wait for its question; return the process and the terminal."""
    process, terminal = start_at_terminal(folder, "run", "people.csv", KLAVIYO_BASE_URL=server.url)
    said = b""
    while b"for the first time?" not in said:
        said += os.read(terminal, 4096)
    return process, terminal


@pytest.mark.parametrize("way", ["ctrl-c", "end of input", "closed terminal"])
def test_no_answer_on_a_real_terminal_is_a_no(
    folder: tuple[Path, SandboxServer],
    way: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    at, server = folder
    process, terminal = at_the_question(at, server)
    match way:
        case "ctrl-c":
            os.write(terminal, b"\x03")
        case "end of input":
            os.write(terminal, b"\x04")
        case "closed terminal":
            os.close(terminal)
    if way == "closed terminal":
        process.wait()
    else:
        said = b""
        with contextlib.suppress(OSError):  # the end, once nobody is at the other end
            while part := os.read(terminal, 4096):
                said += part
        assert process.wait() == {"ctrl-c": 130, "end of input": 2}[way], said
        os.close(terminal)
    monkeypatch.chdir(at)
    capsys.readouterr()
    assert _main(["resume", "--yes"]) == ExitCode.USAGE
    assert not any(count for name, count in server.sandbox.requests.items() if not name.startswith("GET"))
    assert _main(["run", "people.csv", "--yes", "--format", "json"]) == ExitCode.OK
    assert orjson.loads(capsys.readouterr().out)["tally"]["loaded"] == 2
