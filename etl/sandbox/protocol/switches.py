"""What nobody outside Klaviyo knows about Klaviyo, each as a switch.

The defaults are what is documented, where anything is. The other settings are what Klaviyo might do as well: an
importer that holds under all of them believes nothing that it has not seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from etl.errors import ConfigError

Seconds = float
"""From the change to when reading shows it; ``inf`` for never."""


class Switches(BaseModel):
    """The settings of every switch. ``docs/sandbox.md`` says what each is for."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="strings")

    profiles_visible_after: Seconds = Field(0.0, ge=0)
    members_visible_after: Seconds = Field(0.0, ge=0)
    consents_visible_after: Seconds = Field(0.0, ge=0)
    events_visible_after: Seconds = Field(0.0, ge=0)
    jobs_visible_after: Seconds = Field(0.0, ge=0)
    job_profiles_visible_after: Seconds = Field(0.0, ge=0)
    job_errors_visible_after: Seconds = Field(0.0, ge=0)
    lists_visible_after: Seconds = Field(0.0, ge=0)
    event_id: Literal["shown", "hidden"] = "shown"
    event_value: Literal["shown", "hidden"] = "shown"
    metric_twin: str = ""
    identity_conflict: Literal["refuse", "move", "merge"] = "refuse"
    suppressed_already: Literal["suppress", "skip"] = "suppress"
    suppressed_stranger: Literal["create", "skip"] = "create"
    refusals: Literal["each", "first", "pointerless"] = "each"
    poison: str = ""
    poison_status: Literal[400, 413, 500, 502, 503, 504] = 500
    subscriptions: Literal["shown", "absent", "null", "empty", "unknown_words"] = "shown"
    duplicates: Literal["drop", "write", "drop_across_jobs"] = "drop"
    missing_links: Literal["left_out", "null"] = "left_out"
    unknown_parameters: Literal["refuse", "ignore"] = "refuse"
    bulk_patches: Literal["ignore", "apply"] = "ignore"


AS_DOCUMENTED: Final = Switches()

UNKIND: Final[Mapping[str, tuple[Any, ...]]] = {
    "profiles_visible_after": (6.0, float("inf")),
    "members_visible_after": (6.0, float("inf")),
    "consents_visible_after": (6.0, float("inf")),
    "events_visible_after": (6.0, float("inf")),
    "jobs_visible_after": (6.0, float("inf")),
    "job_profiles_visible_after": (6.0, float("inf")),
    "job_errors_visible_after": (6.0, float("inf")),
    "lists_visible_after": (6.0,),
    "event_id": ("hidden",),
    "event_value": ("hidden",),
    "metric_twin": ("Shopify",),
    "identity_conflict": ("move", "merge"),
    "suppressed_already": ("skip",),
    "suppressed_stranger": ("skip",),
    "refusals": ("first", "pointerless"),
    "poison": ("poison@mapleshop.com",),
    "poison_status": (400, 413, 502),
    "subscriptions": ("absent", "null", "empty", "unknown_words"),
    "duplicates": ("write", "drop_across_jobs"),
    "missing_links": ("null",),
    "unknown_parameters": ("ignore",),
    "bulk_patches": ("apply",),
}
"""Switch → the settings that a careless importer does not survive."""


def parse_switches(document: Any, where: str = "switches") -> Switches:
    """Check settings of switches by their names. Raise :class:`ConfigError` naming the switch."""
    try:
        return Switches.model_validate(document)
    except ValidationError as error:
        said = [f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}" for fault in error.errors()]
        raise ConfigError("switches-invalid", f"{where}: " + "; ".join(said), "See klaviyo-etl docs sandbox.") from None


def switches_of(given: Iterable[str]) -> Switches:
    """Read ``NAME=VALUE`` words. Raise :class:`ConfigError`."""
    values: dict[str, Any] = {}
    for word in given:
        name, _, value = word.partition("=")
        # A status is a number; texts of digits stand for seconds, which are read from text anyway.
        values[name] = int(value) if name == "poison_status" and value.isdigit() else value
    return parse_switches(values, "--switch")
