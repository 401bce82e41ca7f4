"""What the write rules of a mapping mean for loading."""

from __future__ import annotations

from etl.config.mapping.columns import LIST_PATCHES
from etl.config.mapping.model import Mapping
from etl.config.mapping.targets import PROPERTY_PREFIX, VALUE_TARGET


def fields_if_blank(mapping: Mapping) -> tuple[str, ...]:
    """Return the fields that are written only where Klaviyo has nothing, such as ``properties.plan``, sorted."""
    return tuple(
        sorted(
            field_of(target, mapping)
            for target, (_, rule) in mapping.by_target.items()
            if rule.write == "only_if_existing_blank"
        )
    )


def patches_lists(mapping: Mapping) -> bool:
    """Whether some column adds items to a list or takes some away."""
    return any(rule.write in LIST_PATCHES for _, rule in mapping.by_target.values())


def field_of(target: str, mapping: Mapping) -> str:
    """Return where a target's value stands in a profile: ``$value`` is a property by a name of choice."""
    return PROPERTY_PREFIX + mapping.profile.value_property if target == VALUE_TARGET else target
