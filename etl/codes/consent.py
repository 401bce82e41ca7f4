"""Consent: words, dates, and what became of them."""

from __future__ import annotations

from typing import Final

from etl.codes.base import Code
from etl.model import Stage

CODES: Final = (
    Code(
        "consent-word-unknown",
        Stage.VALIDATE,
        "This word of consent is not known",
        "No consent was sent. Add the word to subscribed, unsubscribed, suppressed or never in [consent].",
    ),
    Code(
        "consent-no-address",
        Stage.TRANSFORM,
        "Consent without the address it is for",
        "The profile is imported, its consent is not; complete the row.",
    ),
    Code(
        "consent-date-missing",
        Stage.TRANSFORM,
        "Consent without its date",
        "Map a column to consent.email_at or consent.sms_at, or set date in [consent]; the consent was not sent.",
    ),
    Code(
        "consent-date-future",
        Stage.TRANSFORM,
        "Date of consent lies in the future",
        "Correct the date or its time zone; Klaviyo takes only past ones, so the consent was not sent.",
    ),
    Code(
        "consent-not-mobile",
        Stage.TRANSFORM,
        "Number cannot receive text messages",
        "The profile is imported, its SMS consent is not; ask for a mobile number.",
    ),
    Code(
        "consent-withheld",
        Stage.LOAD,
        "Not subscribed: this person has opted out",
        "Klaviyo, a webhook or a line of the source says so. Only the person can subscribe again.",
    ),
    Code(
        "consent-contradicted",
        Stage.DEDUPE,
        "Another line of the source opts this person out",
        "The strictest word wins, even from a rejected line: the consent is withdrawn, not given.",
    ),
    Code(
        "consent-pending",
        Stage.LOAD,
        "The person was asked to confirm the subscription",
        "The list has double opt-in; wait for the answer.",
    ),
    Code(
        "consent-refused",
        Stage.LOAD,
        "Klaviyo refused the consent",
        "The profile is imported. Klaviyo needs a sending number of the country for SMS, and may ask for an age.",
    ),
    Code(
        "consent-unproven",
        Stage.LOAD,
        "Klaviyo does not show the person's consent",
        "No subscription was sent without it. klaviyo-etl retry checks again.",
    ),
    Code(
        "email-bounced",
        Stage.LOAD,
        "Mail to this address has bounced",
        "A webhook reported it. The profile is imported; the address receives no mail.",
    ),
)
