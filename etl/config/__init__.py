"""The mapping file and the settings, as pydantic models (design §7).

A mapping says which source column goes to which Klaviyo field, as what type and by what rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.deferred import exports

if TYPE_CHECKING:
    from etl.config.columns import LIST_PATCHES, Column, ColumnRule, ValueType, WriteRule
    from etl.config.consents import Voice, opt_out_target, reaches, voices_of
    from etl.config.events import EventMapping, EventRule, load_event_mapping, parse_event_mapping
    from etl.config.mapping import Mapping, computed_header, load_mapping, mapping_schema, parse_mapping
    from etl.config.mapping import Mapping as ConfigMapping
    from etl.config.merging import MergeRule
    from etl.config.row_rules import RowRule, field_name
    from etl.config.rules import ConsentRule, Defaults, DuplicateRule, Guards, Identifier, LoadRule, ProfileRule
    from etl.config.settings import DEFAULT_BASE_URL, DEFAULT_REVISION, Settings, environment, load_settings
    from etl.config.source import SourceRule
    from etl.config.steps import Computed, Step
    from etl.config.targets import (
        ATTRIBUTES,
        CONSENT_DATES,
        CONSENT_PREFIX,
        CONSENT_STATES,
        CONSENT_TARGETS,
        FIXED_TARGETS,
        IDENTIFIERS,
        LIST_TARGET,
        LOCATION_FIELDS,
        LOCATION_PREFIX,
        OPT_OUT_DATES,
        OPT_OUT_REASONS,
        OPT_OUT_TARGETS,
        OPT_OUTS,
        PROPERTY_PREFIX,
        REPEATABLE,
        VALUE_TARGET,
        consent_needs,
    )
    from etl.config.user_settings import UserSettings, load_user_settings, user_folder
    from etl.config.writes import field_of, fields_if_blank, patches_lists

__all__ = [
    "ATTRIBUTES",
    "CONSENT_DATES",
    "CONSENT_PREFIX",
    "CONSENT_STATES",
    "CONSENT_TARGETS",
    "DEFAULT_BASE_URL",
    "DEFAULT_REVISION",
    "FIXED_TARGETS",
    "IDENTIFIERS",
    "LIST_PATCHES",
    "LIST_TARGET",
    "LOCATION_FIELDS",
    "LOCATION_PREFIX",
    "OPT_OUTS",
    "OPT_OUT_DATES",
    "OPT_OUT_REASONS",
    "OPT_OUT_TARGETS",
    "PROPERTY_PREFIX",
    "REPEATABLE",
    "VALUE_TARGET",
    "Column",
    "ColumnRule",
    "Computed",
    "ConfigMapping",
    "ConsentRule",
    "Defaults",
    "DuplicateRule",
    "EventMapping",
    "EventRule",
    "Guards",
    "Identifier",
    "LoadRule",
    "Mapping",
    "MergeRule",
    "ProfileRule",
    "RowRule",
    "Settings",
    "SourceRule",
    "Step",
    "UserSettings",
    "ValueType",
    "Voice",
    "WriteRule",
    "computed_header",
    "consent_needs",
    "environment",
    "field_name",
    "field_of",
    "fields_if_blank",
    "load_event_mapping",
    "load_mapping",
    "load_settings",
    "load_user_settings",
    "mapping_schema",
    "opt_out_target",
    "parse_event_mapping",
    "parse_mapping",
    "patches_lists",
    "reaches",
    "user_folder",
    "voices_of",
]

__getattr__ = exports(
    __name__,
    {
        "columns": ("LIST_PATCHES", "Column", "ColumnRule", "ValueType", "WriteRule"),
        "consents": ("Voice", "opt_out_target", "reaches", "voices_of"),
        "events": ("EventMapping", "EventRule", "load_event_mapping", "parse_event_mapping"),
        "mapping": (
            "Mapping",
            "computed_header",
            "load_mapping",
            "mapping_schema",
            "parse_mapping",
            "Mapping as ConfigMapping",
        ),
        "merging": ("MergeRule",),
        "row_rules": ("RowRule", "field_name"),
        "rules": ("ConsentRule", "Defaults", "DuplicateRule", "Guards", "Identifier", "LoadRule", "ProfileRule"),
        "settings": ("DEFAULT_BASE_URL", "DEFAULT_REVISION", "Settings", "environment", "load_settings"),
        "source": ("SourceRule",),
        "steps": ("Computed", "Step"),
        "targets": (
            "ATTRIBUTES",
            "CONSENT_DATES",
            "CONSENT_PREFIX",
            "CONSENT_STATES",
            "CONSENT_TARGETS",
            "FIXED_TARGETS",
            "IDENTIFIERS",
            "LIST_TARGET",
            "LOCATION_FIELDS",
            "LOCATION_PREFIX",
            "OPT_OUT_DATES",
            "OPT_OUT_REASONS",
            "OPT_OUT_TARGETS",
            "OPT_OUTS",
            "PROPERTY_PREFIX",
            "REPEATABLE",
            "VALUE_TARGET",
            "consent_needs",
        ),
        "user_settings": ("UserSettings", "load_user_settings", "user_folder"),
        "writes": ("field_of", "fields_if_blank", "patches_lists"),
    },
)
