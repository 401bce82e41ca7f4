"""Alerts by mail, over SMTP."""

from __future__ import annotations

import smtplib
import ssl
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate

from etl.monitor.alerts.base import SECONDS, UndeliveredError
from etl.monitor.alerts.changes import Alert


@dataclass(frozen=True, slots=True)
class Account:
    """Where mail is handed in. ``security``: ``starttls``, ``tls`` or ``none``."""

    host: str
    port: int
    security: str
    user: str
    password: str = field(repr=False)
    sender: str
    to: tuple[str, ...]


def send(account: Account, alert: Alert, now: float) -> None:
    """Send an alert as plain text. Raise UndeliveredError."""
    message = EmailMessage()
    message["Subject"] = alert.subject
    message["From"] = account.sender
    message["To"] = ", ".join(account.to)
    message["Date"] = formatdate(now)
    # The same alert has the same id, whoever sends it again.
    message["Message-ID"] = f"<{alert.document['id']}@klaviyo-etl>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(f"{alert.text}\n")
    try:
        _hand_in(account, message)
    except smtplib.SMTPResponseException as error:
        raise UndeliveredError(f"the mail server answered {error.smtp_code}") from None
    except smtplib.SMTPRecipientsRefused:
        raise UndeliveredError("the mail server refused every recipient") from None
    except (OSError, smtplib.SMTPException) as error:
        raise UndeliveredError(f"the mail server cannot be reached ({type(error).__name__})") from None


def _hand_in(account: Account, message: EmailMessage) -> None:
    context = ssl.create_default_context()
    if account.security == "tls":
        server: smtplib.SMTP = smtplib.SMTP_SSL(account.host, account.port, timeout=SECONDS, context=context)
    else:
        server = smtplib.SMTP(account.host, account.port, timeout=SECONDS)
    with server:
        if account.security == "starttls":
            server.starttls(context=context)
        if account.user or account.password:
            server.login(account.user, account.password)
        server.send_message(message)
