"""Tables of what is told to people: how commands ended, which condition was told last, what is still to be told."""

from __future__ import annotations

import sqlalchemy as sa

from etl.state.db.metadata import Integer, metadata

# Commands that ended with an error, the last of each source and account; what a run says of itself is in runs.
# ``label``: the name of the account, ``account``: its id as far as it was known then, both empty where nobody said.
# ``message`` holds nobody's data. ``kind``: profiles, events or suppressions.
failed_commands = sa.Table(
    "failed_commands",
    metadata,
    sa.Column("label", sa.Text, primary_key=True),
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("failed_at", sa.Double, nullable=False),
    sa.Column("command", sa.Text, nullable=False),
    sa.Column("code", sa.Text, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("hint", sa.Text, nullable=False),
    sa.Column("run", sa.Text),
)

# The condition of each source that was last told, or that needed no telling because nothing was known before.
told_conditions = sa.Table(
    "told_conditions",
    metadata,
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("condition", sa.Text, nullable=False),
    sa.Column("since", sa.Double, nullable=False),
)

# Changes of condition that are to be told. ``body``: JSON of the alert; ``rule``: JSON of the mapping's [notify], as it
# is written; ``owner``, until ``owned_until``: the process that delivers it.
alerts = sa.Table(
    "alerts",
    metadata,
    sa.Column("id", Integer, primary_key=True, autoincrement=True),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("raised_at", sa.Double, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("rule", sa.Text, nullable=False),
    sa.Column("done_at", sa.Double),
    sa.Column("owner", sa.Text),
    sa.Column("owned_until", sa.Double),
    sqlite_autoincrement=True,
)

# By which channel an alert has arrived, or why not yet.
alert_deliveries = sa.Table(
    "alert_deliveries",
    metadata,
    sa.Column("alert", Integer, primary_key=True),
    sa.Column("channel", sa.Text, primary_key=True),
    sa.Column("attempts", Integer, nullable=False, server_default="0"),
    sa.Column("delivered_at", sa.Double),
    sa.Column("problem", sa.Text, nullable=False, server_default=""),
)
