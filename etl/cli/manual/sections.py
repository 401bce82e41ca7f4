"""The list of commands as ``--help`` shows it: by what people are about to do, each in a line that fits a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SECTIONS: Final[Mapping[str, Mapping[str, str]]] = {
    "An import": {
        "init": "Propose a mapping for a file, several, or a query.",
        "check": "Read and judge a file; show what would be sent. No key.",
        "trust": "Allow the Python code that a mapping names to run.",
        "plan": "Show what a run would create, update and leave alone.",
        "run": "Import profiles: stage, check the guards, load, report.",
        "events": "Import events, such as order history with revenue.",
        "suppress": "Suppress every address in a file: no marketing mail.",
    },
    "After a run": {
        "report": "Show the report of a run again.",
        "rejects": "Write the rows to fix, as CSV or as a workbook.",
        "resume": "Finish a run that was interrupted.",
        "retry": "Send failed and unknown rows again.",
        "verify": "Read loaded rows back and compare every field.",
        "undo": "Put back what a run changed, where nobody did since.",
        "runs": "List the newest runs.",
    },
    "Every night": {
        "status": "Show the state of every import, for people and monitors.",
        "notify": "Try the alerts that tell when that state changes.",
        "schedule": "Write what cron, systemd, Airflow and others need.",
    },
    "One by one": {
        "profile": "Look up, write or delete one profile.",
        "event": "Track one event.",
        "lists": "Find, show and create lists; export their members.",
    },
    "What Klaviyo tells": {
        "serve": "Receive signed webhooks, forms and checkouts.",
        "webhooks": "Manage the webhooks of the account.",
        "suppressions": "List who must not be subscribed, as webhooks said.",
    },
    "Data kept here": {
        "state": "Back up, restore, check or move the state.",
        "purge": "Remove the personal data of old runs.",
        "forget": "Remove one person everywhere, and keep them out.",
    },
    "Settings and help": {
        "doctor": "Check key, account, scopes, revision, clock, list, state.",
        "accounts": "Name several accounts, each with its key and state.",
        "sandbox": "Serve a local Klaviyo for rehearsals.",
        "explain": "Say what a code means, and what to do.",
        "docs": "Show the documentation that came with the program.",
    },
}
"""Heading → command → what it does."""
