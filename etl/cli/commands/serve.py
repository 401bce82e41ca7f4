"""The receiving side: serve, webhooks."""

from __future__ import annotations

import secrets
from dataclasses import replace

import click

from etl import config, pipeline, report, server
from etl.cli.options import common_options
from etl.cli.session import Common, session
from etl.console import out
from etl.server import SignatureForm


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65_535), default=8766, show_default=True, help="Port; 0 chooses one.")
@click.option(
    "--signature",
    type=click.Choice([form.value for form in SignatureForm]),
    default="klaviyo",
    show_default=True,
    help="Form of the signature; legacy is base64 over the body, as in tutorials; Klaviyo does not use it.",
)
@click.option("--country", metavar="CODE", help="Country of phone numbers without +, in forms and checkouts.")
@common_options
def serve(*, host: str, port: int, signature: str, country: str | None, common: Common) -> None:
    """Receive Klaviyo's signed webhooks, registration forms and checkouts over HTTP.

    \b
    POST /webhooks/klaviyo   opt-outs, kept in the log that every import respects  [KLAVIYO_WEBHOOK_SECRET]
    POST /profiles           a registration form                                   [KLAVIYO_ETL_TOKEN]
    POST /events             a checkout                                            [KLAVIYO_ETL_TOKEN]
    GET  /healthz, /metrics, /openapi.json

    Without a secret it refuses to start. Put a proxy that speaks TLS before it. docs/serve.md says more.
    """
    variables = config.environment()
    options = server.ServerOptions(
        secret=variables.get("KLAVIYO_WEBHOOK_SECRET") or None,
        token=variables.get("KLAVIYO_ETL_TOKEN") or None,
        form=SignatureForm(signature),
        country=country,
    )
    with session(common) as at:
        server.serve(
            # It runs for weeks: its clock follows the machine's.
            replace(at.context, clock=pipeline.SystemClock()),
            options,
            host=host,
            port=port,
            ready=lambda url: at.console.say(f"Listening at {url}; Ctrl-C ends it"),
        )


@click.group()
def webhooks() -> None:
    """Manage the account's webhooks. Klaviyo offers them to Advanced KDP customers and app partners only."""


@webhooks.command("list")
@common_options
def list_(common: Common) -> None:
    """List the webhooks with their topics."""
    with session(common) as at:
        found = pipeline.webhooks(context=at.context)
    rows = [("id", "name", "address", "topics")]
    rows += [(one.id, one.name, one.url, ", ".join(topic.rpartition(".")[2] for topic in one.topics)) for one in found]
    out(report.table(rows) if found else "  no webhook")


@webhooks.command("create")
@click.argument("url")
@click.option("--name", default="klaviyo-etl", show_default=True, help="Name in Klaviyo.")
@click.option("--topic", "topics", multiple=True, help="Topic id; repeatable. Default: all that opt-outs need.")
@common_options
def create(url: str, name: str, topics: tuple[str, ...], common: Common) -> None:
    """Create a webhook that delivers to URL (https), signed with KLAVIYO_WEBHOOK_SECRET.

    Without that variable a secret is generated and printed once: Klaviyo never shows it again.
    """
    known = config.environment().get("KLAVIYO_WEBHOOK_SECRET")
    secret = known or secrets.token_urlsafe(32)
    with session(common) as at:
        made = pipeline.create_webhook(url, secret, context=at.context, name=name, topics=topics)
    out(f"{made.id}  {made.name}  {made.url}")
    if not known:
        out(f"KLAVIYO_WEBHOOK_SECRET={secret}")


@webhooks.command("delete")
@click.argument("webhook_id", metavar="ID")
@common_options
def delete(webhook_id: str, common: Common) -> None:
    """Delete a webhook."""
    with session(common) as at:
        there = pipeline.delete_webhook(webhook_id, context=at.context)
    out("deleted" if there else "it was not there")
