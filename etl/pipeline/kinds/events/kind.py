"""What an import of events is."""

from __future__ import annotations

from collections.abc import Mapping as AbstractMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from etl.config import EventMapping, Mapping, load_event_mapping, parse_event_mapping
from etl.pipeline.account.revision import first_year_of
from etl.pipeline.context import Context
from etl.pipeline.engine.kind import RecordKind
from etl.pipeline.kinds.events.stage import EventStager
from etl.pipeline.staging.stage import Staging

if TYPE_CHECKING:
    from etl.pipeline.engine.sender import Sender


class EventKind(RecordKind[EventMapping]):
    """Orders and anything else that happened, one row each or one row a line item."""

    name: ClassVar[str] = "events"
    verb: ClassVar[str] = "events"

    def parse(self, document: AbstractMapping[str, Any], *, where: str = "mapping") -> EventMapping:
        """Check a mapping given as plain data."""
        return parse_event_mapping(document, where=where)

    def read(self, path: Path) -> EventMapping:
        """Read a mapping file."""
        return load_event_mapping(path)

    def columns(self, rules: EventMapping) -> Mapping:
        """Return the mapping of profiles that judges and types the cells."""
        return rules.compiled

    def stager(self, at: Staging, rules: EventMapping, context: Context) -> EventStager:
        """Make one event of the rows that are one."""
        return EventStager(at, rules, first_year=first_year_of(context))

    @property
    def sender(self) -> Sender[EventMapping]:
        """Send events, and look for each."""
        from etl.pipeline.kinds.events.sender import SENDER  # noqa: PLC0415 - a look needs none of it

        return SENDER


KIND = EventKind()
