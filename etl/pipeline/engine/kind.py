"""What the engine asks of a kind of record. A new kind is one folder below ``etl/pipeline/kinds`` with one of these."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping as AbstractMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic

from etl.config import Mapping
from etl.config.mapping.document import R
from etl.model import SourceInfo
from etl.pipeline.context import Context
from etl.pipeline.lifecycle.readings import demand_certain, doubts
from etl.pipeline.staging.stage import Stager, Staging

if TYPE_CHECKING:
    from etl.pipeline.engine.sender import Sender


class RecordKind(ABC, Generic[R]):
    """One kind of record. What it does not say is as it is for most."""

    name: ClassVar[str]
    """What the options of a run call it, and the folder it is in."""
    moves_known_state: ClassVar[bool] = True
    """Whether what its runs confirm counts as known afterwards."""
    verb: ClassVar[str] = "run"
    """The command that sends such a source."""

    # --- its mapping

    @abstractmethod
    def parse(self, document: AbstractMapping[str, Any], *, where: str = "mapping") -> R:
        """Check a mapping given as plain data. Raise :class:`etl.errors.ConfigError`."""

    @abstractmethod
    def read(self, path: Path) -> R:
        """Read a mapping file. Raise :class:`etl.errors.ConfigError`."""

    @abstractmethod
    def columns(self, rules: R) -> Mapping:
        """Return the source, the guards, and how cells are judged and typed."""

    # --- a source and its rows

    def objections(self, info: SourceInfo, rules: R) -> list[str]:  # noqa: ARG002 - of the mapping others may ask
        """Return what of a source would stop a run, for those who only look."""
        return doubts(info)

    def demand(self, context: Context, info: SourceInfo, rules: R) -> list[str]:  # noqa: ARG002 - as above
        """Ask a person what must be asked of a source. Return what the report says of it.

        Raise :class:`etl.errors.GuardError` for a no.
        """
        return demand_certain(context, info)

    def remarks(self, rules: R) -> list[str]:  # noqa: ARG002 - most mappings need none
        """Return what is to be said of a mapping whose source is only looked at."""
        return []

    @abstractmethod
    def stager(self, at: Staging, rules: R, context: Context) -> Stager[Any]:
        """Return what judges the chunks of a source and settles what is one record."""

    @property
    @abstractmethod
    def sender(self) -> Sender[R]:
        """Return what takes staged runs into an account. Imported when it is asked for: a look needs none of it."""
