"""Consent on its way through staging: read beside the records, merged where several lines are one person."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from etl.model import ConsentAsk, Transformed, Validated
from etl.records import Records
from etl.state import Store
from etl.transform import ConsentReader, by_line, consent_print, fingerprint, strictest

_NOT_MOBILE: Final = "phone-not-mobile"


def with_consents(
    reader: ConsentReader, validated: Validated, transformed: Transformed
) -> tuple[Transformed, Sequence[ConsentAsk]]:
    """Read the wishes of a chunk; return it with what was wrong with them, and the wishes.

    A record that wishes something gets a fingerprint that says so: who takes a consent back has changed.
    """
    deaf = {issue.line for issue in validated.issues if issue.code == _NOT_MOBILE}
    asked = reader.read(validated.frame, deaf=deaf)
    asks = [ask for ask in asked.asks if ask.line not in transformed.rejected]
    wished = by_line(asks)
    records = Records.of(transformed.records)
    prints = [
        consent_print(fingerprint, wished[line]) if line in wished else fingerprint
        for line, fingerprint in zip(records.lines, records.column("fingerprint").to_pylist(), strict=True)
    ]
    return Transformed(
        records.with_fingerprints(prints), transformed.rejected, (*transformed.issues, *asked.issues)
    ), asks


def merge_consents(store: Store, run_id: str, replaced: Collection[int]) -> None:
    """Give the line that is kept of a person the strictest of what their lines say; see :func:`strictest`.

    ``replaced``: the lines whose records changed when duplicates were settled.
    """
    others: dict[int, list[ConsentAsk]] = {}
    for kept, ask in store.asks_of_duplicates(run_id):
        others.setdefault(kept, []).append(ask)
    # A merged record is a new one, and lost the wishes out of its fingerprint.
    changed = sorted({*others, *replaced})
    if not changed:
        return
    own = by_line(store.asks(run_id, changed))
    wishes: dict[int, list[ConsentAsk]] = {}
    for line in changed:
        said = [*own.get(line, ()), *others.get(line, ())]
        channels = dict.fromkeys(ask.channel for ask in said)
        held = (strictest([ask for ask in said if ask.channel is channel]) for channel in channels)
        wishes[line] = sorted(ask._replace(line=line) for ask in held)
    routes = store.routes(run_id, changed)
    bodies = zip(changed, store.bodies(run_id, changed), strict=True)
    prints = {line: fingerprint(body, routes.get(line, ())) for line, body in bodies}
    store.replace_asks(
        run_id,
        {line: wishes[line] for line in changed if wishes[line] != sorted(own.get(line, ()))},
        {line: consent_print(prints[line], wishes[line]) for line in changed},
    )
