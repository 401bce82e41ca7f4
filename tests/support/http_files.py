"""A web server on this machine that hands out files, well and badly."""

from __future__ import annotations

import base64
import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LOGIN = ("reader", "p@ss/w?rd:1")
"""User and password of ``/private/``; the password has every character that a URL cannot hold as it is."""


class WebFiles:
    """``files``: path (what follows ``?`` included) → bytes. ``asked``: what was asked for, as it came."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.port = server.server_address[1]
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.release = threading.Event()

    def url(self, path: str = "", *, login: str = "") -> str:
        return f"http://{login}127.0.0.1:{self.port}{path}"

    @property
    def gets(self) -> list[str]:
        return [path for path in self.asked if not path.startswith("HEAD")]


@contextlib.contextmanager
def web_files() -> Iterator[WebFiles]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            there.asked.append(self.path)
            if self.path.startswith("/status/"):
                self._answer(int(self.path.split("/")[2]), b"")
            elif self.path.startswith("/silent/"):
                there.release.wait(20)
                self.close_connection = True
            elif self.path.startswith("/private/") and self.headers.get("Authorization") != _basic():
                self._answer(401, b"")
            elif self.path.startswith("/cut/"):
                whole = there.files[self.path]
                self._answer(200, whole[: len(whole) // 2], length=len(whole))
                self.close_connection = True
            elif self.path in there.files:
                self._answer(200, there.files[self.path])
            else:
                self._answer(404, b"")

        def _answer(self, status: int, body: bytes, length: int | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body) if length is None else length))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    there = WebFiles(server)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield there
    finally:
        there.release.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _basic() -> str:
    return "Basic " + base64.b64encode(":".join(LOGIN).encode()).decode()
