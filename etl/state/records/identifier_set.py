"""Who is in a run: people compared by their identifiers with people elsewhere, on a list of Klaviyo's for one.

Identifiers are compared as the 64-bit hashes that blocks hold: 24 bytes a person. Should two share a hash by chance,
which a list of a million meets once in a million times, somebody stays on it who should have left.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Self, TypeAlias

from etl.deferred import np, npt
from etl.model import IDENTIFIERS
from etl.state.records.blocks import identifier_hashes
from etl.state.records.digests import Mask

Identified = Sequence[tuple[str | None, ...]]
"""People, each as its identifiers in the order e-mail, phone, external id."""

Hashes: TypeAlias = "npt.NDArray[np.int64]"


class IdentifierSet(NamedTuple):
    """``hashes``: of their e-mails, phones and external ids, an array each, ascending."""

    hashes: tuple[Hashes, ...]

    @classmethod
    def of(cls, pieces: Iterable[Sequence[Hashes]]) -> Self:
        """Return the people of many pieces; hashes in each are in any order, and 0 where somebody lacks one."""
        columns = zip(*pieces, strict=True)
        found = tuple(np.unique(np.concatenate([part[part != 0] for part in column])) for column in columns)
        return cls(found or (np.zeros(0, np.int64),) * len(IDENTIFIERS))

    def contains(self, hashes: Sequence[Hashes]) -> Mask:
        """Which people are among these by any of their identifiers."""
        found = np.zeros(len(hashes[0]), dtype=bool)
        for mine, theirs in zip(self.hashes, hashes, strict=True):
            at = np.minimum(np.searchsorted(mine, theirs), max(len(mine) - 1, 0))
            if len(mine):
                found |= (theirs != 0) & (mine[at] == theirs)
        return found


def identifier_hashes_of(people: Identified) -> list[Hashes]:
    """Return the hashes of people's identifiers, an array each; 0 where somebody lacks one."""
    return [identifier_hashes(name, [person[at] for person in people]) for at, name in enumerate(IDENTIFIERS)]
