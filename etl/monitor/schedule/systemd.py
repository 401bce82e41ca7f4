"""Units and timers of systemd."""

from __future__ import annotations

from collections.abc import Sequence

from etl.monitor.schedule.model import File, Job, commented, one_line

_NAMESPACE = "klaviyo-etl"


def files(job: Job) -> list[File]:
    """Return the service and its timer, the watchman and his, and how long the journal is kept."""
    name, place = f"klaviyo-{job.name}", "/etc/systemd/system/"
    journal = f"# 200 MB or three months of log, whichever is less.\n[Journal]\nSystemMaxUse=200M\n{_KEPT}\n"
    return [
        File(f"{name}.service", _service(job, name), place),
        File(f"{name}.timer", _timer(job, job.hour, "The nightly import", "RandomizedDelaySec=5min"), place),
        File(f"{name}-watch.service", _watch(job), place),
        File(f"{name}-watch.timer", _timer(job, job.watch_hour, "The watchman of the import"), place),
        File(f"journald@{_NAMESPACE}.conf", journal, "/etc/systemd/"),
    ]


_KEPT = "MaxRetentionSec=3month"


def _service(job: Job, name: str) -> str:
    return "\n".join(
        [
            commented(job.notes),
            "# systemd starts no second one while the first is at work.",
            "[Unit]",
            f"Description=Klaviyo import: {_plain(job.title)}",
            "Wants=network-online.target",
            "After=network-online.target",
            f"OnFailure={name}-watch.service",
            "",
            "[Service]",
            "Type=oneshot",
            *_where(job),
            f"ExecStartPre=-{_command(job.resume)}",
            f"ExecStart={_command(job.run)}",
            "SuccessExitStatus=1",
            "TimeoutStartSec=infinity",
            "TimeoutStopSec=90",
            "Nice=10",
            "",
        ]
    )


def _watch(job: Job) -> str:
    return "\n".join(
        [
            "# Tells what nobody saw: a night that did not come, a process that was killed.",
            "[Unit]",
            f"Description=Klaviyo import, watched: {_plain(job.title)}",
            "Wants=network-online.target",
            "After=network-online.target",
            "",
            "[Service]",
            "Type=oneshot",
            *_where(job),
            f"ExecStart={_command(job.watch)}",
            "# What it says is in the journal and in the alerts; that it is no good news is no failure of this unit.",
            "SuccessExitStatus=1 2",
            "",
        ]
    )


def _timer(job: Job, hour: int, what: str, *more: str) -> str:
    return "\n".join(
        [
            "[Unit]",
            f"Description={what}: {_plain(job.title)}",
            "",
            "[Timer]",
            f"OnCalendar=*-*-* {hour:02}:{job.minute:02}:00",
            "Persistent=true",
            *more,
            "",
            "[Install]",
            "WantedBy=timers.target",
            "",
        ]
    )


def _where(job: Job) -> list[str]:
    return [
        *([f"User={job.user}"] if job.user else []),
        f"WorkingDirectory={_plain(job.folder)}",
        f"LogNamespace={_NAMESPACE}",
        "UMask=0077",
        "NoNewPrivileges=yes",
        "PrivateTmp=yes",
        "ProtectSystem=strict",
        f"ReadWritePaths={_word(job.folder)}",
    ]


def _plain(text: str) -> str:
    """Return a text in which systemd sees no specifier."""
    return one_line(text).replace("%", "%%")


def _command(words: Sequence[str]) -> str:
    return " ".join(map(_word, words))


def _word(text: str) -> str:
    """Return a word as systemd reads it: quoted, without specifiers or variables."""
    text = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    plain = text and not set(text) & set(" \t'\"\\;")
    return text if plain else f'"{text}"'
