"""The mapping file and the settings, as pydantic models (design §7).

A mapping says which source column goes to which Klaviyo field, as what type and by what rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.deferred import exports

if TYPE_CHECKING:
    from etl.config.mapping.columns import LIST_PATCHES, Column, ColumnRule, ValueType, WriteRule
    from etl.config.mapping.consents import ConsentColumn, consent_columns, is_reachable, opt_out_target
    from etl.config.mapping.events import EventMapping, EventRule, load_event_mapping, parse_event_mapping
    from etl.config.mapping.merge_rules import MergeRule
    from etl.config.mapping.model import (
        Mapping,
        computed_header,
        load_mapping,
        load_notify_rule,
        mapping_schema,
        parse_mapping,
    )
    from etl.config.mapping.model import Mapping as ConfigMapping
    from etl.config.mapping.notify import NotifyRule
    from etl.config.mapping.row_rules import RowRule, field_name
    from etl.config.mapping.sections import (
        ConsentRule,
        Defaults,
        DuplicateRule,
        Guards,
        LoadRule,
        ProfileRule,
    )
    from etl.config.mapping.source import SourceRule
    from etl.config.mapping.targets import (
        ATTRIBUTES,
        CONSENT_DATES,
        CONSENT_PREFIX,
        CONSENT_STATES,
        CONSENT_TARGETS,
        FIXED_TARGETS,
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
    from etl.config.mapping.transforms import Computed, Step
    from etl.config.mapping.write_rules import field_of, fields_if_blank, patches_lists
    from etl.config.settings.accounts import Account, AccountBook, AccountRule, KeyRule
    from etl.config.settings.key_sources import fetch_key
    from etl.config.settings.model import DEFAULT_BASE_URL, DEFAULT_REVISION, Settings, environment, load_settings
    from etl.config.settings.user import UserSettings, load_accounts, load_user_settings, user_file, user_folder

__all__ = [
    "ATTRIBUTES",
    "CONSENT_DATES",
    "CONSENT_PREFIX",
    "CONSENT_STATES",
    "CONSENT_TARGETS",
    "DEFAULT_BASE_URL",
    "DEFAULT_REVISION",
    "FIXED_TARGETS",
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
    "Account",
    "AccountBook",
    "AccountRule",
    "Column",
    "ColumnRule",
    "Computed",
    "ConfigMapping",
    "ConsentColumn",
    "ConsentRule",
    "Defaults",
    "DuplicateRule",
    "EventMapping",
    "EventRule",
    "Guards",
    "KeyRule",
    "LoadRule",
    "Mapping",
    "MergeRule",
    "NotifyRule",
    "ProfileRule",
    "RowRule",
    "Settings",
    "SourceRule",
    "Step",
    "UserSettings",
    "ValueType",
    "WriteRule",
    "computed_header",
    "consent_columns",
    "consent_needs",
    "environment",
    "fetch_key",
    "field_name",
    "field_of",
    "fields_if_blank",
    "is_reachable",
    "load_accounts",
    "load_event_mapping",
    "load_mapping",
    "load_notify_rule",
    "load_settings",
    "load_user_settings",
    "mapping_schema",
    "opt_out_target",
    "parse_event_mapping",
    "parse_mapping",
    "patches_lists",
    "user_file",
    "user_folder",
]

__getattr__ = exports(
    __name__,
    {
        "mapping.columns": ("LIST_PATCHES", "Column", "ColumnRule", "ValueType", "WriteRule"),
        "mapping.consents": ("ConsentColumn", "opt_out_target", "is_reachable", "consent_columns"),
        "mapping.events": ("EventMapping", "EventRule", "load_event_mapping", "parse_event_mapping"),
        "mapping.model": (
            "Mapping",
            "computed_header",
            "load_mapping",
            "load_notify_rule",
            "mapping_schema",
            "parse_mapping",
            "Mapping as ConfigMapping",
        ),
        "mapping.merge_rules": ("MergeRule",),
        "mapping.notify": ("NotifyRule",),
        "mapping.row_rules": ("RowRule", "field_name"),
        "mapping.sections": (
            "ConsentRule",
            "Defaults",
            "DuplicateRule",
            "Guards",
            "LoadRule",
            "ProfileRule",
        ),
        "settings.accounts": ("Account", "AccountBook", "AccountRule", "KeyRule"),
        "settings.key_sources": ("fetch_key",),
        "settings.model": ("DEFAULT_BASE_URL", "DEFAULT_REVISION", "Settings", "environment", "load_settings"),
        "mapping.source": ("SourceRule",),
        "mapping.transforms": ("Computed", "Step"),
        "mapping.targets": (
            "ATTRIBUTES",
            "CONSENT_DATES",
            "CONSENT_PREFIX",
            "CONSENT_STATES",
            "CONSENT_TARGETS",
            "FIXED_TARGETS",
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
        "settings.user": (
            "UserSettings",
            "load_accounts",
            "load_user_settings",
            "user_file",
            "user_folder",
        ),
        "mapping.write_rules": ("field_of", "fields_if_blank", "patches_lists"),
    },
)
