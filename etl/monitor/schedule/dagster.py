"""A job and its schedule for Dagster."""

from __future__ import annotations

from etl.monitor.schedule.model import File, Job, commented

_TEXT = '''"""Klaviyo import."""

{notes}
# Logs are Dagster's own, kept by the retention of its instance.

import subprocess

from dagster import DefaultScheduleStatus, Definitions, Failure, Out, ScheduleDefinition, job, op

FOLDER = {folder!r}
RESUME = {resume!r}
RUN = {run!r}
WATCH = {watch!r}


def call(context, command):
    """Run a command in the folder, log what it says, and return its exit code."""
    done = subprocess.run(command, cwd=FOLDER, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    context.log.info(done.stdout)
    return done.returncode


@op(out={{"code": Out(int)}})
def import_{word}(context):
    """Finish what a crash left, then import. Returns the exit code, so that the watchman comes after any."""
    call(context, RESUME)
    return call(context, RUN)


@op
def tell_{word}(context, code: int):
    """Tell what nobody saw, and fail where the import did; 1 means that rows were not loaded, which is no crash."""
    call(context, WATCH)
    if code not in (0, 1):
        raise Failure(f"exit code {{code}}")


@job(tags={{"dagster/max_runtime": "86400"}})
def klaviyo_{word}():
    """One night."""
    tell_{word}(import_{word}())


defs = Definitions(
    jobs=[klaviyo_{word}],
    schedules=[
        ScheduleDefinition(
            job=klaviyo_{word},
            cron_schedule={schedule!r},
            execution_timezone="UTC",
            default_status=DefaultScheduleStatus.RUNNING,
        )
    ],
)
'''


def files(job: Job) -> list[File]:
    """Return the definitions."""
    word = job.name.replace("-", "_")
    text = _TEXT.format(
        notes=commented(job.notes),
        word=word,
        folder=job.folder,
        resume=list(job.resume),
        run=list(job.run),
        watch=list(job.watch),
        schedule=f"{job.minute} {job.hour} * * *",
    )
    return [File(f"klaviyo_{word}.py", text, "your code location")]
