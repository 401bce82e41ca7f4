"""The receiving side: Klaviyo's webhooks, and a small door for forms and checkouts. Served over HTTP."""

from etl.server.app import ServerOptions, create_app
from etl.server.serving import serve
from etl.server.signature import SignatureForm

__all__ = ["ServerOptions", "SignatureForm", "create_app", "serve"]
