"""The status for machines: JSON, and the text format that Prometheus reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from etl.monitor.model import Condition, SourceStatus, Status
from etl.printable import printable_json
from etl.version import VERSION

FORMAT: Final = 1
"""Version of the JSON; it changes when a field goes or means something else."""

_Sample = tuple[Mapping[str, str], float]


def status_document(status: Status) -> dict[str, Any]:
    """Return the status as plain data; times are ISO 8601 in UTC, ages seconds."""
    return {
        "format": FORMAT,
        "level": status.level.name.lower(),
        "exit_code": int(status.level),
        "state": status.state,
        "at": instant(status.at),
        "sources": [_source(one, status.at) for one in status.sources],
        "opt_outs": [
            {
                "account": one.account,
                "account_label": one.label or None,
                "received": one.count,
                "last_at": instant(one.last_at),
            }
            for one in status.opt_outs
        ],
        "outbox": {"waiting": status.outbox, "oldest_at": instant(status.outbox_since), "late": status.outbox_late},
        "alerts_waiting": status.alerts_waiting,
    }


def render_json(status: Status) -> str:
    """Return the document, newline at the end."""
    text = orjson.dumps(status_document(status), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()
    return printable_json(text)


def render_prometheus(status: Status) -> str:
    """Return the status in Prometheus' text format, for the textfile collector of its node exporter."""
    lines: list[str] = []
    for name, help_text, samples in _metrics(status):
        found = list(samples)
        if found:
            lines += [f"# HELP {name} {help_text}", f"# TYPE {name} gauge"]
            lines += [f"{name}{_labels(labels)} {_number(value)}" for labels, value in found]
    return "\n".join(lines) + "\n"


def instant(seconds: float | None) -> str | None:
    """Return a moment as ISO 8601 in UTC, to the second."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if seconds is not None else None


def _source(one: SourceStatus, now: float) -> dict[str, Any]:
    last, problem = one.last, one.problem
    return {
        "account": one.account or None,
        "account_name": one.account_name or None,
        "account_label": one.label or None,
        "source": one.source,
        "kind": one.kind,
        "condition": one.condition.value,
        "level": one.level.name.lower(),
        "since": instant(one.since),
        "age_seconds": round(now - one.success_at) if one.success_at is not None else None,
        "max_age_seconds": one.max_age,
        "last_success_at": instant(one.success_at),
        "run": None
        if last is None
        else {
            "id": last.id,
            "command": last.command,
            "status": last.status,
            "started_at": instant(last.started_at),
            "finished_at": instant(last.finished_at),
            "rows": dict(last.rows),
            "objection": last.objection or None,
        },
        "problem": None
        if problem is None
        else {"code": problem.code, "message": problem.message, "hint": problem.hint, "at": instant(problem.at)},
        "next": one.next_step or None,
    }


def _metrics(status: Status) -> Iterator[tuple[str, str, Iterable[_Sample]]]:
    sources = [(_named(one), one) for one in status.sources]
    yield "klaviyo_etl_build_info", "The version that wrote this file.", [({"version": VERSION}, 1)]
    yield "klaviyo_etl_status_timestamp_seconds", "When this was written.", [({}, status.at)]
    yield "klaviyo_etl_status", "The worst of all: 0 well, 1 warning, 2 critical.", [({}, status.level)]
    yield (
        "klaviyo_etl_source_status",
        "How a source does: 0 well, 1 warning, 2 critical.",
        [(labels, one.level) for labels, one in sources],
    )
    yield (
        "klaviyo_etl_source_condition",
        "1 for the condition that a source is in.",
        [
            ({**labels, "condition": condition.value}, one.condition is condition)
            for labels, one in sources
            for condition in Condition
        ],
    )
    yield (
        "klaviyo_etl_last_run_timestamp_seconds",
        "When the newest run of a source began.",
        [(labels, one.last.started_at) for labels, one in sources if one.last is not None],
    )
    yield (
        "klaviyo_etl_last_success_timestamp_seconds",
        "When an import of a source last finished.",
        [(labels, one.success_at) for labels, one in sources if one.success_at is not None],
    )
    yield (
        "klaviyo_etl_last_run_rows",
        "Rows of the newest run of a source, by outcome.",
        [
            ({**labels, "outcome": outcome}, count)
            for labels, one in sources
            if one.last is not None
            for outcome, count in one.last.rows.items()
        ],
    )
    yield (
        "klaviyo_etl_opt_outs_received",
        "Opt-outs that webhooks told.",
        [({"account": one.account}, one.count) for one in status.opt_outs],
    )
    yield "klaviyo_etl_outbox_waiting", "Requests that Klaviyo does not have yet.", [({}, status.outbox)]
    if status.outbox_since is not None:
        oldest = "When the oldest waiting request was accepted."
        yield "klaviyo_etl_outbox_oldest_timestamp_seconds", oldest, [({}, status.outbox_since)]
    yield "klaviyo_etl_alerts_waiting", "Alerts that could not be delivered yet.", [({}, status.alerts_waiting)]


def _named(one: SourceStatus) -> dict[str, str]:
    named = {"account_label": one.label} if one.label else {}
    return {"account": one.account, **named, "source": one.source, "kind": one.kind}


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else f"{value:.3f}"
