"""A port to listen on, or the error that says why there is none. Shared by ``serve`` and the sandbox."""

from __future__ import annotations

import socket

from etl.errors import UsageError


def bind(host: str, port: int) -> socket.socket:
    """Return a bound socket; port 0 takes a free one. Raise :class:`UsageError`."""
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise UsageError(
            "port-taken", f"Port {port} on {host} cannot be used: {error.strerror}", "Choose another with --port."
        ) from None
    return bound
