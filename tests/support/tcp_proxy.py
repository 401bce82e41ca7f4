"""A wire between a client and a server that can be cut."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def cut_wire(host: str, port: int, after: int) -> Iterator[int]:
    """Pass connections on to a server, and break each once ``after`` bytes came from there; yield the port."""
    listening = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def start(target: object, *rest: object) -> None:
        threads.append(threading.Thread(target=target, args=rest, daemon=True))  # type: ignore[arg-type]
        threads[-1].start()

    def serve() -> None:
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            server = socket.create_connection((host, port))
            start(pump, client, server, None)
            start(pump, server, client, after)

    def pump(source: socket.socket, target: socket.socket, left: int | None) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
                if left is not None and (left := left - len(data)) <= 0:
                    # A reset, as a server that is gone gives.
                    target.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    break
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    start(serve)
    try:
        yield listening.getsockname()[1]
    finally:
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        for thread in threads:
            thread.join(5)
