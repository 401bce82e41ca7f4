"""What an undo is: a run whose rows are those of an earlier run, and which puts back what that one wrote."""

from __future__ import annotations

from collections.abc import Mapping as AbstractMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn

from etl.config import Mapping, parse_mapping
from etl.errors import UsageError
from etl.pipeline.context import Context
from etl.pipeline.engine.kind import RecordKind
from etl.pipeline.staging.stage import Staging

if TYPE_CHECKING:
    from etl.pipeline.engine.sender import Sender

COMMAND: Final = "undo"


class UndoKind(RecordKind[Mapping]):
    """An earlier run, taken back. Its mapping is that run's; it reads no source."""

    name: ClassVar[str] = "undo"
    moves_known_state: ClassVar[bool] = False
    """What is put back is not what a file says: the next import sends it."""
    verb: ClassVar[str] = COMMAND

    def parse(self, document: AbstractMapping[str, Any], *, where: str = "mapping") -> Mapping:
        """Check the mapping of the earlier run."""
        return parse_mapping(document, where=where)

    def read(self, path: Path) -> Mapping:
        """Refuse: it reads no source of its own."""
        raise _no_source(path)

    def columns(self, rules: Mapping) -> Mapping:
        """Return the mapping of the earlier run."""
        return rules

    def stager(self, at: Staging, rules: Mapping, context: Context) -> NoReturn:  # noqa: ARG002 - it has none
        """Refuse: it reads no source of its own."""
        raise _no_source(at.source.info.name)

    @property
    def sender(self) -> Sender[Mapping]:
        """Put back what the earlier run wrote."""
        from etl.pipeline.kinds.undo.sender import SENDER  # noqa: PLC0415 - as for every kind

        return SENDER


KIND = UndoKind()


def _no_source(name: object) -> UsageError:
    return UsageError("kind-unknown", f"{name}: a run is undone, not a file", "klaviyo-etl undo RUN takes a run back.")
