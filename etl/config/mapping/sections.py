"""The other sections of the mapping: defaults, profile, load and guards."""

from __future__ import annotations

import datetime as dt
import re
from typing import Final, Literal

from pydantic import Field, field_validator

from etl.config.base import ColumnName, Model
from etl.config.durations import seconds_of
from etl.config.mapping.columns import check_zone
from etl.config.mapping.targets import VALUE_TARGET
from etl.model import BatchKind, Identifier
from etl.operations import FULL_REQUEST_BYTES, OPERATIONS

DuplicateRule = Literal["merge", "last", "first", "reject"]
ConflictRule = Literal["fail", "drop_phone", "merge"]
_MAX_ROWS: Final = OPERATIONS[BatchKind.IMPORT].most_rows


class Defaults(Model):
    """What holds where a row does not say."""

    country: str | None = Field(
        None, description="ISO 3166 code for phone numbers without +", json_schema_extra={"pattern": "^[A-Z]{2}$"}
    )
    country_column: ColumnName | None = Field(None, description="Source column with the country of the row")
    timezone: str | None = Field(None, description="IANA zone of datetimes without offset")

    @field_validator("country")
    @classmethod
    def _country_code(cls, country: str | None) -> str | None:
        if country is not None and not re.fullmatch("[A-Z]{2}", country):
            raise ValueError(f"{country!r} is not an ISO 3166 code; write two capitals, such as US")
        return country

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, zone: str | None) -> str | None:
        return check_zone(zone)


class ProfileRule(Model):
    """How rows become profiles."""

    key: tuple[Identifier, ...] = Field(
        ("external_id", "email", "phone_number"),
        min_length=1,
        description="Identifiers by priority: the first one a row has is its identity",
    )
    duplicates: DuplicateRule = Field(
        "merge", description="Several lines of one person: merge them, keep the last or first, or reject all"
    )
    schema_: str = Field(
        "schemas.profile:Profile",
        alias="schema",
        pattern=r"^[\w.]+:\w+$",
        description="pandera schema, as module:name",
    )
    value_property: str = Field(VALUE_TARGET, min_length=1, description="Property that $value is written to")
    newest_by: ColumnName | None = Field(
        None, min_length=1, description="Source column that says which line of a person is newer: its values win"
    )
    on_conflict: ConflictRule | None = Field(
        None,
        description="Rows whose identifiers belong to different profiles in Klaviyo: they fail, go without the phone, "
        "or have the profiles merged, for good. Set: every row is looked up first. Unset: they fail, small runs look",
    )


class LoadRule(Model):
    """How profiles reach Klaviyo."""

    list: str | None = Field(None, description="Id or name of the list every row is added to")
    remove_from_list: str | None = Field(None, description="Id or name of a list every loaded row is taken off")
    create_list: bool = Field(default=False, description="Create a list that does not exist")
    only_changed: bool = Field(default=False, description="Do not send rows that equal the last confirmed import")
    missing: Literal["report", "remove_from_list", "mirror"] = Field(
        "report", description="What becomes of rows that vanished; mirror: the list ends up equal to the source"
    )
    small_run: int = Field(50, ge=0, description="Up to this many rows go through profile-import one by one")
    batch_rows: int = Field(_MAX_ROWS, ge=1, le=_MAX_ROWS, description="Most profiles in one job (Klaviyo: 10,000)")
    batch_bytes: int = Field(
        FULL_REQUEST_BYTES, ge=100_000, le=4_900_000, description="Most bytes in one job (Klaviyo: 5 MB)"
    )
    keep_before: bool = Field(
        default=False,
        description="Read what Klaviyo has before it is changed, and keep it, so that a run can be undone",
    )


class ConsentRule(Model):
    """How consent columns are read and sent; see docs/consent.md."""

    historical: bool = Field(
        default=True,
        description="The consent was given earlier: no confirmation is mailed and no flow fires; needs its date",
    )
    date: dt.date | None = Field(None, description="When consents without a date of their own were given")
    source: str | None = Field(
        None, min_length=1, description="Where the consent comes from; Klaviyo shows it on the profile"
    )
    subscribed: tuple[str, ...] = Field((), description="Further words for a consent that was given")
    unsubscribed: tuple[str, ...] = Field((), description="Further words for a consent that was taken back")
    suppressed: tuple[str, ...] = Field((), description="Further words for an address that must not be mailed")
    never: tuple[str, ...] = Field((), description="Further words for a consent that was never given")
    every_row: Literal["unsubscribed", "suppressed"] | None = Field(
        None, description="What everybody in the source is, whatever its columns say: a list of opt-outs or bounces"
    )
    ignore: tuple[ColumnName, ...] = Field(
        (), description="Source columns that speak of opt-outs and shall change nothing; see klaviyo-etl docs consent"
    )

    @field_validator("date")
    @classmethod
    def _not_a_time(cls, date: dt.date | None) -> dt.date | None:
        if isinstance(date, dt.datetime):
            raise ValueError("write a date, such as 2024-05-01")  # noqa: TRY004 - pydantic takes ValueError
        return date


class StateRule(Model):
    """How long state holds the data of people; what is known and counted stays."""

    keep: str | None = Field(None, description="After each run, purge the account's runs older than this, such as 90d")

    @field_validator("keep")
    @classmethod
    def _a_length(cls, text: str | None) -> str | None:
        if text is not None:
            seconds_of(text)
        return text


class Guards(Model):
    """What stops a run before anything is sent (exit 6)."""

    max_rejected_percent: float | None = Field(None, ge=0, le=100)
    min_rows: int | None = Field(None, ge=0)
    max_rows: int | None = Field(None, ge=0)
    max_row_count_change_percent: float | None = Field(None, ge=0)
    max_source_age_hours: float | None = Field(None, gt=0)
    expect_account: str | None = Field(None, description="Klaviyo account id (six characters) the key must belong to")
    max_plan_percent: float | None = Field(
        None, ge=0, description="Stop when new profiles would fill more of the plan; asks Klaviyo (scope usage:read)"
    )
    max_failed_percent: float | None = Field(None, ge=0, le=100, description="Stop loading when more rows sent fail")
    max_unverified_percent: float | None = Field(
        None, ge=0, le=100, description="Exit 6 after loading when more of the rows read back are not as sent"
    )
    max_missing_percent: float = Field(10, ge=0, le=100, description="Largest share that is taken off the list")
