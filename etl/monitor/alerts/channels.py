"""From ``[notify]`` and the environment to the channels that carry alerts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from etl.config import NotifyRule
from etl.config.mapping.notify import VARIABLE
from etl.config.settings.base_url import is_loopback
from etl.errors import ConfigError
from etl.monitor.alerts import mail, services, web
from etl.monitor.alerts.changes import Alert

SECRET: Final = "KLAVIYO_ETL_NOTIFY_SECRET"  # noqa: S105 - the name of the variable
_KEY: Final = "KLAVIYO_PRIVATE_KEY"


class Send(Protocol):
    """Delivers one alert. Raises :class:`etl.monitor.alerts.base.UndeliveredError`."""

    def __call__(self, alert: Alert, now: float, /) -> None:
        """Deliver."""


@dataclass(frozen=True, slots=True)
class Channel:
    """A way that alerts go. ``name``: of the key in ``[notify]``; ``note``: what a person should know of it."""

    name: str
    send: Send
    note: str = ""


def effective(user: NotifyRule | None, mapping: Mapping[str, Any]) -> NotifyRule:
    """Return what holds for a source: the mapping's keys, and the user's own where it has none."""
    own = user.model_dump(mode="json", by_alias=True, exclude_unset=True) if user is not None else {}
    usual = NotifyRule().model_dump(mode="json", by_alias=True)
    # What state keeps of a mapping names every key; one that is as usual says nothing.
    said = {name: value for name, value in mapping.items() if name not in usual or value != usual[name]}
    return NotifyRule.model_validate({**own, **said})


def channels_of(rule: NotifyRule, environ: Mapping[str, str]) -> list[Channel]:
    """Return the channels of a rule. Raise ConfigError for a variable that is not set, or an address that is none."""
    found = []
    if rule.webhook:
        secret = environ.get(SECRET) or ""
        send = partial(web.send_webhook, _address("webhook", rule.webhook, environ), secret)
        found.append(Channel("webhook", send, "" if secret else f"not signed: {SECRET} is not set"))
    if rule.slack:
        found.append(Channel("slack", partial(web.send_slack, _address("slack", rule.slack, environ))))
    if rule.teams:
        found.append(Channel("teams", partial(web.send_teams, _address("teams", rule.teams, environ))))
    if rule.email:
        email = rule.email
        password = _filled("email.password", email.password or "", environ)
        if password and email.security == "none" and not is_loopback(email.host):
            raise ConfigError(
                "notify-insecure", "[notify] email: the password would travel in plain", "Set security = 'starttls'."
            )
        account = mail.Account(
            host=email.host,
            port=email.port,
            security=email.security,
            user=_filled("email.user", email.user or "", environ),
            password=password,
            sender=email.sender,
            to=email.to,
        )
        found.append(Channel("email", partial(mail.send, account)))
    for number, address in enumerate(rule.services, 1):
        name = "service" if len(rule.services) == 1 else f"service {number}"
        found.append(Channel(name, partial(services.send, _filled("services", address, environ))))
    return found


def _address(name: str, text: str, environ: Mapping[str, str]) -> str:
    url = _filled(name, text, environ)
    try:
        parts = urlsplit(url)
        plain = parts.scheme == "http" and is_loopback(parts.hostname or "")
        good = bool(parts.hostname) and (parts.scheme == "https" or plain) and "@" not in parts.netloc
    except ValueError:
        good = False
    if not good:
        raise ConfigError(
            "notify-address", f"[notify] {name} is not an https address", "http is allowed for this machine only."
        )
    return url


def _filled(name: str, text: str, environ: Mapping[str, str]) -> str:
    for variable in dict.fromkeys(VARIABLE.findall(text)):
        value = environ.get(variable, "")
        if not value:
            raise ConfigError(
                "environment-missing",
                f"[notify] {name} names {variable}, which is not in the environment",
                f"Set {variable}, or write {variable}=... into a .env file in the folder you run from.",
            )
        key = environ.get(_KEY, "")
        if "pk_" in value or (key and key in value):
            raise ConfigError(
                "variable-secret",
                f"[notify] {name} names {variable}, which holds Klaviyo's key",
                "A key goes to Klaviyo and nowhere else.",
            )
        text = text.replace(f"${{{variable}}}", value)
    return text
