"""What taking profiles off a list is: a run of its own whose parent is the import that noticed.

Its rows are the earlier import's, or the list's, none of their profiles is sent, and its sum ties like any other.
"""

from __future__ import annotations

from collections.abc import Mapping as AbstractMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from etl.config import Mapping, parse_mapping
from etl.errors import UsageError
from etl.pipeline.context import Context
from etl.pipeline.engine.kind import RecordKind
from etl.pipeline.staging.stage import Staging

if TYPE_CHECKING:
    from etl.pipeline.engine.sender import Sender


class ListRemovalKind(RecordKind[Mapping]):
    """Profiles that are taken off a list. Its runs are begun by an import alone, prepared as they begin."""

    name: ClassVar[str] = "list_removal"

    def parse(self, document: AbstractMapping[str, Any], *, where: str = "mapping") -> Mapping:
        """Check the mapping of the import."""
        return parse_mapping(document, where=where)

    def read(self, path: Path) -> Mapping:
        """Refuse: it reads no source of its own."""
        raise _no_source(path)

    def columns(self, rules: Mapping) -> Mapping:
        """Return the mapping of the import."""
        return rules

    def stager(self, at: Staging, rules: Mapping, context: Context) -> NoReturn:  # noqa: ARG002 - it has none
        """Refuse: it reads no source of its own."""
        raise _no_source(at.source.info.name)

    @property
    def sender(self) -> Sender[Mapping]:
        """Take profiles off a list."""
        from etl.pipeline.kinds.list_removal.sender import SENDER  # noqa: PLC0415 - as for every kind

        return SENDER


KIND = ListRemovalKind()


def _no_source(name: object) -> UsageError:
    return UsageError(
        "kind-unknown", f"{name}: nothing is taken off a list by a source of its own", "Use missing in [load]."
    )
