"""Verify: read loaded rows back from Klaviyo and compare every field that was sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from etl.klaviyo import KlaviyoClient, Profile
from etl.load.options import LoadOptions, wanted_lists
from etl.load.profiles.lookup import can_be_asked_for, find_profiles, members_among
from etl.load.profiles.preflight import sent_documents
from etl.load.profiles.proof import differing_fields
from etl.load.profiles.write_rules import unpatchable, unpatched
from etl.load.task import LoadTask
from etl.model import Observation, Progress, VerifyResult

_WINDOW: Final = 1_000
"""Rows looked at together: ten requests of 100 values each."""
_FIRST_WAIT: Final = 2.0
_LONGEST_WAIT: Final = 20.0
"""Seconds before a second look, and the most before a further one."""


Look = Callable[[Sequence[int]], dict[int, Observation]]
"""Lines → what is seen of each now."""


def verify_rows(task: LoadTask, options: LoadOptions, lines: Sequence[int], *, written_at: float) -> int:
    """Look at these rows of an import, and at its lists; see :func:`watch_rows`."""
    return watch_rows(task, lines, lambda window: _look(task, options, window), written_at=written_at)


def watch_rows(task: LoadTask, lines: Sequence[int], look: Look, *, written_at: float) -> int:
    """Look at these rows and write what was seen, window by window; return how many were looked at.

    What is not as it was sent is looked at again until ``RetryPolicy.visible_within`` has gone by since ``written_at``
    (epoch seconds): Klaviyo shows a write to its readers a while after it has confirmed it. Only then does it count.
    Raise :class:`etl.errors.KlaviyoError`.
    """
    doubtful: list[int] = []
    done = 0
    for start in range(0, len(lines), _WINDOW):
        window = lines[start : start + _WINDOW]
        seen = look(window)
        doubtful += [line for line, one in seen.items() if not _is_certain(one)]
        confirmed = [seen[line] for line in sorted(seen) if _is_certain(seen[line])]
        task.store.observations.add(task.run_id, confirmed, decides=True)
        done += len(window)
        task.progress(Progress("verify", done - len(doubtful), len(lines), "rows"))
        if task.should_stop():
            return done - len(doubtful)
    # As long as one of them may still come into sight, nothing is said of any.
    until = task.clock.monotonic() + max(0.0, written_at + task.retry_policy.visible_within - task.clock.now())
    wait = _FIRST_WAIT
    while doubtful and (left := until - task.clock.monotonic()) > 0:
        task.progress(Progress("verify", done - len(doubtful), done, "rows", "waiting for Klaviyo to show the rest"))
        if not task.pause(min(wait, left)):
            return done - len(doubtful)
        wait = min(2 * wait, _LONGEST_WAIT)
        doubtful = _look_again(task, look, doubtful, last=False)
    _look_again(task, look, doubtful, last=True)
    task.progress(Progress("verify", done, done, "rows"))
    return done


def _look_again(task: LoadTask, look: Look, lines: Sequence[int], *, last: bool) -> list[int]:
    """Look at rows once more; return those that are still in doubt. ``last``: whatever is seen counts."""
    doubtful: list[int] = []
    for start in range(0, len(lines), _WINDOW):
        seen = look(lines[start : start + _WINDOW])
        if last:
            seen = _proved(task.client, seen)
        else:
            doubtful += [line for line, one in seen.items() if not _is_certain(one)]
            seen = {line: one for line, one in seen.items() if _is_certain(one)}
        task.store.observations.add(task.run_id, [seen[line] for line in sorted(seen)], decides=True)
    return doubtful


def _proved(client: KlaviyoClient, seen: dict[int, Observation]) -> dict[int, Observation]:
    """Return what was seen; that nobody is there counts only where Klaviyo shows anybody at all."""
    if any(one.verdict is not VerifyResult.MISSING for one in seen.values()) or not seen or client.has_profiles():
        return seen
    return {line: Observation(line, VerifyResult.UNSEEN) for line in seen}


def _look(task: LoadTask, options: LoadOptions, lines: Sequence[int]) -> dict[int, Observation]:
    sent = sent_documents(task.store, task.run_id, options, lines)
    ids = task.store.klaviyo_ids.of(task.run_id, lines)
    found = find_profiles(task.client, {line: document["attributes"] for line, document in sent.items()}, ids)
    routes = task.store.records.row_lists(task.run_id, lines) if options.list_ids else {}
    wanted = {line: wanted_lists(options, routes.get(line, ())) for line in found}
    absent = _absent(task.client, found, wanted, options.remove_from)
    return {line: observed(line, sent[line], found.get(line), absent.get(line, ())) for line in lines}


def observed(line: int, sent: Mapping[str, Any], profile: Profile | None, lists: Sequence[str]) -> Observation:
    """Return what a profile says of what was sent. ``lists``: what is wrong with its memberships."""
    if profile is None:
        return Observation(line, VerifyResult.MISSING)
    fields = (*differing_fields(sent["attributes"], profile), *unpatched(sent, profile), *lists)
    if not fields:
        return Observation(line, VerifyResult.CONFIRMED)
    dropped = fields == ("phone_number",) and not profile.phone_number
    foretold = unpatchable(sent, profile).issuperset(fields)
    return Observation(line, VerifyResult.PHONE_DROPPED if dropped else VerifyResult.DIFFERS, fields, foretold)


def _is_certain(one: Observation) -> bool:
    return one.verdict is VerifyResult.CONFIRMED or one.foretold


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
