"""A store of objects on this machine, which speaks as much of an object store's protocol as a test gives it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PLAIN = "Id,Email,Name\nc{0},person{0}@mapleshop.com,José\n"
EXPORTS = {
    **{f"exports/day-{number}.csv": PLAIN.format(number).encode() for number in (2, 9, 10)},
    "exports/readme.txt": b"no table",
}


class StoreHandler(BaseHTTPRequestHandler):
    """Answers with a body, and says nothing on the terminal."""

    protocol_version = "HTTP/1.1"
    always: tuple[tuple[str, str], ...] = ()

    def do_HEAD(self) -> None:
        self.get()

    def do_GET(self) -> None:
        self.get()

    def get(self) -> None:
        raise NotImplementedError

    def answer(self, status: int, body: bytes, length: int | None = None) -> None:
        """Answer. ``length``: what is said of the body, where that is not true."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in self.always:
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve; yield the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def split(objects: dict[str, bytes], prefix: str, delimiter: str) -> tuple[list[str], list[str]]:
    """Return the keys and the folders below a prefix, as stores list them."""
    keys = sorted(key for key in objects if key.startswith(prefix))
    folders = sorted(
        {key[: key.index(delimiter, len(prefix)) + 1] for key in keys if delimiter and "/" in key[len(prefix) :]}
    )
    return [key for key in keys if not folders or not key.startswith(tuple(folders))], folders
