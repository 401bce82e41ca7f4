"""Tables of the state database; what keeps them from being changed where they must not be is in triggers.py."""

from __future__ import annotations

import sqlalchemy as sa

from etl.state.db import alert_tables
from etl.state.db.metadata import Integer as _Integer
from etl.state.db.metadata import metadata as metadata_of_all

metadata = metadata_of_all

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("seq", _Integer, primary_key=True, autoincrement=True),
    sa.Column("id", sa.Text, nullable=False, unique=True),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("mapping_hash", sa.Text, nullable=False),
    sa.Column("mapping", sa.Text, nullable=False),
    sa.Column("account", sa.Text),
    sa.Column("command", sa.Text, nullable=False),
    sa.Column("tool_version", sa.Text, nullable=False),
    sa.Column("options", sa.Text, nullable=False),
    sa.Column("parent", sa.Text),
    sa.Column("pilot", sa.SmallInteger, nullable=False, server_default="0"),
    sa.Column("started_at", sa.Double, nullable=False),
    sa.Column("staged_at", sa.Double),
    sa.Column("finished_at", sa.Double),
    sa.Column("details", sa.Text, nullable=False, server_default="{}"),
)

# ``pilot``, above: what this run confirms does not count as known afterwards (--limit).

# The original cells of a chunk, compressed: the rejects file needs them when the source is long gone.
blocks = sa.Table(
    "blocks",
    metadata,
    sa.Column("run", _Integer, primary_key=True),
    sa.Column("first_line", _Integer, primary_key=True),
    sa.Column("last_line", _Integer, nullable=False),
    sa.Column("cells", sa.LargeBinary, nullable=False),
    sa.Column("ragged", sa.LargeBinary, nullable=False),
)

# ``ops``: list operations still open for the row; the last one to settle writes the outcome.
rows = sa.Table(
    "rows",
    metadata,
    sa.Column("run", _Integer, primary_key=True),
    sa.Column("line", _Integer, primary_key=True),
    sa.Column("outcome", sa.Text),
    sa.Column("code", sa.Text),
    sa.Column("step", sa.Text, nullable=False),
    sa.Column("unchanged", sa.SmallInteger, nullable=False, server_default="0"),
    sa.Column("primary_line", _Integer),
    sa.Column("batch", _Integer),
    sa.Column("ops", sa.SmallInteger, nullable=False, server_default="0"),
    sa.Column("klaviyo_id", sa.Text),
    sqlite_with_rowid=False,
)

# What is to be sent, a few thousand records in a row of packed columns; packing.py says how.
record_blocks = sa.Table(
    "record_blocks",
    metadata,
    sa.Column("run", _Integer, primary_key=True),
    sa.Column("first_line", _Integer, primary_key=True),
    sa.Column("last_line", _Integer, nullable=False),
    *(
        sa.Column(name, sa.LargeBinary, nullable=False)
        for name in ("lines", "sizes", "fingerprints", "identities", "hashes", "extras", "bodies")
    ),
)

# Records that were changed after their block was written (duplicates that became one); they count instead.
records = sa.Table(
    "records",
    metadata,
    sa.Column("run", _Integer, primary_key=True),
    sa.Column("line", _Integer, primary_key=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("fingerprint", sa.LargeBinary, nullable=False),
    sa.Column("identity", sa.LargeBinary, nullable=False),
    sa.Column("lists", sa.Text),
    sa.Column("clears", sa.SmallInteger, nullable=False, server_default="0"),
    sqlite_with_rowid=False,
)

# ``left_out``: the issue cost its cell, and nothing else.
issues = sa.Table(
    "issues",
    metadata,
    sa.Column("id", _Integer, primary_key=True, autoincrement=True),
    sa.Column("run", _Integer, nullable=False),
    sa.Column("line", _Integer, nullable=False),
    sa.Column("stage", sa.Text, nullable=False),
    sa.Column("code", sa.Text, nullable=False),
    sa.Column("column_name", sa.Text),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("severity", sa.Text, nullable=False),
    sa.Column("suggestion", sa.Text, nullable=False),
    sa.Column("left_out", sa.SmallInteger, nullable=False, server_default="0"),
    sa.Index("issues_by_line", "run", "line"),
)

# ``members``: the lines in the order of the request, packed as little-endian 64-bit integers.
batches = sa.Table(
    "batches",
    metadata,
    sa.Column("id", _Integer, primary_key=True, autoincrement=True),
    sa.Column("run", _Integer, sa.ForeignKey("runs.seq"), nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("members", sa.LargeBinary, nullable=False),
    sa.Column("row_count", _Integer, nullable=False),
    sa.Column("lists", sa.Text, nullable=False),
    sa.Column("size", _Integer, nullable=False),
    sa.Column("parent", _Integer),
    sa.Column("job_id", sa.Text),
    sa.Column("expires_at", sa.Double),
    sa.Column("attempts", _Integer, nullable=False, server_default="0"),
    sa.Column("not_before", sa.Double, nullable=False, server_default="0"),
    sa.Column("sent_at", sa.Double),
    sa.Column("resent", sa.SmallInteger, nullable=False, server_default="0"),
    sa.Column("adopted", sa.SmallInteger, nullable=False, server_default="0"),
    sa.Index("batches_by_status", "run", "status"),
)

attempts = sa.Table(
    "attempts",
    metadata,
    sa.Column("batch", _Integer, sa.ForeignKey("batches.id"), primary_key=True),
    sa.Column("number", _Integer, primary_key=True),
    sa.Column("started_at", sa.Double, nullable=False),
    sa.Column("ended_at", sa.Double),
    sa.Column("reply", sa.Text),
    sa.Column("status", _Integer),
    sa.Column("detail", sa.Text),
)

# What the last confirmed import of an identity sent, and the lists it is known to be on.
known_profiles = sa.Table(
    "known_profiles",
    metadata,
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("identity", sa.LargeBinary, primary_key=True),
    sa.Column("fingerprint", sa.LargeBinary, nullable=False),
    sa.Column("mapping_hash", sa.Text, nullable=False),
    sa.Column("klaviyo_id", sa.Text),
    sa.Column("confirmed_at", sa.Double, nullable=False),
    sa.Column("run", _Integer, nullable=False),
    sqlite_with_rowid=False,
)

known_memberships = sa.Table(
    "known_memberships",
    metadata,
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("identity", sa.LargeBinary, primary_key=True),
    sa.Column("list_id", sa.Text, primary_key=True),
    sqlite_with_rowid=False,
)

# Logs of what was confirmed since the tables above were last brought up to date; see known.py.
confirmed_profiles = sa.Table(
    "confirmed_profiles",
    metadata,
    sa.Column("id", _Integer, primary_key=True, autoincrement=True),
    sa.Column("run", _Integer, nullable=False),
    sa.Column("identity", sa.LargeBinary, nullable=False),
    sa.Column("fingerprint", sa.LargeBinary, nullable=False),
    sa.Column("klaviyo_id", sa.Text),
    sa.Column("confirmed_at", sa.Double, nullable=False),
    sqlite_autoincrement=True,
)

confirmed_memberships = sa.Table(
    "confirmed_memberships",
    metadata,
    sa.Column("id", _Integer, primary_key=True, autoincrement=True),
    sa.Column("run", _Integer, nullable=False),
    sa.Column("identity", sa.LargeBinary, nullable=False),
    sa.Column("list_id", sa.Text, nullable=False),
    sa.Column("member", sa.SmallInteger, nullable=False),
    sqlite_autoincrement=True,
)

# What verify read back from Klaviyo. ``fields``: names of what differs, as a JSON array; never a value.
observations = sa.Table(
    "observations",
    metadata,
    sa.Column("run", _Integer, primary_key=True),
    sa.Column("line", _Integer, primary_key=True),
    sa.Column("verdict", sa.Text, nullable=False),
    sa.Column("fields", sa.Text, nullable=False),
    sa.Column("observed_at", sa.Double, nullable=False),
    sqlite_with_rowid=False,
)

# How far an incremental query has come in an account; see watermarks.py. ``source``: hash of the query.
watermarks = sa.Table(
    "watermarks",
    metadata,
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("value", sa.Text, nullable=False),
    sa.Column("run", _Integer, nullable=False),
    sa.Column("moved_at", sa.Double, nullable=False),
)

# What a row asks for its person's consent; see consents.py. ``at``: ISO 8601; ``result``: once it has one.
consents = sa.Table(
    "consents",
    metadata,
    sa.Column("run", _Integer, primary_key=True),
    sa.Column("line", _Integer, primary_key=True),
    sa.Column("channel", sa.Text, primary_key=True),
    sa.Column("wish", sa.Text, nullable=False),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("birthday", sa.Text, nullable=False),
    sa.Column("result", sa.Text),
    sqlite_with_rowid=False,
)

# Who opted out on any line of a run's source, sent or not, a chunk at a time; see opt_outs.py. ``name``: of the
# identifiers, or ANYBODY; ``certain``: their words were understood.
source_opt_outs = sa.Table(
    "source_opt_outs",
    metadata,
    sa.Column("id", _Integer, primary_key=True, autoincrement=True),
    sa.Column("run", _Integer, nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("certain", sa.SmallInteger, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("hashes", sa.LargeBinary, nullable=False),
    sa.Index("source_opt_outs_by_run", "run", "channel"),
)

# What Klaviyo's webhooks told us, as a log that is only ever added to; see notices.py. Addresses as they are compared.
notices = sa.Table(
    "notices",
    metadata,
    sa.Column("id", _Integer, primary_key=True, autoincrement=True),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("event_id", sa.Text, nullable=False),
    sa.Column("topic", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("email", sa.Text),
    sa.Column("phone_number", sa.Text),
    sa.Column("profile_id", sa.Text),
    sa.Column("happened_at", sa.Double, nullable=False),
    sa.Column("received_at", sa.Double, nullable=False),
    sa.UniqueConstraint("account", "event_id", name="notices_once"),
    sa.Index("notices_by_email", "account", "email"),
    sa.Index("notices_by_phone", "account", "phone_number"),
    sa.Index("notices_by_profile", "account", "profile_id"),
    sqlite_autoincrement=True,
)

# Who was deleted at their request, as salted digests; ``person``: one for all of a request. ``screen``: a few
# bits of the identifier, by which whole blocks are looked through. ``salts``: secrets of this state.
forgotten = sa.Table(
    "forgotten",
    metadata,
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("digest", sa.LargeBinary, primary_key=True),
    sa.Column("person", sa.LargeBinary, nullable=False),
    sa.Column("forgotten_at", sa.Double, nullable=False),
    sa.Column("screen", _Integer),
    sqlite_with_rowid=False,
)

salts = sa.Table(
    "salts",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("salt", sa.LargeBinary, nullable=False),
)

# Requests of forms and checkouts that were accepted, until Klaviyo has them; see outbox.py. ``body``: what to send;
# ``uid``: tells it from those of every other state; ``owner``, until ``owned_until``: the process that has it in hand;
# ``progress``: JSON of the steps that are done; ``account``: the name of the account, empty where it has none.
outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("id", _Integer, primary_key=True, autoincrement=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("accepted_at", sa.Double, nullable=False),
    sa.Column("attempts", _Integer, nullable=False, server_default="0"),
    sa.Column("not_before", sa.Double, nullable=False, server_default="0"),
    sa.Column("done_at", sa.Double),
    sa.Column("result", sa.Text),
    sa.Column("uid", sa.Text),
    sa.Column("owner", sa.Text),
    sa.Column("owned_until", sa.Double),
    sa.Column("progress", sa.Text),
    sa.Column("account", sa.Text),
    sa.Index("outbox_waiting", "done_at", "not_before"),
    sqlite_autoincrement=True,
)

# Whom a request in the outbox is about: hashes of identifiers, while it waits. Requests that share one keep their
# order.
outbox_keys = sa.Table(
    "outbox_keys",
    metadata,
    sa.Column("parcel", _Integer, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Index("outbox_by_key", "key"),
    sqlite_with_rowid=False,
)

# Fields of a row that were left out when it was sent, because Klaviyo had a value; names as a JSON array.
kept_fields = sa.Table(
    "kept_fields",
    metadata,
    sa.Column("run", _Integer, primary_key=True),
    sa.Column("line", _Integer, primary_key=True),
    sa.Column("fields", sa.Text, nullable=False),
    sqlite_with_rowid=False,
)

# What Klaviyo had before a batch changed it, compressed JSON of up to a thousand rows; see before_values.py. Personal
# data. ``origin``: the batch that this one took the place of, the first of them.
before_values = sa.Table(
    "before_values",
    metadata,
    sa.Column("id", _Integer, primary_key=True, autoincrement=True),
    sa.Column("run", _Integer, nullable=False),
    sa.Column("batch", _Integer, sa.ForeignKey("batches.id"), nullable=False),
    sa.Column("origin", _Integer, nullable=False),
    sa.Column("first_line", _Integer, nullable=False),
    sa.Column("last_line", _Integer, nullable=False),
    sa.Column("row_count", _Integer, nullable=False),
    sa.Column("block", sa.LargeBinary, nullable=False),
    sa.Index("before_values_by_line", "run", "first_line", "id"),
    sa.Index("before_values_by_batch", "batch"),
    sqlite_autoincrement=True,
)

# Lines of one person that became the line named here. ``lines``: the others; ``fields``: columns in which they
# differed; both as JSON arrays, never a value.
merges = sa.Table(
    "merges",
    metadata,
    sa.Column("run", _Integer, primary_key=True),
    sa.Column("line", _Integer, primary_key=True),
    sa.Column("lines", sa.Text, nullable=False),
    sa.Column("fields", sa.Text, nullable=False),
    sqlite_with_rowid=False,
)

# Profiles to be merged in Klaviyo before their row is sent, and how far each merge is; see profile_merges.py.
profile_merges = sa.Table(
    "profile_merges",
    metadata,
    sa.Column("run", _Integer, primary_key=True),
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("line", _Integer, nullable=False),
    sa.Column("destination", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("attempts", _Integer, nullable=False, server_default="0"),
    sa.Column("sent_at", sa.Double),
    sqlite_with_rowid=False,
)

failed_commands = alert_tables.failed_commands
told_conditions = alert_tables.told_conditions
alerts = alert_tables.alerts
alert_deliveries = alert_tables.alert_deliveries

# Where this state came from, and where it has gone: see moved.py. ``place``: the other one, without its passwords.
moves = sa.Table(
    "moves",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("place", sa.Text, nullable=False),
    sa.Column("at", sa.Double, nullable=False),
)

migrations = sa.Table(
    "migrations",
    metadata,
    sa.Column("number", _Integer, primary_key=True, autoincrement=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("applied_at", sa.Double, nullable=False),
)

# Who may write for an account: ``token`` grows with every take-over, and a transaction of an earlier owner is refused.
# ``holder``: JSON of the process, emptied when it lets go; what is left there was left by a crash, or is still at work.
owners = sa.Table(
    "owners",
    metadata,
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("token", _Integer, nullable=False),
    sa.Column("holder", sa.Text, nullable=False),
)
