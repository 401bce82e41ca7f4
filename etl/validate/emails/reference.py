"""One e-mail cell: the reference verdict, ``email_validator.validate_email(text, check_deliverability=False)``.

Syntax only, on the trimmed cell; no network is asked.
"""

from __future__ import annotations

from collections.abc import Callable

from email_validator import EmailNotValidError, validate_email

from etl.validate.cells import Finding
from etl.validate.emails.advice import advise, repair

Normalise = Callable[[str], str | None]


def normalise_email(text: str) -> str | None:
    """Return ``email-validator``'s normal form of a trimmed address, or ``None`` where it refuses it."""
    try:
        return validate_email(text, check_deliverability=False, test_environment=False).normalized
    except EmailNotValidError:
        return None


def judge_email(text: str, position: int, suggested: Normalise = normalise_email) -> tuple[str, list[Finding]]:
    """Judge one trimmed cell: normal form (``""`` where empty or refused) and findings.

    ``suggested`` says of a suggestion what :func:`normalise_email` says.
    """
    if not text:
        return "", []
    normal = normalise_email(text)
    if normal is None:
        return "", [refusal(text, position, suggested)]
    return normal, advise(normal, position)


def refusal(text: str, position: int, suggested: Normalise) -> Finding:
    """Return what is said of a refused cell, and what it may have meant."""
    code, suggestion = repair(text, suggested)
    return Finding(position, code, suggestion=suggestion, fatal=True)
