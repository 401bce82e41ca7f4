"""What a file of addresses to suppress, or to unsuppress, is: profiles of which nothing is sent but the wish."""

from __future__ import annotations

from typing import ClassVar, Final

from etl.config import Mapping
from etl.model import ConsentAction, LineLocator, SourceInfo
from etl.pipeline.context import Context
from etl.pipeline.kinds.profiles.kind import ProfileKind
from etl.pipeline.kinds.profiles.stage import ProfileStager
from etl.pipeline.staging.stage import Staging
from etl.state import DetailChanges

COMMANDS: Final = {"suppress": ConsentAction.SUPPRESS, "unsuppress": ConsentAction.UNSUPPRESS}


class SuppressionKind(ProfileKind):
    """Addresses that are to be suppressed, or no longer."""

    name: ClassVar[str] = "suppressions"
    verb: ClassVar[str] = "suppress"
    moves_known_state: ClassVar[bool] = False
    """What such a run confirms says nothing of the profile."""

    def demand(self, context: Context, info: SourceInfo, rules: Mapping) -> list[str]:  # noqa: ARG002 - nothing to ask
        """Ask nothing: the file holds addresses alone."""
        return []

    def stager(self, at: Staging, rules: Mapping, context: Context) -> ProfileStager:  # noqa: ARG002 - few rows
        """Let every address ask for what the command says."""
        return _SuppressionStager(at, rules)


class _SuppressionStager(ProfileStager):
    def settle(self, locator: LineLocator) -> DetailChanges:
        found = super().settle(locator)
        store, run_id = self._at.store, self._at.run_id
        store.consents.request_for_all(run_id, COMMANDS[store.runs.get(run_id).command])
        return found


KIND = SuppressionKind()
