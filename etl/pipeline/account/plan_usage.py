"""New profiles against the account's plan: read where the key may, said where it may not, a guard where one is set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from etl.config import Guards
from etl.errors import AuthError, ConfigError, KlaviyoError
from etl.klaviyo import KlaviyoClient

_PROFILES: Final = "profiles"


@dataclass(frozen=True, slots=True)
class PlanUsage:
    """Active profiles of the plan. ``most`` ``None``: not known, and ``unknown`` says why."""

    used: float = 0.0
    most: int | None = None
    unknown: str = ""

    def says(self, more: int = 0) -> str:
        """Say how full the plan is, and would be with ``more`` profiles."""
        if self.most is None:
            return f"how full the plan is, is not known: {self.unknown}"
        said = f"{self.used:,.0f} of {self.most:,} profiles of the plan are used ({self.percent():.0f} %)"
        return f"{said}; {more:,} new ones would make it {self.percent(more):.0f} %" if more else said

    def percent(self, more: int = 0) -> float:
        """Return how full the plan is, with ``more`` profiles."""
        if not self.most:
            return 100.0 if self.used + more else 0.0
        return 100 * (self.used + more) / self.most


def read_usage(client: KlaviyoClient) -> PlanUsage:
    """Return how full the plan is; of several kinds that are counted in profiles, the fullest."""
    try:
        found = [one for one in client.billing_usage() if one.unit == _PROFILES and one.most is not None]
    except AuthError:
        return PlanUsage(unknown="the key lacks the scope usage:read")
    except (ConfigError, KlaviyoError) as error:
        return PlanUsage(unknown=error.message)
    if not found:
        return PlanUsage(unknown="Klaviyo names nothing that is counted in profiles")
    return max((PlanUsage(one.used, one.most) for one in found), key=PlanUsage.percent)


def plan_objection(guards: Guards, usage: PlanUsage, new: int) -> str | None:
    """Return what ``max_plan_percent`` says to so many new profiles. What is not known is no leave to go on."""
    limit = guards.max_plan_percent
    if limit is None or not new:
        return None
    if usage.most is None:
        return f"{usage.says()}, max_plan_percent is {limit:g}"
    if usage.percent(new) > limit:
        return f"{usage.says(new)}, max_plan_percent is {limit:g}"
    return None
