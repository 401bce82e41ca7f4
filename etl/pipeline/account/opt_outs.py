"""Who must not be subscribed, by what the webhooks told: shown, exported, and flagged in imports."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from etl.klaviyo import KlaviyoClient
from etl.model import Channel, Issue, Severity, Stage
from etl.pipeline.context import Context
from etl.state import OptOutKind, Run, Store

BOUNCED: Final = "email-bounced"
_TIMED: Final = {True: "told", False: "received"}
"""Whose time it is: the event's, or that of its arrival where it told none that can be."""


def opt_outs(*, context: Context, log: bool = False) -> Iterator[dict[str, str]]:
    """Yield what holds today per address, or the whole log (``log``). Times: ISO 8601, UTC."""
    with context.open_store(create=False) as store:
        meant = context.meant_account(store)
        for account in store.opt_outs.accounts() if meant is None else [meant]:
            if log:
                for notice in store.opt_outs.events(account):
                    yield {
                        "account": account,
                        "channel": notice.channel.value,
                        "kind": notice.kind.value,
                        "email": notice.email or "",
                        "phone_number": notice.phone_number or "",
                        "profile_id": notice.profile_id or "",
                        "happened_at": _time(notice.happened_at),
                        "received_at": _time(notice.received_at),
                        "topic": notice.topic,
                        "event_id": notice.event_id,
                        "time": _TIMED[notice.timed],
                    }
                continue
            for standing in store.opt_outs.current(account):
                yield {
                    "account": account,
                    "channel": standing.channel.value,
                    "address": standing.address,
                    "reason": standing.kind.value,
                    "since": _time(standing.since),
                    "time": _TIMED[standing.timed],
                }


def name_opt_outs(store: Store, client: KlaviyoClient, account: str) -> None:
    """Write down whose the opt-outs are of which a delivery named no more than the profile (reference 3.11).

    Best done soon: once the profile is deleted nobody can tell any more, and its person may be made anew.
    """
    nameless: dict[Channel, list[str]] = {}
    for standing in store.opt_outs.current(account):
        if standing.by_profile:
            nameless.setdefault(standing.channel, []).append(standing.address)
    for channel, ids in nameless.items():
        people = ((profile.id, profile.addresses(channel.address)) for profile in client.profiles_by("id", ids))
        store.opt_outs.name(account, channel, {each: addresses[0] for each, addresses in people if addresses})


def flag_bounced(store: Store, run: Run, header: str | None) -> None:
    """Warn of rows whose address has bounced. May be asked again: a run is flagged once."""
    if run.details.bounced_flagged:
        return
    addresses = [
        standing.address
        for standing in store.opt_outs.current(run.account or "")
        if standing.channel is Channel.EMAIL and standing.kind is OptOutKind.BOUNCED and not standing.by_profile
    ]
    lines = store.duplicates.lines_of_emails(run.id, addresses)
    store.issues.add(run.id, [Issue(line, Stage.LOAD, BOUNCED, header, severity=Severity.WARNING) for line in lines])
    store.runs.update(run.id, bounced_flagged=True)


def _time(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        # Received under a clock that was far off: the event counts all the same.
        return ""
