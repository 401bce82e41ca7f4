"""A process that judges chunks: ``python -m etl.pipeline.staging.worker``, spoken to over its standard streams.

A process of its own, not a fork or a spawned copy: a fork inherits open databases, and a spawned one would run the
user's script again. It ends when its input does.
"""

from __future__ import annotations

import os
import signal
import sys

from etl.pipeline.memory import tuned_memory
from etl.pipeline.staging.wire import portable, receive, send, unpack


def main() -> int:
    """Judge what comes in until nothing more does; return the exit code."""
    # A signal at the terminal is for the process that asked; this one ends with it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # Whatever a user's schema prints must not stand between the answers.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    sys.path[:] = receive(sys.stdin.buffer)
    try:
        judge = receive(sys.stdin.buffer)
    except EOFError:
        return 0
    send(answers, "ready")
    with tuned_memory():
        while True:
            try:
                chunk = unpack(receive(sys.stdin.buffer))
            except EOFError:
                return 0
            try:
                answer = judge(chunk)
            except Exception as error:  # noqa: BLE001 - it is raised where the chunk came from
                answer = portable(error)
            try:
                send(answers, answer)
            except OSError:
                return 0
            del chunk, answer


if __name__ == "__main__":
    sys.exit(main())
