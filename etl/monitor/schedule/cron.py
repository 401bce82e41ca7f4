"""Lines for a crontab."""

from __future__ import annotations

from etl.monitor.schedule.model import File, Job, commented, shell


def files(job: Job) -> list[File]:
    """Return the crontab."""
    into = f"cd {shell([job.folder])} && mkdir -p logs"
    # date +%u: a log a weekday, so that seven are kept and none grows for ever.
    log = f"logs/{job.name}-$(date +%u).log"
    work = f"{{ {shell(job.resume)} || true; {shell(job.run)}; }} > {log} 2>&1"
    nightly = f"{into} && flock -n .{job.name}.lock sh -c {shell([work])}"
    watch = f"{into} && {shell(job.watch)} > logs/{job.name}-status.log 2>&1"
    notes = [
        *job.notes,
        f"The key is read from {job.key_place}. flock keeps a second one out while the first is at work;",
        "each weekday has its log, which is written over a week later.",
    ]
    text = "\n".join(
        [
            commented(notes),
            f"{job.minute} {job.hour} * * * {_escaped(nightly)}",
            "# Tells what nobody saw: a night that did not come, a process that was killed.",
            f"{job.minute} {job.watch_hour} * * * {_escaped(watch)}",
        ]
    )
    return [File(f"{job.name}.cron", f"{text}\n", "add to: crontab -e")]


def _escaped(command: str) -> str:
    """Return a command whose percent signs cron leaves alone."""
    return command.replace("%", "\\%")
