"""The records of one chunk, column by column: what transform makes and state stores, without an object per row.

A million records are a million tuples, byte strings and texts that Python makes, walks and forgets. As columns they
are a dozen buffers, which pass from stage to stage, and between processes, as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any, Self, overload

from etl.deferred import pa
from etl.model import DIGEST_BYTES, Record


@cache
def _schema() -> pa.Schema:
    return pa.schema(
        [
            pa.field("line", pa.int64(), nullable=False),
            pa.field("body", pa.large_binary(), nullable=False),
            pa.field("fingerprint", pa.binary(DIGEST_BYTES), nullable=False),
            pa.field("identity", pa.binary(DIGEST_BYTES), nullable=False),
            pa.field("email", pa.large_string()),
            pa.field("phone_number", pa.large_string()),
            pa.field("external_id", pa.large_string()),
            pa.field("lists", pa.list_(pa.large_string())),
            pa.field("clears", pa.bool_(), nullable=False),
        ]
    )


class Records(Sequence[Record]):
    """A sequence of :class:`Record` in line order, kept as one Arrow batch whose columns bear a record's field names.

    ``lists`` is null where a record has none.
    """

    __slots__ = ("batch",)

    def __init__(self, batch: pa.RecordBatch) -> None:
        self.batch = batch

    @classmethod
    def of(cls, records: Iterable[Record]) -> Self:
        """Return records as columns."""
        if isinstance(records, cls):
            return records
        columns: Sequence[Sequence[Any]] = list(zip(*records, strict=True)) or [()] * len(_schema())
        lists = [names or None for names in columns[_schema().get_field_index("lists")]]
        return cls.from_columns({**dict(zip(_schema().names, columns, strict=True)), "lists": lists})

    @classmethod
    def from_columns(cls, columns: dict[str, Any]) -> Self:
        """Return records of columns by name, Arrow arrays of the right type or what makes them."""
        made = [
            column if isinstance(column, pa.Array) else pa.array(column, field.type)
            for field, column in ((field, columns[field.name]) for field in _schema())
        ]
        return cls(pa.RecordBatch.from_arrays(made, schema=_schema()))

    def column(self, name: str) -> Any:
        """Return one column, an Arrow array."""
        return self.batch.column(_schema().get_field_index(name))

    @property
    def lines(self) -> list[int]:
        """The lines, in order."""
        lines: list[int] = self.column("line").to_numpy().tolist()
        return lines

    def take(self, positions: Sequence[int]) -> Records:
        """Return some of the records."""
        return Records(self.batch.take(pa.array(positions, pa.int64())))

    def with_fingerprints(self, fingerprints: Sequence[bytes]) -> Records:
        """Return the same records with other fingerprints."""
        place = _schema().get_field_index("fingerprint")
        return Records(self.batch.set_column(place, _schema().field(place), digests(fingerprints)))

    def __len__(self) -> int:
        return int(self.batch.num_rows)

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | Sequence[Record]:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            return self.take(range(start, stop, step))
        position = range(len(self))[index]
        (found,) = Records(self.batch.slice(position, 1))
        return found

    def __iter__(self) -> Iterator[Record]:
        columns = [column.to_pylist() for column in self.batch.columns]
        place = _schema().get_field_index("lists")
        columns[place] = [tuple(names) if names else () for names in columns[place]]
        return map(Record._make, zip(*columns, strict=True))


def digests(parts: Sequence[bytes]) -> Any:
    """Return 16-byte digests as a column."""
    return pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(DIGEST_BYTES), len(parts), [None, pa.py_buffer(b"".join(parts))]
    )
