"""What an import of profiles is."""

from __future__ import annotations

from collections.abc import Mapping as AbstractMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from etl.config import Mapping, load_mapping, parse_mapping
from etl.model import SourceInfo
from etl.pipeline.context import Context
from etl.pipeline.engine.kind import RecordKind
from etl.pipeline.kinds.profiles import permissions
from etl.pipeline.kinds.profiles.dates import date_notes
from etl.pipeline.kinds.profiles.stage import ProfileStager
from etl.pipeline.staging.pool import default_workers
from etl.pipeline.staging.stage import Staging

if TYPE_CHECKING:
    from etl.pipeline.engine.sender import Sender


class ProfileKind(RecordKind[Mapping]):
    """Profiles, with their lists and consents."""

    name: ClassVar[str] = "profiles"

    def parse(self, document: AbstractMapping[str, Any], *, where: str = "mapping") -> Mapping:
        """Check a mapping given as plain data."""
        return parse_mapping(document, where=where)

    def read(self, path: Path) -> Mapping:
        """Read a mapping file."""
        return load_mapping(path)

    def columns(self, rules: Mapping) -> Mapping:
        """Return the mapping itself."""
        return rules

    def objections(self, info: SourceInfo, rules: Mapping) -> list[str]:
        """Return what would stop a run: columns of opt-outs that nobody hears, too."""
        return [*permissions.objections(info.columns, rules), *super().objections(info, rules)]

    def demand(self, context: Context, info: SourceInfo, rules: Mapping) -> list[str]:
        """Ask what must be asked of a source: whether opt-outs may go unheard, too."""
        return [
            *super().demand(context, info, rules),
            *permissions.demand_heard(context, info.name, info.columns, rules),
            *permissions.special_targets(rules),
        ]

    def remarks(self, rules: Mapping) -> list[str]:
        """Say how days are sent, and what Klaviyo keeps for itself."""
        return [*permissions.special_targets(rules), *date_notes(rules)]

    def stager(self, at: Staging, rules: Mapping, context: Context) -> ProfileStager:
        """Judge on as many cores as the settings say."""
        given = context.settings.workers
        return ProfileStager(at, rules, workers=default_workers() if given is None else given)

    @property
    def sender(self) -> Sender[Mapping]:
        """Send profiles, and prove each."""
        from etl.pipeline.kinds.profiles.sender import SENDER  # noqa: PLC0415 - a look needs none of it

        return SENDER


KIND = ProfileKind()
