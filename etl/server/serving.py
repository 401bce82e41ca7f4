"""Serving the application until a signal ends it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import uvicorn

from etl.errors import ConfigError
from etl.listening import bind
from etl.pipeline import Context
from etl.server.app import ServerOptions, create_app
from etl.server.webhooks.signature import LEAST_SECRET


def serve(context: Context, options: ServerOptions, *, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Serve. ``ready`` is told the URL once connections are taken. Raise :class:`ConfigError`, :class:`UsageError`."""
    check_options(options)
    with contextlib.closing(bind(host, port)) as bound:
        bound.listen(1_024)
        ready(f"http://{host}:{bound.getsockname()[1]}")
        config = uvicorn.Config(
            create_app(context, options),
            http="h11",
            loop="auto",
            ws="none",
            lifespan="on",
            log_level="critical",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=10,
        )
        uvicorn.Server(config).run([bound])


def check_options(options: ServerOptions) -> None:
    """Raise :class:`ConfigError` unless there is something to serve, behind secrets that are none to guess."""
    if options.secret is None and options.token is None:
        raise ConfigError(
            "secret-missing",
            "Neither a webhook secret nor a token is set, so nothing could be believed",
            "Set KLAVIYO_WEBHOOK_SECRET for webhooks, KLAVIYO_ETL_TOKEN for forms and checkouts, or both.",
        )
    for name, value in (("KLAVIYO_WEBHOOK_SECRET", options.secret), ("KLAVIYO_ETL_TOKEN", options.token)):
        if value is not None and len(value) < LEAST_SECRET:
            raise ConfigError(
                "secret-too-short", f"{name} has fewer than {LEAST_SECRET} characters", "Use a long random one."
            )
