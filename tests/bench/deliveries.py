"""How many signed deliveries ``klaviyo-etl serve`` takes a second: ``python -m tests.bench.deliveries``.

The server is a process of its own, as its users start it, with its state on the disk. This process is the other side:
some connections, each sending the next delivery once the last is answered. Afterwards the log must hold every one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from email.utils import formatdate
from pathlib import Path

from etl.pipeline.context import SystemClock
from etl.server.webhooks.signature import sign
from etl.state import Store
from tests.support.paths import ROOT

SECRET = "a-secret-of-32-characters-or-so!"
ACCOUNT = "SBX001"


def main() -> int:
    """Send deliveries, print what came of them; 1 if one was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deliveries", type=int, default=10_000)
    parser.add_argument("--connections", type=int, default=32)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state.db"
        command = [sys.executable, "-m", "etl", "serve", "--port", "0", "--state", str(state)]
        env = {**os.environ, "PYTHONPATH": str(ROOT), "KLAVIYO_WEBHOOK_SECRET": SECRET}
        with subprocess.Popen(command, cwd=folder, env=env, stderr=subprocess.PIPE, text=True) as server:
            try:
                assert server.stderr is not None
                port = int(re.search(r"127\.0\.0\.1:(\d+)", server.stderr.readline())[1])  # type: ignore[index]
                requests = [delivery(number) for number in range(given.deliveries)]
                started = time.perf_counter()
                answers, waits = asyncio.run(send(port, requests, given.connections))
                seconds = time.perf_counter() - started
            finally:
                server.terminate()
        with Store.open(state, clock=SystemClock(), create=False) as store:
            stored = sum(1 for _ in store.opt_outs.events(ACCOUNT))
    waits.sort()
    median, slow = waits[len(waits) // 2], waits[len(waits) * 99 // 100]
    rate = given.deliveries / seconds
    print(f"{given.deliveries:,} deliveries over {given.connections} connections: {rate:,.0f} a second")
    print(
        f"answers {dict(answers)}; median {median * 1000:.0f} ms, 99 % within {slow * 1000:.0f} ms; {stored:,} stored"
    )
    return 0 if stored == answers[200] == given.deliveries else 1


def delivery(number: int) -> bytes:
    """Return a signed request: one person who unsubscribed."""
    email = f"person{number}@mapleshop.com"
    data = {
        "topic": "event:klaviyo.unsubscribed_from_email_marketing",
        "external_id": f"event-{number}",
        "payload": {
            "data": {
                "type": "event",
                "id": f"event-{number}",
                "attributes": {"timestamp": 1_790_000_000 + number, "event_properties": {"$email": email}},
                "relationships": {"profile": {"data": {"type": "profile", "id": f"01P{number:023}"}}},
            },
            "included": [{"type": "profile", "id": f"01P{number:023}", "attributes": {"email": email}}],
        },
    }
    body = json.dumps({"data": [data], "meta": {"klaviyo_account_id": ACCOUNT, "klaviyo_webhook_id": "wh1"}}).encode()
    stamp = formatdate(usegmt=True)
    headers = {
        "Host": "127.0.0.1",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Klaviyo-Signature": sign(body, stamp, SECRET),
        "Klaviyo-Timestamp": stamp,
        "Klaviyo-Webhook-Id": "wh1",
    }
    lines = [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(["POST /webhooks/klaviyo HTTP/1.1", *lines, "", ""]).encode() + body


async def send(port: int, requests: list[bytes], connections: int) -> tuple[Counter[int], list[float]]:
    """Send every request once; return how often each status came, and the seconds each answer took."""
    left = iter(requests)
    answers: Counter[int] = Counter()
    waits: list[float] = []

    async def one_after_the_other() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for request in left:
            started = time.perf_counter()
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.split("content-length:")[1].split("\r\n")[0])
            await reader.readexactly(length)
            waits.append(time.perf_counter() - started)
            answers[int(head.split()[1])] += 1
        writer.close()

    await asyncio.gather(*(one_after_the_other() for _ in range(connections)))
    return answers, waits


if __name__ == "__main__":
    sys.exit(main())
