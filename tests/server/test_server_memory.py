"""Strangers can make the server hold bytes, but only so many together, and not for long."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Callable, Iterator
from email.utils import formatdate
from functools import partial
from pathlib import Path

import psutil
import pytest

from etl.config import Settings
from etl.pipeline import Context
from etl.server.http.bodies import BodyLimits
from tests.support.cli_process import PATIENCE, start, wait_until
from tests.support.serving import AUTH, SECRET, TOKEN, Serving, event, tell

NEVER = "http://127.0.0.1:9"
LONG_AGO = formatdate(1_700_000_000, usegmt=True)


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(Settings(private_key="pk_0123456789abcdef", base_url=NEVER, state=str(tmp_path / "s.db")))


def request(length: int | None, path: str = "/webhooks/klaviyo", **headers: str) -> bytes:
    """Return the head of a request whose signature only the body can prove wrong."""
    size = {"Transfer-Encoding": "chunked"} if length is None else {"Content-Length": str(length)}
    forged = {
        "Host": "127.0.0.1",
        "Klaviyo-Signature": "0" * 64,
        "Klaviyo-Timestamp": formatdate(usegmt=True),
        "Klaviyo-Webhook-Id": "wh1",
        **size,
    }
    lines = [f"{name}: {value}" for name, value in {**forged, **headers}.items() if value]
    return "\r\n".join([f"POST {path} HTTP/1.1", *lines, "", ""]).encode()


@contextlib.contextmanager
def connection(port: int, *parts: bytes) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as raw:
        with contextlib.suppress(OSError):  # what is refused may not be read to its end
            for part in parts:
                raw.sendall(part)
        yield raw


def answered(raw: socket.socket) -> tuple[int, str]:
    """Head and body may come in pieces."""
    said = b""
    while more := raw.recv(4_000):
        said += more
        head, ended, body = said.lower().partition(b"\r\n\r\n")
        length = re.search(rb"content-length: *(\d+)", head)
        if ended and length is not None and len(body) >= int(length[1]):
            break
    text = said.decode().lower()
    return int(text.split()[1]), text


@pytest.mark.parametrize(
    ("head", "status", "said"),
    [
        (partial(request, 9_000_000, **{"Klaviyo-Signature": ""}), 401, "header-missing"),
        (partial(request, 9_000_000, **{"Klaviyo-Signature": "0" * 63}), 401, "signature-wrong"),
        (partial(request, 9_000_000, **{"Klaviyo-Signature": "G" * 64}), 401, "signature-wrong"),
        (partial(request, 9_000_000, **{"Klaviyo-Timestamp": "yesterday"}), 401, "timestamp-invalid"),
        (partial(request, 9_000_000, **{"Klaviyo-Timestamp": LONG_AGO}), 401, "timestamp-old"),
        (partial(request, 9_000_000, **{"Klaviyo-Webhook-Id": ""}), 401, "header-missing"),
        (partial(request, 10_000_001), 413, "too-large"),
        (partial(request, 5_000_001, "/profiles", **AUTH), 413, "body-too-large"),
        (partial(request, 5_000_000, "/events", Authorization="Bearer wrong"), 401, "token-wrong"),
    ],
)
def test_what_the_head_tells_is_answered_without_the_body(
    context: Context, head: Callable[[], bytes], status: int, said: str
) -> None:
    serving = Serving(context)
    # Signed now, not when the tests were collected: five minutes later the stamp would be old.
    with serving, connection(serving.port, head()) as raw:
        found, text = answered(raw)
    assert (found, said in text) == (status, True)


def test_bodies_are_bounded_together_and_by_time(context: Context) -> None:
    limits = BodyLimits(together=2_000_000, pause=3.0, whole=6.0)
    serving = Serving(context, bodies=limits)
    with serving as client, contextlib.ExitStack() as stack:
        piece = b"x" * 800_000
        held = [stack.enter_context(connection(serving.port, request(900_000), piece)) for _ in range(2)]
        wait_until(lambda: "klaviyo_etl_body_bytes 1.6e+06" in client.get("/metrics").text)
        third = stack.enter_context(connection(serving.port, request(900_000), piece, b"y" * 100_000))
        status, said = answered(third)
        assert (status, "retry-after" in said, "too-much" in said) == (503, True, True)
        # Small ones have room of their own.
        assert tell(client, event("bounced_email")).status_code == 200
        assert [answered(raw)[0] for raw in held] == [408, 408]
        wait_until(lambda: "klaviyo_etl_body_bytes 0.0" in client.get("/metrics").text)
        chunked = b"c3500\r\n" + b"x" * 800_000 + b"\r\n"
        endless = stack.enter_context(connection(serving.port, request(None), *([chunked] * 14)))
        assert answered(endless)[0] in {413, 503}


def test_sixty_large_bodies_of_strangers_do_not_fill_the_memory(tmp_path: Path) -> None:
    """Each 9.9 MB, all but its last bytes there: 594 MB that nobody signed."""
    secrets = {"KLAVIYO_WEBHOOK_SECRET": SECRET, "KLAVIYO_ETL_TOKEN": TOKEN, "KLAVIYO_PRIVATE_KEY": "pk_0123456789abc"}
    server = start(tmp_path, "serve", "--port", "0", "--state", "s.db", **secrets)
    try:
        assert server.stderr is not None
        lines = iter(server.stderr.readline, "")
        port = next(int(found[1]) for line in lines if (found := re.search(r"127\.0\.0\.1:(\d+)", line)))
        process = psutil.Process(server.pid)
        before = process.memory_info().rss
        piece = b"x" * 9_899_000
        with contextlib.ExitStack() as stack:
            for _ in range(60):
                stack.enter_context(connection(port, request(9_900_000), piece))
            grown = process.memory_info().rss - before
        print(f"grown by {grown / 1e6:.0f} MB from {before / 1e6:.0f} MB")  # noqa: T201 - the figure of docs/serve.md
        assert grown < 150_000_000
    finally:
        server.terminate()
        server.communicate()
