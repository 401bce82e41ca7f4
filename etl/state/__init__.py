"""The only SQL on our own state: runs, rows, issues, batches, attempts, known profiles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.deferred import exports

if TYPE_CHECKING:
    from etl.state.db.database import slices
    from etl.state.db.engine import shown
    from etl.state.db.errors import is_trouble
    from etl.state.loading.before_values import BeforeCoverage, BeforeValue
    from etl.state.loading.history import BatchSummary, Precedents
    from etl.state.loading.observations import ObservationSummary
    from etl.state.loading.profile_merges import MergeStatus, ProfileMerge
    from etl.state.monitoring.alerts import AlertBook, StoredAlert, ToldCondition
    from etl.state.monitoring.view import Failure, RunHead, StateView
    from etl.state.records.chunks import PackedChunk, pack_chunk
    from etl.state.records.identifier_set import IdentifierSet, identifier_hashes_of
    from etl.state.retention.person import Person
    from etl.state.retention.purge import RunToPurge
    from etl.state.runs.document import (
        PROFILES,
        DetailChanges,
        ReachedMark,
        RunDetails,
        RunOptions,
        RunProcess,
        StagedFile,
        StagedRevenue,
    )
    from etl.state.runs.issues import IssueSummary
    from etl.state.runs.rows import PendingRow
    from etl.state.runs.runs import Run
    from etl.state.runs.source_rows import SourceBlock, SourceRow
    from etl.state.serving.opt_outs import EARLIEST, OptOutEvent, OptOutKind, OptOutStatus
    from etl.state.serving.outbox import LONGEST_WAIT, OutboxMessage, person_key
    from etl.state.staging.consents import ConsentCount
    from etl.state.staging.merges import MergeSummary
    from etl.state.staging.source_opt_outs import Said, SourceOptOuts, opt_out_hashes
    from etl.state.store import Store
    from etl.state.upkeep.backup_file import BackupHeader, read_header
    from etl.state.upkeep.check import CheckResult, check_state
    from etl.state.upkeep.keeping import MoveResult, back_up, move, restore

__all__ = [
    "EARLIEST",
    "LONGEST_WAIT",
    "PROFILES",
    "AlertBook",
    "BackupHeader",
    "BatchSummary",
    "BeforeCoverage",
    "BeforeValue",
    "CheckResult",
    "ConsentCount",
    "DetailChanges",
    "Failure",
    "IdentifierSet",
    "IssueSummary",
    "MergeStatus",
    "MergeSummary",
    "MoveResult",
    "ObservationSummary",
    "OptOutEvent",
    "OptOutKind",
    "OptOutStatus",
    "OutboxMessage",
    "PackedChunk",
    "PendingRow",
    "Person",
    "Precedents",
    "ProfileMerge",
    "ReachedMark",
    "Run",
    "RunDetails",
    "RunHead",
    "RunOptions",
    "RunProcess",
    "RunToPurge",
    "Said",
    "SourceBlock",
    "SourceOptOuts",
    "SourceRow",
    "StagedFile",
    "StagedRevenue",
    "StateView",
    "Store",
    "StoredAlert",
    "ToldCondition",
    "back_up",
    "check_state",
    "identifier_hashes_of",
    "is_trouble",
    "move",
    "opt_out_hashes",
    "pack_chunk",
    "person_key",
    "read_header",
    "restore",
    "shown",
    "slices",
]

__getattr__ = exports(
    __name__,
    {
        "db.database": ("slices",),
        "loading.before_values": ("BeforeCoverage", "BeforeValue"),
        "loading.history": ("BatchSummary", "Precedents"),
        "runs.rows": ("PendingRow",),
        "records.chunks": ("PackedChunk", "pack_chunk"),
        "staging.consents": ("ConsentCount",),
        "db.engine": ("shown",),
        "staging.merges": ("MergeSummary",),
        "serving.opt_outs": ("EARLIEST", "OptOutEvent", "OptOutKind", "OptOutStatus"),
        "loading.observations": ("ObservationSummary",),
        "staging.source_opt_outs": ("Said", "SourceOptOuts", "opt_out_hashes"),
        "serving.outbox": ("LONGEST_WAIT", "OutboxMessage", "person_key"),
        "records.identifier_set": ("IdentifierSet", "identifier_hashes_of"),
        "loading.profile_merges": ("MergeStatus", "ProfileMerge"),
        "runs.document": (
            "PROFILES",
            "DetailChanges",
            "ReachedMark",
            "RunDetails",
            "RunOptions",
            "RunProcess",
            "StagedFile",
            "StagedRevenue",
        ),
        "retention.person": ("Person",),
        "retention.purge": ("RunToPurge",),
        "runs.issues": ("IssueSummary",),
        "runs.runs": ("Run",),
        "runs.source_rows": ("SourceBlock", "SourceRow"),
        "monitoring.alerts": ("AlertBook", "StoredAlert", "ToldCondition"),
        "monitoring.view": ("Failure", "RunHead", "StateView"),
        "store": ("Store",),
        "upkeep.backup_file": ("BackupHeader", "read_header"),
        "upkeep.check": ("CheckResult", "check_state"),
        "upkeep.keeping": ("MoveResult", "back_up", "move", "restore"),
        "db.errors": ("is_trouble",),
    },
)
