"""Records in blocks: a few buffers in one row of the database instead of a thousand rows.

Writing a row per record takes longer than everything else that staging does. What is asked of records is asked by line
or of all of them, and both a block answers: it is read, cut at the lines wanted, and forgotten.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, cached_property
from typing import Any, Final, TypeAlias

import orjson

from etl.deferred import np, npt, pa, pc, pd
from etl.identity import EMAIL, email_key, email_keys
from etl.model import DIGEST_BYTES, IDENTIFIERS, Record
from etl.records import Records

BLOCK: Final = 4_096
"""Records in a block: enough to be written and compressed well, few enough to be read for the sake of one."""


Lines: TypeAlias = "npt.NDArray[np.int64]"
Places: TypeAlias = "npt.NDArray[np.intp]"
Digests: TypeAlias = "npt.NDArray[np.uint64]"
"""Two halves of 64 bits a digest, shape (n, 2)."""

_LINE: Final = "<i8"
_SIZE: Final = "<i4"
_HALF: Final = "<u8"
_PHONE: Final = r"^\+[1-9][0-9]{0,17}$"


@cache
def _codec() -> pa.Codec:
    return pa.Codec("zstd", 1)


class Block:
    """Records that lie together in state, as far as their parts were read.

    ``parts``: columns of the table of blocks. ``replaced``: records written on their own since; they count instead.
    ``wanted``: the lines asked for, ascending, as far as the block may hold them; ``None`` for all of its own.
    """

    def __init__(self, parts: Mapping[str, Any], replaced: Mapping[int, Record], wanted: Lines | None = None) -> None:
        self._parts = parts
        self._replaced = replaced
        self._wanted = wanted

    @cached_property
    def lines(self) -> Lines:
        """Lines, ascending."""
        return np.frombuffer(self._parts["lines"], _LINE)

    @property
    def changed(self) -> list[int]:
        """Lines whose record was changed since."""
        return list(self._replaced)

    @cached_property
    def sizes(self) -> npt.NDArray[np.int32]:
        """Bytes of each body."""
        sizes = np.frombuffer(self._parts["sizes"], _SIZE)
        if self._replaced:
            sizes = sizes.copy()
            sizes[self._changed_places] = [len(record.body) for record in self._replaced.values()]
        return sizes

    @cached_property
    def fingerprints(self) -> Digests:
        """Fingerprints."""
        return self._digests("fingerprints", (record.fingerprint for record in self._replaced.values()))

    @cached_property
    def identities(self) -> Digests:
        """Identities."""
        return self._digests("identities", (record.identity for record in self._replaced.values()))

    @cached_property
    def hashes(self) -> npt.NDArray[np.int64]:
        """Hashes of each of :data:`etl.model.IDENTIFIERS`, one row each; 0 where there is none."""
        return np.frombuffer(self._parts["hashes"], _LINE).reshape(len(IDENTIFIERS), -1)

    @cached_property
    def lists(self) -> dict[int, tuple[str, ...]]:
        """Line → names in its list column; lines without any are left out."""
        found = {
            int(self.lines[place]): tuple(names)
            for names, places in orjson.loads(self._parts["extras"]).get("lists", ())
            for place in places
        }
        for line, record in self._replaced.items():
            found.pop(line, None)
            if record.lists:
                found[line] = record.lists
        return found

    @cached_property
    def clears(self) -> frozenset[int]:
        """Lines whose body clears a field."""
        found = {int(self.lines[place]) for place in orjson.loads(self._parts["extras"]).get("clears", ())}
        found -= self._replaced.keys()
        return frozenset(found | {line for line, record in self._replaced.items() if record.clears})

    @cached_property
    def chosen(self) -> Places:
        """Where the lines asked for stand in the block, ascending."""
        return np.arange(len(self.lines)) if self._wanted is None else self.places(self._wanted)

    def bodies(self, places: Places) -> dict[int, bytes]:
        """Return line → body for the records at these places. Raise ValueError if the block is damaged."""
        sizes, packed = self._parts["sizes"], bytes(self._parts["bodies"])
        if _checksum(self._parts["lines"], sizes, packed[DIGEST_BYTES:]) != packed[:DIGEST_BYTES]:
            raise ValueError("a block of records is damaged")
        ends = np.cumsum(np.frombuffer(sizes, _SIZE), dtype=np.int64)
        data = _codec().decompress(packed[DIGEST_BYTES:], int(ends[-1]) if len(ends) else 0, asbytes=True)
        found = {
            line: data[start:end]
            for line, start, end in zip(
                self.lines[places].tolist(),
                np.concatenate(([0], ends[:-1]))[places].tolist(),
                ends[places].tolist(),
                strict=True,
            )
        }
        found.update((line, self._replaced[line].body) for line in found.keys() & self._replaced.keys())
        return found

    def places(self, lines: Lines) -> Places:
        """Return where those of these lines, ascending, stand that the block has."""
        at = np.minimum(np.searchsorted(self.lines, lines), len(self.lines) - 1)
        return np.asarray(at[self.lines[at] == lines])

    @cached_property
    def _changed_places(self) -> Places:
        return np.searchsorted(self.lines, list(self._replaced))

    def _digests(self, part: str, changed: Iterable[bytes]) -> Digests:
        digests = np.frombuffer(self._parts[part], _HALF).reshape(-1, 2)
        if self._replaced:
            digests = digests.copy()
            digests[self._changed_places] = np.frombuffer(b"".join(changed), _HALF).reshape(-1, 2)
        return digests


def pack_records(records: Records) -> Iterator[dict[str, Any]]:
    """Yield the columns of the table of blocks for these records, block by block."""
    hashes = _hashes(records)
    for start in range(0, len(records), BLOCK):
        part = Records(records.batch.slice(start, BLOCK))
        lines = part.column("line").to_numpy()
        sizes = pc.binary_length(part.column("body")).to_numpy().astype(_SIZE).tobytes()
        packed_lines = lines.astype(_LINE).tobytes()
        yield {
            "first_line": int(lines[0]),
            "last_line": int(lines[-1]),
            "lines": packed_lines,
            "sizes": sizes,
            "fingerprints": _fixed(part.column("fingerprint")),
            "identities": _fixed(part.column("identity")),
            "hashes": hashes[:, start : start + BLOCK].tobytes(),
            "extras": _extras(part),
            "bodies": packed_bodies(packed_lines, sizes, _cells(part.column("body"))),
        }


def packed_bodies(lines: bytes, sizes: bytes, bodies: bytes | memoryview) -> bytes:
    """Return bodies, one after the other, as a block holds them. ``lines``, ``sizes``: of the same block, packed."""
    packed: bytes = _codec().compress(bodies, asbytes=True)
    return _checksum(lines, sizes, packed) + packed


def _extras(records: Records) -> bytes:
    """Return what few records have: their positions by what they have."""
    extras: dict[str, Any] = {}
    lists = records.column("lists")
    if lists.null_count < len(lists):
        named: dict[tuple[str, ...], list[int]] = {}
        for place, names in enumerate(lists.to_pylist()):
            if names:
                named.setdefault(tuple(names), []).append(place)
        extras["lists"] = list(named.items())
    clears = np.flatnonzero(records.column("clears").to_numpy(zero_copy_only=False)).tolist()
    if clears:
        extras["clears"] = clears
    return orjson.dumps(extras)


def _hashes(records: Records) -> npt.NDArray[np.int64]:
    """Hash identifiers to 64 bits: a collision only makes candidates of two lines, so a fast hash will do."""
    hashes = np.zeros((len(IDENTIFIERS), len(records)), _LINE)
    for row, name in zip(hashes, IDENTIFIERS, strict=True):
        texts = records.column(name)
        there = pc.fill_null(pc.not_equal(texts, ""), fill_value=False)
        row[there.to_numpy(zero_copy_only=False)] = _hashed(name, texts.filter(there))
    return hashes


def _hashed(name: str, texts: Any) -> npt.NDArray[np.int64]:
    if name == "phone_number" and pc.all(pc.match_substring_regex(texts, _PHONE)).as_py():
        return np.asarray(pc.utf8_slice_codeunits(texts, 1).cast(pa.int64()).to_numpy())
    folded = email_keys(texts) if name == EMAIL else texts
    return _hash(folded.to_numpy(zero_copy_only=False))


def identifier_hashes(name: str, values: Sequence[str | None]) -> npt.NDArray[np.int64]:
    """Return the hashes of any identifiers as blocks hold them; 0 where there is none."""
    hashes = np.zeros(len(values), _LINE)
    for place, value in enumerate(values):
        if value:
            (hashes[place],) = _hashed(name, pa.array([value], pa.large_string()))
    return hashes


def hashes_of(name: str, values: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return the hashes of e-mails or external ids as blocks hold them."""
    folded = [email_key(value) for value in values] if name == EMAIL else values
    return _hash(np.array(folded, dtype=object))


def _hash(texts: npt.NDArray[np.object_]) -> npt.NDArray[np.int64]:
    hashed = pd.util.hash_array(texts, categorize=False).view(np.int64)
    return np.where(hashed == 0, np.int64(1), hashed)


def hashes_of_any(name: str, values: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return the hashes of identifiers of any name as blocks hold them; no value is empty."""
    if not values:
        return np.zeros(0, _LINE)
    if name != "phone_number":
        return hashes_of(name, values)
    texts = pa.array(values, pa.large_string())
    plain = pc.match_substring_regex(texts, _PHONE).to_numpy(zero_copy_only=False)
    hashes = np.zeros(len(values), _LINE)
    for chosen in (plain, ~plain):
        if chosen.any():
            hashes[chosen] = _hashed(name, texts.filter(pa.array(chosen)))
    return hashes


def _cells(column: Any) -> memoryview:
    """Return the bytes of all cells of a column, one after the other, without copying them."""
    _, offsets, data = column.buffers()
    ends = np.frombuffer(offsets, np.int64)[[column.offset, column.offset + len(column)]]
    return memoryview(data if data is not None else b"")[ends[0] : ends[1]]


def _fixed(column: Any) -> bytes:
    """Return a column of digests as bytes."""
    start = column.offset * DIGEST_BYTES
    return bytes(memoryview(column.buffers()[1])[start : start + len(column) * DIGEST_BYTES])


def _checksum(*parts: bytes) -> bytes:
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for part in parts:
        digest.update(part)
    return digest.digest()
