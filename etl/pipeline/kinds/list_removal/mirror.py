"""Mirror: the list ends up equal to the source. Who is on it in Klaviyo and not in the source is taken off.

The list is read once, before anything is sent. Who has to leave is counted for the guard and staged as a run of its
own (command ``mirror``), whose parent is the import; :mod:`etl.pipeline.kinds.list_removal.run` carries it out when the
import is through. Who is in the source and not on the list any more is put on it again, even if nothing else
changed.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from etl.config import Mapping
from etl.errors import ConfigError
from etl.extract import text_frame
from etl.identity import identity_key
from etl.klaviyo import KlaviyoClient, KlaviyoList, Profile
from etl.load import find_profiles
from etl.model import IDENTIFIERS, Chunk, Progress, Record, Transformed, Validated
from etl.pipeline.account.lists import describe, find_list
from etl.pipeline.context import Context
from etl.pipeline.engine.agreement import discard_children
from etl.pipeline.kinds.list_removal.unreadable import unreadable_people
from etl.pipeline.lifecycle.history import is_part
from etl.state import IdentifierSet, Run, RunOptions, Store, identifier_hashes_of
from etl.transform import fingerprint, make_record
from etl.version import VERSION

MIRROR: Final = "mirror"
_COLUMNS: Final = ("id", "email", "phone_number", "external_id", "first_name", "last_name", "joined_group_at")
_WINDOW: Final = 1_000
"""Members compared at once: ten pages of Klaviyo's."""
_ID_BYTES: Final = 16
"""The identifiers that people are compared by, in the order of their hashes."""


@dataclass(frozen=True, slots=True)
class ListDiff:
    """``members``: on the list now; ``leaving``: those not in the source. ``child``: the run that takes them off."""

    target: KlaviyoList
    members: int
    leaving: int
    child: str | None = None

    @property
    def note(self) -> str:
        """What it comes to, for people."""
        return (
            f"{self.leaving:,} of the {self.members:,} profiles on {describe(self.target)} are not in the source and "
            "are taken off it"
        )


def compare_list(
    context: Context, store: Store, client: KlaviyoClient, run: Run, mapping: Mapping, *, keep: bool
) -> ListDiff | None:
    """Compare the list with a staged run; ``None`` where nothing is mirrored or the list is yet to be made.

    ``keep``: stage who leaves as a run. A pilot and a repair are not the whole source, so they take nobody off. Raise
    ConfigError where there is no list to mirror, KlaviyoError.
    """
    if mapping.load.missing != "mirror" or is_part(run):
        return None
    wanted = run.options.list
    if not wanted:
        raise ConfigError(
            "mirror-without-list",
            'missing = "mirror" makes a list equal to the source, and no list is named',
            "Name it: list in [load], or --list.",
        )
    target = find_list(client, wanted)
    if target is None:
        return None
    child = _begin(store, run, target) if keep else None
    found: list[Sequence[Any]] = []
    members = 0
    strange: dict[str, Profile] = {}
    # Who stands in a row that was rejected is in the source, as far as an identifier can be read.
    unreadable = unreadable_people(store, run, mapping)
    for window, strangers in _strangers(
        client.list_members(target.id), store.records.identifier_set(run.id), unreadable, found
    ):
        members += len(window)
        strange.update((one.id, one) for one in strangers)
        context.progress(Progress("list", members, target.profile_count or 0, "rows"))
    if strange:
        found += _recognised(context, store, client, run, strange, IdentifierSet.of(found))
    going = list(strange.values())
    leaving = len(going)
    for start in range(0, leaving if child is not None else 0, _WINDOW):
        _stage(store, str(child), going[start : start + _WINDOW], mapping, start + 1)
    store.known.reset_membership(run.id, target.id, IdentifierSet.of(found))
    if child is not None and not leaving:
        store.runs.discard(child)
        child = None
    if child is not None:
        _conclude(store, run, child, target, leaving)
    return ListDiff(target, members, leaving, child)


def _strangers(
    members: Iterator[Profile], people: IdentifierSet, unreadable: set[str], found: list[Sequence[Any]]
) -> Iterator[tuple[list[Profile], list[Profile]]]:
    """Yield a list's members window by window, each with those of them who are not in the source.

    ``people``: in the source; ``unreadable``: identifiers in its rejected rows. ``found`` collects all members' hashes.
    """
    while window := list(itertools.islice(members, _WINDOW)):
        hashes = identifier_hashes_of([(one.email, one.phone_number, one.external_id) for one in window])
        found.append(hashes)
        known = people.contains(hashes).tolist()
        yield (
            window,
            [
                one
                for one, is_known in zip(window, known, strict=True)
                if not is_known and not unreadable & _identifiers(one)
            ],
        )


def _recognised(  # noqa: PLR0917 - the world, and who is looked for in it
    context: Context, store: Store, client: KlaviyoClient, run: Run, strange: dict[str, Profile], seen: IdentifierSet
) -> Iterator[Sequence[Any]]:
    """Take those out of the strangers whom the source knows by an address that their profile does not show.

    Klaviyo answers for a secondary e-mail with the profile, which shows its own. So the people of the source who are
    not ``seen`` on the list are asked for. Yields their hashes: they are on it, under another name.
    """
    absent = store.records.lines_not_among(run.id, seen)
    for start in range(0, len(absent), _WINDOW):
        lines = absent[start : start + _WINDOW]
        people = dict(zip(lines, map(_attributes, store.records.bodies(run.id, lines)), strict=True))
        emails = {line: {"email": one["email"]} for line, one in people.items() if one.get("email")}
        known = {line: one for line, one in find_profiles(client, emails).items() if one.id in strange}
        yield identifier_hashes_of([tuple(people[line].get(name) for name in IDENTIFIERS) for line in known])
        for one in known.values():
            strange.pop(one.id, None)
        store.klaviyo_ids.remember(run.id, {line: one.id for line, one in known.items()})
        context.progress(Progress("list", start + len(lines), len(absent), "rows"))
        if not strange:
            return


def _attributes(body: bytes) -> dict[str, Any]:
    attributes: dict[str, Any] = orjson.loads(body)["attributes"]
    return attributes


def _begin(store: Store, run: Run, target: KlaviyoList) -> str:
    discard_children(store, run.id)
    return store.runs.create(
        source=f"list {target.name} ({target.id})",
        mapping_hash=run.mapping_hash,
        mapping=run.mapping,
        account=run.account,
        command=MIRROR,
        tool_version=VERSION,
        options=RunOptions(kind="list_removal"),
        parent=run.id,
    )


def _stage(store: Store, child: str, leaving: Sequence[Profile], mapping: Mapping, first: int) -> None:
    lines = range(first, first + len(leaving))
    cells = {
        name: [one.id if name == "id" else str(one.attributes.get(name) or "") for one in leaving] for name in _COLUMNS
    }
    frame = text_frame(lines, cells)
    records = [_record(line, one, mapping) for line, one in zip(lines, leaving, strict=True)]
    validated = Validated(frame, frozenset(), ())
    store.staging.add_chunk(child, Chunk(frame), validated, Transformed(records, frozenset(), ()))
    store.klaviyo_ids.remember(child, {line: one.id for line, one in zip(lines, leaving, strict=True)})


def _record(line: int, member: Profile, mapping: Mapping) -> Record:
    attributes = {name: value for name in IDENTIFIERS if (value := getattr(member, name))}
    if attributes:
        return make_record(line, {"attributes": attributes}, (), mapping.profile.key, clears=False)
    body = b'{"attributes":{}}'
    identity = hashlib.blake2b(f"id:{member.id}".encode(), digest_size=_ID_BYTES).digest()
    return Record(line, body, fingerprint(body, ()), identity)


def _conclude(store: Store, run: Run, child: str, target: KlaviyoList, leaving: int) -> None:
    store.staging.send_no_profile(child)
    store.runs.update(
        child,
        headers=_COLUMNS,
        records_read=leaving,
        account_name=run.details.account_name,
        notes=[f"profiles on {describe(target)} that are not in the source of run {run.id} are taken off it"],
    )


def _identifiers(member: Profile) -> set[str]:
    return {identity_key(name, value) for name in IDENTIFIERS if (value := getattr(member, name))}
