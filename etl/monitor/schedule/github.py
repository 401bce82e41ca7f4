"""A workflow of GitHub Actions."""

from __future__ import annotations

import json

from etl.monitor.schedule.model import File, Job, commented, one_line, shell
from etl.version import VERSION

_TEXT = """{notes}
# A machine of GitHub's forgets everything: the state has to be on PostgreSQL, in the secret KLAVIYO_ETL_STATE.
# A list of people does not belong into a repository: let [source] of the mapping name a database or an address.

name: {title}

on:
  schedule:
    - cron: {schedule}  # UTC
  workflow_dispatch: {{}}

permissions:
  contents: read

# One at a time; a second one waits.
concurrency:
  group: {group}
  cancel-in-progress: false

jobs:
  import:
    runs-on: ubuntu-latest
    timeout-minutes: 350
    env:
{environment}
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
      - run: {install}
      - name: Finish what a crash left
        run: {resume}
      - name: Import
        run: {work}
      - name: Tell what changed
        if: always()
        run: {watch}
      - name: Keep the report, which holds nobody's data, for two weeks
        if: always()
        uses: actions/upload-artifact@v4
        with:
          name: report
          path: runs/*/report.*
          retention-days: 14
          if-no-files-found: ignore
"""


def files(job: Job) -> list[File]:
    """Return the workflow."""
    names = (*job.keys, "KLAVIYO_ETL_STATE", *job.variables)
    secrets = [f"      {name}: ${{{{ secrets.{name} }}}}" for name in dict.fromkeys(names)]
    text = _TEXT.format(
        notes=commented(job.notes),
        title=_quoted(f"Klaviyo import: {one_line(job.title)}"),
        schedule=_quoted(f"{job.minute} {job.hour} * * *"),
        group=f"klaviyo-{job.name}",
        environment="\n".join(secrets),
        install=_quoted(f"pip install 'klaviyo-etl[postgres]=={VERSION}'"),
        resume=_quoted(f"{shell(job.resume)} || true"),
        work=_quoted(f"{shell(job.run)} || [ $? -eq 1 ]"),
        watch=_quoted(f"{shell(job.watch)} || [ $? -eq 1 ]"),
    )
    return [File(f"klaviyo-{job.name}.yml", text, ".github/workflows/")]


def _quoted(text: str) -> str:
    """Return a scalar of YAML, in which GitHub sees no expression."""
    return json.dumps(text).replace("${{", "$ {{")
