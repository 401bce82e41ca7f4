"""From the options of a command to the context its verb works in: settings, signals, the sandbox, the terminal."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from etl import config, extract, pipeline, sandbox, state
from etl.account_words import with_account
from etl.cli.answers import confirm as confirmed
from etl.cli.answers import interrupted
from etl.cli.origins import origins_text
from etl.cli.plan_text import plan_text
from etl.cli.signals import Signals
from etl.console import Console
from etl.errors import ConfigError, EtlError

if TYPE_CHECKING:
    from etl.config import EventMapping, Mapping, Settings
    from etl.klaviyo import Exchange
    from etl.pipeline import Context, Plan

SANDBOX_DATA: Final = "klaviyo-sandbox.db"


@dataclass(frozen=True, slots=True)
class Common:
    """The options that every command understands."""

    account: str | None = None
    state: str | None = None
    output: Path = Path("runs")
    sandbox: bool = False
    yes: bool = False
    agreed: bool = False  # ``yes`` was typed: nobody being there to ask is no agreement
    quiet: bool = False
    verbose: bool = False
    progress: bool = True
    debug: bool = False
    log_format: str = "text"


@dataclass(frozen=True, slots=True)
class Session:
    """A command at work."""

    context: Context
    console: Console
    signals: Signals
    common: Common

    @property
    def flags(self) -> str:
        """What a follow-up command needs to find the same state and account again, but for a password."""
        named = f" --account {self.common.account}" if self.common.account else ""
        named += f" --state {shlex.quote(state.shown(self.common.state))}" if self.common.state else ""
        return f"{named}{' --sandbox' if self.common.sandbox else ''}"


@contextlib.contextmanager
def session(common: Common, *, lists: tuple[str, ...] = (), trust: bool = False) -> Iterator[Session]:
    """Set everything up and take it down again.

    ``lists``: names that a rehearsal's sandbox shall have. ``trust``: the mapping's code may run, for this once.
    """
    console = Console(quiet=common.quiet, bars=common.progress, log_format=common.log_format)
    signals = Signals(console)
    settings = load_settings(common)
    if settings.from_dotenv:
        console.say(f"By .env in this folder: {', '.join(settings.from_dotenv)}")
    if common.verbose:
        for line in origins_text(settings):
            console.say(line)
    with contextlib.ExitStack() as stack:
        stack.callback(console.close)
        stack.enter_context(signals.caught())
        stack.enter_context(_named(settings.label))
        if common.sandbox:
            settings = stack.enter_context(_rehearsal(settings, lists, console))
        context = pipeline.Context(
            settings,
            progress=console.progress,
            announce=lambda sentence: console.say(with_account(sentence, settings.label)),
            **_asking(common, console, signals),
            agreed=common.agreed,
            trust=trust,
            should_stop=signals.should_stop,
            output=common.output,
            on_exchange=_exchange_logger(console) if common.debug else None,
        )
        if not common.sandbox:
            context = stack.enter_context(pipeline.observed(context, _command()))
        yield Session(context, console, signals, common)


def _command() -> str:
    here = click.get_current_context(silent=True)
    return (here.info_name if here is not None else None) or ""


def load_settings(common: Common) -> Settings:
    """Return the settings that a command's options ask for. Raise ConfigError."""
    return config.load_settings({"state": common.state, "account": common.account})


@contextlib.contextmanager
def _named(label: str) -> Iterator[None]:
    """Have every command that an error advises name the account."""
    try:
        yield
    except EtlError as error:
        error.hint = with_account(error.hint, label)
        raise


@contextlib.contextmanager
def _rehearsal(settings: Settings, lists: tuple[str, ...], console: Console) -> Iterator[Settings]:
    """Serve a local Klaviyo; of a named account one of its own, with its list, in its state, and without its key."""
    label, account = settings.label, settings.account
    data = Path(f"{Path(SANDBOX_DATA).stem}-{label}.db" if label else SANDBOX_DATA)
    usual = (settings.usual_list,) if settings.usual_list else ()
    rehearsing = sandbox.SandboxSettings(
        path=data, lists=tuple(dict.fromkeys((*lists, *usual))), account=sandbox.rehearsal_account(label)
    )
    with sandbox.SandboxServer(rehearsing) as server:
        console.say(f"Rehearsal: a local Klaviyo answers at {server.url}, its data is in {data}. Nothing leaves here.")
        named = None if account is None else account.rehearsed()
        yield replace(settings, private_key=sandbox.SANDBOX_KEY, base_url=server.url, account=named)


def find_mapping(file: str | None, given: Path | None) -> Path:
    """Return the mapping's path: the one given, else the TOML file beside the source. Raise ConfigError."""
    if given is not None:
        return given
    if file is None:
        raise ConfigError("mapping-missing", "Neither a file nor a mapping is given", "Name a FILE, or --mapping FILE.")
    beside = Path(file).with_suffix(".toml")
    if beside.is_file():
        return beside
    raise ConfigError(
        "mapping-missing",
        f"There is no mapping for {file}",
        f"klaviyo-etl init {shlex.quote(file)} writes one; or name it with --mapping.",
    )


def mapping_of(files: Sequence[str], given: Path | None, common: Common) -> Path | Mapping:
    """Return the mapping's path for these files, patterns or URLs; rows to fix have that of their run.

    Raise ConfigError.
    """
    try:
        return _mapping_beside(files, given)
    except ConfigError:
        if (found := _mapping_of_run(files, common, config.Mapping)) is not None:
            return found
        raise


def event_mapping_of(file: str | None, given: Path | None, common: Common) -> Path | EventMapping:
    """Return the mapping's path for a file of events; rows to fix have that of their run. Raise ConfigError."""
    try:
        return find_mapping(file, given)
    except ConfigError:
        if file is not None and (found := _mapping_of_run([file], common, config.EventMapping, "events")) is not None:
            return found
        raise


def _mapping_of_run(
    files: Sequence[str], common: Common, wanted: type[_Rules], kind: str = "profiles"
) -> _Rules | None:
    """Return the mapping of the run whose rows to fix these files hold."""
    context = pipeline.Context(load_settings(common))
    found = pipeline.mapping_of_rows(files, context, kind=kind) if files else None
    return found if isinstance(found, wanted) else None


def _mapping_beside(files: Sequence[str], given: Path | None) -> Path:
    if given is not None or not files:
        return find_mapping(None, given)
    if len(files) == 1 and extract.is_remote(files[0]):
        return find_mapping(extract.file_name(files[0]) or extract.masked(files[0]), None)
    if len(files) == 1 and (Path(files[0]).exists() or not set("*?[") & set(files[0])):
        return find_mapping(files[0], None)
    raise ConfigError(
        "mapping-missing",
        "Several files have no mapping of their own",
        "Name one with --mapping, for example -m crm.toml.",
    )


def rehearsed(mapping: Path | Mapping, common: Common) -> tuple[Mapping | Path, tuple[str, ...]]:
    """Return the mapping to use and the lists a sandbox needs for it."""
    if not common.sandbox:
        return mapping, ()
    rules = config.load_mapping(mapping) if isinstance(mapping, Path) else mapping
    names = tuple(name for name in (rules.load.list, rules.load.remove_from_list) if name)
    return _for_sandbox(rules, mapping.parent if isinstance(mapping, Path) else None), names


_Rules = TypeVar("_Rules", "Mapping", "EventMapping")


def rehearsed_events(mapping: Path | EventMapping, common: Common) -> EventMapping | Path:
    """Return the mapping of events to use."""
    if not common.sandbox:
        return mapping
    if isinstance(mapping, Path):
        return _for_sandbox(config.load_event_mapping(mapping), mapping.parent)
    return _for_sandbox(mapping, None)


def _for_sandbox(rules: _Rules, folder: Path | None) -> _Rules:
    source = rules.source
    if source.path is not None:
        source = source.model_copy(update={"path": source.paths_from(folder)})
    # The sandbox is never the account that the mapping expects.
    guards = rules.guards.model_copy(update={"expect_account": None})
    return rules.model_copy(update={"guards": guards, "source": source})


def _asking(common: Common, console: Console, signals: Signals) -> dict[str, Any]:
    """Return how a context asks, where there is somebody to answer."""
    if not console.interactive or not sys.stdin.isatty():
        return {}

    def ask_trust(question: str) -> bool:
        console.close()
        return confirmed(question, signals)

    if common.yes:
        # Yes to every question about the data; what runs on this machine is another matter.
        return {"ask_trust": ask_trust}

    def confirm(question: str) -> bool:
        console.close()
        try:
            return confirmed(question, signals)
        except click.Abort:
            console.show("")
            # The end of the input is no answer either.
            if signals.received is None:
                return False
            raise interrupted("sent") from None

    def on_plan(found: Plan) -> None:
        console.close()
        console.show(plan_text(found))

    return {
        "confirm": confirm,
        "on_plan": on_plan,
        "agree_to_merges": _typed(console, signals, "pairs of profiles will be merged"),
        "agree_to_deletions": _typed(console, signals, "profiles will be deleted"),
        "ask_trust": ask_trust,
        "disregard": confirm,
    }


def _typed(console: Console, signals: Signals, what: str) -> Callable[[int], bool]:
    """Return what asks for a number to be typed, of what happens for good."""

    def agree(count: int) -> bool:
        console.close()
        question = f"{count:,} {what}, for good. Type their number to go on"
        try:
            with signals.questioning():
                return str(click.prompt(question, default="", show_default=False, err=True)).strip() == str(count)
        except click.Abort:
            return False

    return agree


def with_merges(context: Context, pairs: int | None) -> Context:
    """Return the context with the number of pairs of profiles that the command line agrees to merge."""
    return context if pairs is None else replace(context, agree_to_merges=lambda planned: planned == pairs)


def with_deletions(context: Context, count: int | None) -> Context:
    """Return the context with the number of profiles that the command line agrees to have deleted."""
    return context if count is None else replace(context, agree_to_deletions=lambda planned: planned == count)


def _exchange_logger(console: Console) -> Any:
    def log(exchange: Exchange) -> None:
        status = exchange.status if exchange.status is not None else exchange.kind
        console.say(f"{exchange.endpoint} {status} in {exchange.seconds:.3f} s, {exchange.request_bytes:,} bytes sent")

    return log
