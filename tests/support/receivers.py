"""Who gets alerts: a web server and a mail server of our own, which can be down for a while."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword


@dataclass
class WebReceiver:
    """Takes what is posted. ``status``: its answer."""

    url: str
    status: int = 200
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    refused: int = 0

    @property
    def documents(self) -> list[dict[str, Any]]:
        return [json.loads(body) for body in self.bodies]

    @property
    def told(self) -> list[tuple[str, str | None]]:
        return [(one["condition"], one["before"]) for one in self.documents]


@contextlib.contextmanager
def web_receiver() -> Iterator[WebReceiver]:
    receiver = WebReceiver("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the name that http.server calls
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if receiver.status < 300:
                receiver.bodies.append(body)
                receiver.paths.append(self.path)
                receiver.headers.append({name.lower(): value for name, value in self.headers.items()})
            else:
                receiver.refused += 1
            self.send_response(receiver.status)
            if receiver.status in {301, 302, 307}:
                self.send_header("Location", receiver.url)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class MailReceiver:
    """Takes mail. ``refusing``: answers 451 instead."""

    port: int
    refusing: bool = False
    logins: list[str] = field(default_factory=list)
    messages: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)


@contextlib.contextmanager
def mail_receiver(*, login: bool = False) -> Iterator[MailReceiver]:
    receiver = MailReceiver(0)

    class Handler:
        async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd calls it
            if receiver.refusing:
                return "451 Try again later"
            message = message_from_bytes(envelope.content, policy=policy.default)
            assert isinstance(message, EmailMessage)
            receiver.messages.append(message)
            receiver.recipients.append(list(envelope.rcpt_tos))
            return "250 OK"

    def authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        receiver.logins.append(f"{data.login.decode()}:{data.password.decode()}")
        good = data.password == b"s3cret"
        return AuthResult(success=good, handled=good)

    more: dict[str, Any] = (
        {"authenticator": authenticate, "auth_required": True, "auth_require_tls": False} if login else {}
    )
    controller = Controller(Handler(), hostname="127.0.0.1", port=free_port(), **more)
    controller.start()
    receiver.port = controller.port
    try:
        yield receiver
    finally:
        controller.stop()


def free_port() -> int:
    import socket  # noqa: PLC0415 - of this one question

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
