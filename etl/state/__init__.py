"""The only SQL on our own state: runs, rows, issues, batches, attempts, known profiles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.deferred import exports

if TYPE_CHECKING:
    from etl.state.base import slices
    from etl.state.batches import CONSENT_CHANNELS, PendingRow, Precedents
    from etl.state.chunks import PackedChunk, pack_chunk
    from etl.state.consents import ConsentCount
    from etl.state.engine import shown
    from etl.state.merges import MergeSummary
    from etl.state.notices import EARLIEST, Notice, NoticeKind, Standing
    from etl.state.observing import ObservationSummary
    from etl.state.opt_outs import Said, SourceOptOuts, opt_out_hashes
    from etl.state.outbox import LONGEST_WAIT, Parcel, parcel_key
    from etl.state.people import People, hashes_of_people
    from etl.state.profile_merges import MergeStatus, ProfileMerge
    from etl.state.reading import BatchSummary, IssueSummary
    from etl.state.runs import Run
    from etl.state.source_rows import SourceRow
    from etl.state.store import Store
    from etl.state.translate import is_trouble

__all__ = [
    "CONSENT_CHANNELS",
    "EARLIEST",
    "LONGEST_WAIT",
    "BatchSummary",
    "ConsentCount",
    "IssueSummary",
    "MergeStatus",
    "MergeSummary",
    "Notice",
    "NoticeKind",
    "ObservationSummary",
    "PackedChunk",
    "Parcel",
    "PendingRow",
    "People",
    "Precedents",
    "ProfileMerge",
    "Run",
    "Said",
    "SourceOptOuts",
    "SourceRow",
    "Standing",
    "Store",
    "hashes_of_people",
    "is_trouble",
    "opt_out_hashes",
    "pack_chunk",
    "parcel_key",
    "shown",
    "slices",
]

__getattr__ = exports(
    __name__,
    {
        "base": ("slices",),
        "batches": ("CONSENT_CHANNELS", "PendingRow", "Precedents"),
        "chunks": ("PackedChunk", "pack_chunk"),
        "consents": ("ConsentCount",),
        "engine": ("shown",),
        "merges": ("MergeSummary",),
        "notices": ("EARLIEST", "Notice", "NoticeKind", "Standing"),
        "observing": ("ObservationSummary",),
        "opt_outs": ("Said", "SourceOptOuts", "opt_out_hashes"),
        "outbox": ("LONGEST_WAIT", "Parcel", "parcel_key"),
        "people": ("People", "hashes_of_people"),
        "profile_merges": ("MergeStatus", "ProfileMerge"),
        "reading": ("BatchSummary", "IssueSummary"),
        "runs": ("Run",),
        "source_rows": ("SourceRow",),
        "store": ("Store",),
        "translate": ("is_trouble",),
    },
)
