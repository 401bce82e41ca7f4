"""Which memberships go back: lists that a run put people on are left, those it took them off are joined again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from etl.identity import identity_key
from etl.klaviyo import KlaviyoClient, Profile
from etl.load.profiles.lookup import can_be_asked_for
from etl.load.undo.document import UndoDocument
from etl.load.undo.options import UndoOptions

_JOINED_AT: Final = "joined_group_at"


@dataclass(frozen=True, slots=True)
class MembershipChanges:
    """What of the lists of some rows goes back: list id → lines.

    ``kept``: who joined such a list once more since, and who cannot be put on one that is gone.
    """

    leaving: Mapping[str, tuple[int, ...]]
    joining: Mapping[str, tuple[int, ...]]
    kept: Mapping[str, tuple[int, ...]]

    @property
    def lines(self) -> frozenset[int]:
        """Lines with a call before them."""
        called = (*self.leaving.values(), *self.joining.values())
        return frozenset(line for lines in called for line in lines)


def membership_changes(
    client: KlaviyoClient,
    options: UndoOptions,
    documents: Mapping[int, UndoDocument],
    profiles: Mapping[int, Profile],
) -> MembershipChanges:
    """Read who is on the lists now, and return what goes back. ``profiles``: line → profile, of those that are there.

    Of a profile without e-mail and phone Klaviyo does not say whether it is on a list (reference 3.6); taking it off,
    and putting it on again, changes nothing where it is so already.
    """
    leaving: dict[str, list[int]] = {}
    joining: dict[str, list[int]] = {}
    kept: dict[str, list[int]] = {}
    for list_id, lines in _by_list(documents, profiles).items():
        if client.get_list(list_id) is None:
            # Nobody is on a list that is gone, nor can be put on it.
            if coming := [line for line in lines if list_id in documents[line].left]:
                kept[list_id] = coming
            continue
        members = _members(client, list_id, [profiles[line] for line in lines])
        for line in lines:
            profile = profiles[line]
            is_known = can_be_asked_for(profile)
            is_on = profile.id in members
            if list_id in documents[line].left:
                if not is_on:
                    joining.setdefault(list_id, []).append(line)
            elif is_on and options.is_later(members[profile.id]):
                kept.setdefault(list_id, []).append(line)
            elif is_on or not is_known:
                leaving.setdefault(list_id, []).append(line)
    return MembershipChanges(_frozen(leaving), _frozen(joining), _frozen(kept))


def _by_list(documents: Mapping[int, UndoDocument], profiles: Mapping[int, Profile]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for line in sorted(documents.keys() & profiles.keys()):
        if documents[line].has_list_calls:
            for list_id in (*documents[line].joined, *documents[line].left):
                found.setdefault(list_id, []).append(line)
    return found


def _members(client: KlaviyoClient, list_id: str, profiles: Sequence[Profile]) -> dict[str, object]:
    """Return id → when it joined, of those of these profiles that are on the list."""
    emails = _keys("email", [profile.email for profile in profiles])
    phones = _keys("phone_number", [profile.phone_number for profile in profiles if not profile.email])
    found = [*client.list_members(list_id, "email", emails)] if emails else []
    found += [*client.list_members(list_id, "phone_number", phones)] if phones else []
    return {member.id: member.attributes.get(_JOINED_AT) for member in found}


def _keys(name: str, values: Iterable[str | None]) -> list[str]:
    return [identity_key(name, value) for value in values if value]


def _frozen(lists: Mapping[str, Sequence[int]]) -> dict[str, tuple[int, ...]]:
    return {list_id: tuple(lines) for list_id, lines in lists.items()}
