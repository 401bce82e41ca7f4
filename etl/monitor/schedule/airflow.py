"""A DAG of Apache Airflow, 2 or 3."""

from __future__ import annotations

from etl.monitor.schedule.model import File, Job, commented, shell

_TEXT = '''"""Klaviyo import."""

{notes}
# One run at a time: max_active_runs. Each task's log is Airflow's; airflow db clean and its log cleanup forget it.

from __future__ import annotations

import pendulum

try:
    from airflow.providers.standard.operators.bash import BashOperator
    from airflow.sdk import DAG
except ModuleNotFoundError:  # Airflow 2
    from airflow import DAG
    from airflow.operators.bash import BashOperator

with DAG(
    dag_id={dag_id!r},
    schedule={schedule!r},
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),  # the zone of the schedule, too
    catchup=False,
    max_active_runs=1,
    tags=["klaviyo"],
):
    import_ = BashOperator(
        task_id="import",
        # What a crash left is finished first; 1 means that rows were not loaded, which is no crash.
        bash_command={work!r},
        cwd={folder!r},
        append_env=True,
    )
    tell = BashOperator(
        task_id="tell",
        # Also after a task that was killed: tells what nobody saw. Its own exit code is the state of the imports.
        bash_command={watch!r},
        cwd={folder!r},
        append_env=True,
        trigger_rule="all_done",
    )
    import_ >> tell
'''


def files(job: Job) -> list[File]:
    """Return the DAG."""
    text = _TEXT.format(
        notes=commented(job.notes),
        dag_id=f"klaviyo_{job.name.replace('-', '_')}",
        schedule=f"{job.minute} {job.hour} * * *",
        work=_raw(f"{shell(job.resume)} || true; {shell(job.run)} || [ $? -eq 1 ]"),
        watch=_raw(f"{shell(job.watch)} || [ $? -eq 1 ]"),
        folder=job.folder,
    )
    return [File(f"klaviyo_{job.name.replace('-', '_')}.py", text, "the folder of DAGs")]


def _raw(command: str) -> str:
    """Return a command in which Jinja, which Airflow applies to it, sees nothing."""
    return f"{{% raw %}}{command}{{% endraw %}}" if "{" in command else command
