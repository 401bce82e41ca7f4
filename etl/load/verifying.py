"""Verify: read loaded rows back from Klaviyo and compare every field that was sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from etl.klaviyo import KlaviyoClient, Profile
from etl.load.deciding import unpatched
from etl.load.looking import sent_documents
from etl.load.lookup import can_be_asked_for, find_profiles, members_among
from etl.load.options import LoadOptions, wanted_lists
from etl.load.proof import differing_fields
from etl.load.task import LoadTask
from etl.model import Observation, Progress, Verdict

_WINDOW: Final = 1_000
"""Rows looked at together: ten requests of 100 values each."""


def verify_rows(task: LoadTask, options: LoadOptions, lines: Sequence[int], *, patience: Sequence[float] = ()) -> int:
    """Look at these loaded rows and write what was seen, window by window; return how many were looked at.

    ``patience``: seconds to wait before looking once more at rows that are not as sent; Klaviyo shows a write to its
    readers a moment after it has confirmed it. Raise :class:`etl.errors.KlaviyoError`.
    """
    done = 0
    for start in range(0, len(lines), _WINDOW):
        window = lines[start : start + _WINDOW]
        seen = _look(task, options, window)
        for wait in patience:
            doubtful = [one.line for one in seen.values() if one.verdict is not Verdict.CONFIRMED]
            if not doubtful or not task.pause(wait):
                break
            seen |= _look(task, options, doubtful)
        task.store.observe(task.run_id, [seen[line] for line in sorted(seen)])
        done += len(window)
        task.progress(Progress("verify", done, len(lines), "rows"))
        if task.should_stop():
            break
    return done


def _look(task: LoadTask, options: LoadOptions, lines: Sequence[int]) -> dict[int, Observation]:
    sent = sent_documents(task.store, task.run_id, options, lines)
    found = find_profiles(task.client, {line: document["attributes"] for line, document in sent.items()})
    routes = task.store.routes(task.run_id, lines) if options.list_ids else {}
    wanted = {line: wanted_lists(options, routes.get(line, ())) for line in found}
    absent = _absent(task.client, found, wanted, options.remove_from)
    return {line: _judge(line, sent[line], found.get(line), absent.get(line, ())) for line in lines}


def _judge(line: int, sent: Mapping[str, Any], profile: Profile | None, lists: Sequence[str]) -> Observation:
    if profile is None:
        return Observation(line, Verdict.MISSING)
    fields = (*differing_fields(sent["attributes"], profile), *unpatched(sent, profile), *lists)
    if not fields:
        return Observation(line, Verdict.CONFIRMED)
    dropped = fields == ("phone_number",) and not profile.phone_number
    return Observation(line, Verdict.PHONE_DROPPED if dropped else Verdict.DIFFERS, fields)


def _absent(
    client: KlaviyoClient,
    found: Mapping[int, Profile],
    wanted: Mapping[int, Sequence[str]],
    remove_from: str | None,
) -> dict[int, list[str]]:
    """Return what is wrong with the memberships of each line: ``list ID`` it is not on, ``not list ID`` it is still on.

    A list's members can be asked for by e-mail or phone only (reference 3.6); a profile with neither is not judged.
    """
    wrong: dict[int, list[str]] = {}
    everyone = list(found)
    for list_id in dict.fromkeys(list_id for lists in wanted.values() for list_id in lists):
        lines = [line for line, lists in wanted.items() if list_id in lists]
        members = members_among(client, list_id, [found[line] for line in lines])
        for line in lines:
            if can_be_asked_for(found[line]) and found[line].id not in members:
                wrong.setdefault(line, []).append(f"list {list_id}")
    if remove_from is not None and everyone:
        members = members_among(client, remove_from, list(found.values()))
        for line in everyone:
            if found[line].id in members and remove_from not in wanted[line]:
                wrong.setdefault(line, []).append(f"not list {remove_from}")
    return wrong
