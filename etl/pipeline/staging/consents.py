"""Consent on its way through staging: read beside the records, merged where several lines are one person."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from collections.abc import Mapping as AbstractMapping
from typing import Any, Final

import orjson

from etl.config import Mapping
from etl.model import (
    IDENTIFIERS,
    Channel,
    ConsentAction,
    ConsentRequest,
    Issue,
    Severity,
    Stage,
    Transformed,
    Validated,
)
from etl.records import Records
from etl.state import SourceOptOuts, Store, slices
from etl.transform import ConsentReader, by_line, consent_digest, fingerprint, strictest

_NOT_MOBILE: Final = "phone-not-mobile"
_CONTRADICTED: Final = "consent-contradicted"


def with_consents(
    reader: ConsentReader, validated: Validated, transformed: Transformed
) -> tuple[Transformed, Sequence[ConsentRequest]]:
    """Read the wishes of a chunk; return it with what was wrong with them, and the wishes.

    A record that wishes something gets a fingerprint that says so: who takes a consent back has changed.
    """
    not_textable = {issue.line for issue in validated.issues if issue.code == _NOT_MOBILE}
    faulty = {(issue.line, issue.column) for issue in validated.issues}
    asked = reader.read(validated.frame, not_textable=not_textable, faulty=faulty)
    asks = [ask for ask in asked.asks if ask.line not in transformed.rejected]
    wished = by_line(asks)
    records = Records.of(transformed.records)
    prints = [
        consent_digest(fingerprint, wished[line]) if line in wished else fingerprint
        for line, fingerprint in zip(records.lines, records.column("fingerprint").to_pylist(), strict=True)
    ]
    return Transformed(
        records.with_fingerprints(prints), transformed.rejected, (*transformed.issues, *asked.issues)
    ), sorted((*asks, *(ask for ask in asked.unclear if ask.line not in transformed.rejected)))


def merge_consents(store: Store, run_id: str, replaced: Collection[int]) -> None:
    """Give the line that is kept of a person the strictest of what their lines say; see :func:`strictest`.

    ``replaced``: the lines whose records changed when duplicates were settled.
    """
    _merge(store, run_id, replaced)
    store.consents.drop(run_id, ConsentAction.WITHHOLD)


def _merge(store: Store, run_id: str, replaced: Collection[int]) -> None:
    others: dict[int, list[ConsentRequest]] = {}
    for kept, ask in store.consents.of_duplicates(run_id):
        others.setdefault(kept, []).append(ask)
    # A merged record is a new one, and lost the wishes out of its fingerprint.
    changed = sorted({*others, *replaced})
    if not changed:
        return
    own = by_line(store.consents.requests(run_id, changed))
    wishes: dict[int, list[ConsentRequest]] = {}
    for line in changed:
        said = [*own.get(line, ()), *others.get(line, ())]
        channels = dict.fromkeys(ask.channel for ask in said)
        held = (strictest([ask for ask in said if ask.channel is channel]) for channel in channels)
        wishes[line] = sorted(ask._replace(line=line) for ask in held if ask.wish is not ConsentAction.WITHHOLD)
    store.consents.replace(
        run_id,
        {line: wishes[line] for line in changed if wishes[line] != sorted(own.get(line, ()))},
        _prints(store, run_id, changed, wishes),
    )


def heed_opt_outs(store: Store, run_id: str, mapping: Mapping) -> None:
    """Let every line count: who opts out on one that is not sent is taken off by another, and not subscribed.

    That changes the row's fingerprint, so that it is sent although nothing else in it has changed.
    """
    for channel in Channel:
        opt_outs = store.source_opt_outs.of(run_id, channel)
        header = mapping.by_target[f"consent.{channel}"][0] if f"consent.{channel}" in mapping.by_target else None
        for named in slices(store.source_opt_outs.lines_named(run_id, opt_outs)):
            lines = store.rows.open_lines(run_id, named)
            asks = by_line(store.consents.requests(run_id, lines))
            wishes: dict[int, list[ConsentRequest]] = {}
            for line, body in zip(lines, store.records.bodies(run_id, lines), strict=True):
                attributes = orjson.loads(body)["attributes"]
                others = [ask for ask in asks.get(line, ()) if ask.channel is not channel]
                own = {ask.wish for ask in asks.get(line, ()) if ask.channel is channel}
                if (
                    attributes.get(channel.address)
                    and own <= {ConsentAction.SUBSCRIBE}
                    and _named(opt_outs, attributes)
                ):
                    wishes[line] = sorted([*others, ConsentRequest(line, channel, ConsentAction.UNSUBSCRIBE)])
            if wishes:
                store.consents.replace(run_id, wishes, _prints(store, run_id, list(wishes), wishes))
                told = (Issue(line, Stage.DEDUPE, _CONTRADICTED, header, severity=Severity.WARNING) for line in wishes)
                store.issues.add(run_id, list(told))


def _named(opt_outs: SourceOptOuts, attributes: AbstractMapping[str, Any]) -> bool:
    return opt_outs.says((name, str(attributes[name])) for name in IDENTIFIERS if attributes.get(name)) is True


def _prints(
    store: Store, run_id: str, lines: Sequence[int], wishes: AbstractMapping[int, Sequence[ConsentRequest]]
) -> dict[int, bytes]:
    """Return the fingerprints of rows with these wishes."""
    routes = store.records.row_lists(run_id, lines)
    bodies = zip(lines, store.records.bodies(run_id, lines), strict=True)
    return {line: consent_digest(fingerprint(body, routes.get(line, ())), wishes[line]) for line, body in bodies}
