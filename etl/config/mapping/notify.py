"""``[notify]``: who is told when the condition of an import changes; in the mapping, and in the user's own settings."""

from __future__ import annotations

import re
from typing import Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from etl.config.base import Model
from etl.config.durations import seconds_of

VARIABLE: Final = re.compile(r"\$\{(\w+)\}")
PREFIX: Final = "NOTIFY_"
"""How the names of variables begin that [notify] may fill in: none of them holds what is meant for somebody else."""

Told = Literal["failed", "unfinished", "guard", "overdue", "partly", "well"]


class EmailRule(Model):
    """Mail over SMTP."""

    to: tuple[str, ...] = Field(min_length=1, description="Who gets it")
    sender: str = Field(alias="from", description="Whose mail it is")
    host: str = Field(min_length=1, description="SMTP server")
    port: int = Field(587, ge=1, le=65_535)
    security: Literal["starttls", "tls", "none"] = Field("starttls", description="none: for a server on this machine")
    user: str | None = None
    password: str | None = Field(None, description="As ${NOTIFY_...}")

    @field_validator("to", "sender")
    @classmethod
    def _an_address(cls, value: tuple[str, ...] | str) -> tuple[str, ...] | str:
        for address in (value,) if isinstance(value, str) else value:
            # A line break would begin another header.
            if "@" not in address or re.search(r"[\x00-\x20\x7f,;<>]", address):
                raise ValueError(f"{address!r} is not an address; write it like ops@example.com")
        return value


class NotifyRule(Model):
    """Channels, and what is told. Texts may hold ``${NOTIFY_...}``, filled in from the environment or ``.env``."""

    webhook: str | None = Field(None, description="https address that gets JSON, signed with KLAVIYO_ETL_NOTIFY_SECRET")
    slack: str | None = Field(None, description="Incoming webhook of Slack, as ${NOTIFY_...}")
    teams: str | None = Field(None, description="Workflow webhook of Microsoft Teams, as ${NOTIFY_...}")
    email: EmailRule | None = None
    services: tuple[str, ...] = Field((), description="Addresses of apprise, as ${NOTIFY_...}; needs the extra notify")
    on: tuple[Told, ...] = Field(
        ("failed", "unfinished", "guard", "overdue", "partly", "well"), description="Which conditions are told"
    )
    max_age: str | None = Field(None, description="An import must have finished within this time, such as 26h")

    @field_validator("max_age")
    @classmethod
    def _a_length(cls, text: str | None) -> str | None:
        if text is not None:
            seconds_of(text)
        return text

    @model_validator(mode="after")
    def _variables_fit(self) -> Self:
        email = self.email
        texts = [self.webhook, self.slack, self.teams, *self.services, *((email.user, email.password) if email else ())]
        for name in (name for text in texts if text for name in VARIABLE.findall(text)):
            if not name.startswith(PREFIX):
                raise ValueError(f"${{{name}}}: [notify] fills in variables whose names begin with {PREFIX} only")
        return self


class MappingNotifyRule(NotifyRule):
    """``[notify]`` of a mapping, which is copied into state and manifests: it names secrets and holds none."""

    @model_validator(mode="after")
    def _no_secrets(self) -> Self:
        secret = {"slack": self.slack, "teams": self.teams, "password": self.email.password if self.email else None}
        secret.update({f"services.{number}": address for number, address in enumerate(self.services)})
        for name, text in secret.items():
            if text and not VARIABLE.fullmatch(text):
                raise ValueError(
                    f"{name}: whoever reads it can use it; write ${{{PREFIX}{name.partition('.')[0].upper()}}} and set "
                    "that variable, or write it into your own settings"
                )
        return self
