"""The receiving side: Klaviyo's webhooks, and a small door for forms and checkouts. Served over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.deferred import exports

if TYPE_CHECKING:
    from etl.server.app import ServerOptions, create_app
    from etl.server.serving import serve
    from etl.server.webhooks.signature import SignatureForm

__all__ = ["ServerOptions", "SignatureForm", "create_app", "serve"]

__getattr__ = exports(
    __name__,
    {
        "app": ("ServerOptions", "create_app"),
        "serving": ("serve",),
        "webhooks.signature": ("SignatureForm",),
    },
)
