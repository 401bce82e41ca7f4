"""One at a time: the groups profile and event."""

from __future__ import annotations

from typing import Any

import click
import orjson

from etl import pipeline
from etl.cli.options import common_options
from etl.cli.session import Common, session
from etl.console import out, out_json
from etl.errors import UsageError
from etl.model import Channel

set_option = click.option(
    "--set", "settings", multiple=True, metavar="FIELD=VALUE", help="A field, such as properties.plan=pro; repeatable."
)


@click.group()
def profile() -> None:
    """Look up, write or delete one profile."""


@profile.command("get")
@click.argument("who")
@common_options
def get(who: str, common: Common) -> None:
    """Print a profile with its consents as JSON. WHO: an e-mail, a phone with +, an external id or Klaviyo's id."""
    with session(common) as at:
        found = pipeline.get_profile(who, context=at.context)
    out_json({"id": found.id, **found.attributes}, indent=True)


@profile.command("upsert")
@set_option
@click.option("--list", "lists", multiple=True, metavar="ID|NAME", help="Add the profile to a list; repeatable.")
@click.option(
    "--subscribe",
    multiple=True,
    type=click.Choice([channel.value for channel in Channel]),
    help="The person has just consented to this channel; repeatable.",
)
@click.option("--country", metavar="CODE", help="Country of a phone number without +, such as US.")
@click.option("--source", default="", help="Where the consent was given; Klaviyo shows it.")
@common_options
def upsert(
    *,
    settings: tuple[str, ...],
    lists: tuple[str, ...],
    subscribe: tuple[str, ...],
    country: str | None,
    source: str,
    common: Common,
) -> None:
    """Create or update one profile, judged as an import would judge it.

    A value that reads as JSON is sent as such (42, true, ["a"]); anything else is text.

    \b
    klaviyo-etl profile upsert --set email=ann@mapleshop.com --set properties.vip=true --list Newsletter
    """
    with session(common) as at:
        done = pipeline.upsert_profile(
            _fields(settings),
            context=at.context,
            lists=lists,
            subscribe=[Channel(name) for name in subscribe],
            country=country,
            source=source,
        )
    out(f"{done.profile_id}  {'created' if done.created else 'updated'}")
    for channel, what in done.consents.items():
        out(f"  {channel} consent: {what}")
    for code in done.warnings:
        at.console.show(f"  warning: {code}")


@profile.command("update")
@click.argument("who")
@set_option
@click.option("--clear", multiple=True, metavar="FIELD", help="Clear a field; repeatable.")
@common_options
def update(who: str, settings: tuple[str, ...], clear: tuple[str, ...], common: Common) -> None:
    """Change or clear fields of one profile that is there. WHO as in get."""
    changes = {**_fields(settings), **dict.fromkeys(clear)}
    if not changes:
        raise UsageError("nothing-to-do", "Nothing is to be changed", "Give --set or --clear.")
    with session(common) as at:
        profile_id = pipeline.update_profile(who, changes, context=at.context)
    out(f"{profile_id}  updated")


@profile.command("delete-request")
@click.argument("who")
@common_options
def delete_request(who: str, common: Common) -> None:
    """Ask Klaviyo to delete everything about a person, for good. WHO: an e-mail, a phone with +, or Klaviyo's id.

    Klaviyo accepts the request and works on it later; its Deleted Profiles page shows the result.
    """
    with session(common) as at:
        if not at.context.confirm("Delete every profile of this person, with all events, for good?"):
            raise UsageError("not-confirmed", "Nothing was sent", "Run it again when you are ready, or with --yes.")
        pipeline.delete_profile(who, context=at.context)
    out("Klaviyo has accepted the request. klaviyo-etl forget removes what state and run folders hold of the person.")


@profile.command("allow")
@click.argument("who")
@common_options
def allow(who: str, common: Common) -> None:
    """Allow writing a person again whose deletion was requested here, and who came back.

    WHO: as it was given to delete-request, or any identifier that the profile had.
    """
    with session(common) as at:
        known = pipeline.allow_profile(who, context=at.context)
    out("The person may be written again." if known else "Nobody was deleted by this identifier.")


@click.group()
def event() -> None:
    """Track one event."""


@event.command("track")
@click.argument("metric")
@click.option("--profile", "profile_", multiple=True, required=True, metavar="FIELD=VALUE", help="Who; repeatable.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="A property of the event; repeatable.")
@click.option("--value", metavar="AMOUNT", help="What it was worth, such as 19.90.")
@click.option("--currency", metavar="CODE", help="ISO 4217, such as USD.")
@click.option("--time", "time_", metavar="ISO", help="When it happened, with offset. Default: now.")
@click.option("--order-id", metavar="ID", help="Makes sending it twice harmless.")
@common_options
def track(
    *,
    metric: str,
    profile_: tuple[str, ...],
    settings: tuple[str, ...],
    value: str | None,
    currency: str | None,
    time_: str | None,
    order_id: str | None,
    common: Common,
) -> None:
    """Send one event, such as a test of a flow. Unlike an import, it may trigger flows.

    \b
    klaviyo-etl event track "Placed Order" --profile email=ann@mapleshop.com --value 19.90 --currency USD --order-id 77
    """
    given = {"value": value, "currency": currency, "time": time_, "order_id": order_id}
    fields: dict[str, Any] = {"metric": metric, "profile": _fields(profile_)}
    fields |= {name: text for name, text in given.items() if text is not None}
    if settings:
        fields["properties"] = {name: _value(text) for name, text in map(_pair, settings)}
    with session(common) as at:
        unique_id = pipeline.track(fields, context=at.context)
    out(f"Klaviyo has accepted the event {unique_id}.")


def _fields(settings: tuple[str, ...]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, text in map(_pair, settings):
        section, _, rest = name.partition(".")
        if section in {"properties", "location"} and rest:
            fields.setdefault(section, {})[rest] = _value(text) if section == "properties" else text
        else:
            fields[name] = text
    return fields


def _pair(setting: str) -> tuple[str, str]:
    name, sign, text = setting.partition("=")
    if not sign or not name:
        raise UsageError("setting-malformed", f"{name!r} has no value", "Write it like email=ann@mapleshop.com.")
    return name, text


def _value(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
