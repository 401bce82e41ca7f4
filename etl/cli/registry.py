"""The commands and where they are, so that a list of them is shown without importing any."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final, NamedTuple

import click

from etl.cli.manual.sections import SECTIONS


class Entry(NamedTuple):
    """Where a command is, ``module:attribute``, and the first sentence of its help."""

    place: str
    summary: str

    def load(self) -> click.Command:
        """Import the command."""
        module, _, attribute = self.place.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command


COMMANDS: Final[Mapping[str, Entry]] = {
    "init": Entry(
        "etl.cli.commands.init:init", "Read a sample of FILE (or several, or a query) and propose its mapping."
    ),
    "check": Entry(
        "etl.cli.commands.imports:check", "Read, judge and convert FILE (or several), and report what would be sent."
    ),
    "trust": Entry(
        "etl.cli.commands.settings.trust:trust",
        "Allow the Python code that MAPPING names to run: functions and schemas in files beside it.",
    ),
    "plan": Entry(
        "etl.cli.commands.plan:plan",
        "Show what run would do with FILE now: create, update (which fields), leave alone; lists, requests, time.",
    ),
    "run": Entry("etl.cli.commands.imports:run", "Import FILE into Klaviyo: stage, check the guards, load, report."),
    "resume": Entry("etl.cli.commands.imports:resume", "Finish an interrupted run: RUN, or the newest unfinished one."),
    "retry": Entry(
        "etl.cli.commands.imports:retry", "Send the failed and unknown rows of RUN again, or of the newest run."
    ),
    "verify": Entry(
        "etl.cli.commands.imports:verify",
        "Read the loaded rows of RUN back from Klaviyo and compare every field that was sent.",
    ),
    "undo": Entry(
        "etl.cli.commands.operations.undo:undo",
        "Take RUN back: what Klaviyo still has as RUN left it becomes what it was before.",
    ),
    "events": Entry(
        "etl.cli.commands.events:events",
        "Import events from FILE: order history with revenue, or anything else that happened.",
    ),
    "report": Entry("etl.cli.commands.report:report", "Render the report of RUN again, or of the newest run."),
    "rejects": Entry(
        "etl.cli.commands.report:rejects",
        "Write the rows to fix of RUN, or of the newest run, as CSV or as a workbook.",
    ),
    "runs": Entry("etl.cli.commands.report:runs", "List the newest runs: what each read, loaded and refused."),
    "status": Entry(
        "etl.cli.commands.operations.status:status",
        "Show the state of every import: the last run, its age, what is unfinished.",
    ),
    "purge": Entry(
        "etl.cli.commands.operations.purge:purge",
        "Remove the personal data of old runs from state and run folders; counts, codes and what is known stay.",
    ),
    "forget": Entry(
        "etl.cli.commands.operations.forget:forget",
        "Remove one person from state and run folders, and refuse them in every later file, form and event.",
    ),
    "notify": Entry(
        "etl.cli.commands.operations.notify:notify", "Tell people when the condition of an import changes: try it."
    ),
    "state": Entry(
        "etl.cli.commands.operations.state:state", "Look after the state: back it up, restore it, check it, move it."
    ),
    "schedule": Entry(
        "etl.cli.commands.operations.schedule:schedule",
        "Write what a scheduler needs to import FILE every night: lock, alert and rotation of logs included.",
    ),
    "accounts": Entry(
        "etl.cli.commands.settings.accounts:accounts",
        "Manage the accounts that --account may name: where each key is, its id, list and state.",
    ),
    "lists": Entry("etl.cli.commands.lists:lists", "Find, show and create lists, and export their members."),
    "profile": Entry("etl.cli.commands.profiles:profile", "Look up, write or delete one profile."),
    "event": Entry("etl.cli.commands.profiles:event", "Track one event."),
    "suppress": Entry(
        "etl.cli.commands.suppress:suppress",
        "Suppress every e-mail address in FILE: no marketing mail, whatever the consent.",
    ),
    "suppressions": Entry(
        "etl.cli.commands.suppress:suppressions",
        "List as CSV who must not be subscribed, as Klaviyo's webhooks reported (klaviyo-etl serve).",
    ),
    "serve": Entry(
        "etl.cli.commands.serve:serve", "Receive Klaviyo's signed webhooks, registration forms and checkouts over HTTP."
    ),
    "webhooks": Entry("etl.cli.commands.serve:webhooks", "Manage the account's webhooks."),
    "doctor": Entry(
        "etl.cli.commands.doctor:doctor",
        "Check that everything is ready: key, account, scopes, revision, clock, list, state.",
    ),
    "explain": Entry(
        "etl.cli.manual.commands:explain", "Say what CODE of a message or a report means, and what to do."
    ),
    "docs": Entry("etl.cli.manual.commands:docs", "Show a page of the documentation, or the list of TOPICs."),
    "sandbox": Entry(
        "etl.cli.commands.doctor:sandbox", "Serve a local Klaviyo for rehearsals: real HTTP, real limits, real traps."
    ),
}


class LazyGroup(click.Group):
    """Imports a command when it is called or asked for its own help or options.

    What lists its commands, help and completion, finds their names and summaries, in the order of the sections.
    """

    def __init__(self, *, entries: Mapping[str, Entry] = COMMANDS, **attributes: Any) -> None:
        listed = {name: click.Command(name, help=entry.summary) for name, entry in entries.items()}
        super().__init__(commands=listed, **attributes)
        self._entries = entries

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names, in the order of the sections."""
        order = [name for section in SECTIONS.values() for name in section]
        return sorted(self._entries, key=order.index)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as above
        """Write the commands section by section."""
        for heading, section in SECTIONS.items():
            if rows := [(name, said) for name, said in section.items() if name in self._entries]:
                with formatter.section(heading):
                    formatter.write_dl(rows, col_spacing=2)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the name of a command, the command itself, and its arguments."""
        name, command, rest = super().resolve_command(ctx, args)
        entry = self._entries.get(name or "")
        return name, entry.load() if entry is not None else command, rest
