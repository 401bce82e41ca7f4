"""Validate: cells and rows as strings."""

from __future__ import annotations

from typing import Final

from etl.codes.base import Code
from etl.model import Stage

CODES: Final = (
    Code(
        "identifier-missing",
        Stage.VALIDATE,
        "No usable e-mail, phone or external id",
        "Klaviyo needs at least one identifier per profile; fill one in.",
    ),
    Code(
        "required-missing",
        Stage.VALIDATE,
        "A required cell is empty",
        "Fill it in, or drop 'required' from the mapping.",
    ),
    Code("email-invalid", Stage.VALIDATE, "Not a valid e-mail address", "Correct the address."),
    Code(
        "email-domain-typo",
        Stage.VALIDATE,
        "The e-mail's domain looks mistyped",
        "Compare with the suggestion; the row was imported as it stands.",
    ),
    Code(
        "email-placeholder",
        Stage.VALIDATE,
        "A placeholder, not a customer's address",
        "Klaviyo drops such addresses; use the real one or leave the cell empty.",
    ),
    Code(
        "email-role",
        Stage.VALIDATE,
        "A role mailbox, not a person",
        "Mail to info@ or sales@ is often reported as spam; make sure somebody there asked for it.",
    ),
    Code(
        "email-disposable",
        Stage.VALIDATE,
        "A throw-away address",
        "It was imported as it stands; mail to such mailboxes is read for minutes, if at all.",
    ),
    Code("email-several", Stage.VALIDATE, "Several addresses in one cell", "Keep one address per row."),
    Code(
        "phone-invalid",
        Stage.VALIDATE,
        "Not a valid phone number",
        "Write it in international form, +<country code><number>.",
    ),
    Code(
        "phone-no-country",
        Stage.VALIDATE,
        "National phone number without a country",
        "Set [defaults] country or country_column in the mapping, or write +<country code>.",
    ),
    Code(
        "phone-spreadsheet-number",
        Stage.VALIDATE,
        "Excel turned this phone into a number",
        "Digits are lost for good here; export the column as text from the source system.",
    ),
    Code(
        "phone-leading-zero-lost",
        Stage.VALIDATE,
        "The phone's leading zero is missing",
        "Compare with the suggestion; export the column as text so that zeros survive.",
    ),
    Code(
        "phone-plus-lost",
        Stage.VALIDATE,
        "The phone may have lost its +",
        "It is a valid number with a + and a different one without; write the right one, such as +49 151 ….",
    ),
    Code(
        "phone-not-mobile",
        Stage.VALIDATE,
        "The phone cannot receive text messages",
        "A landline or service number was used as it stands; ask for a mobile number where SMS is wanted.",
    ),
    Code("phone-several", Stage.VALIDATE, "Several numbers in one cell", "Keep one number per row."),
    Code(
        "phone-extension",
        Stage.VALIDATE,
        "The phone has an extension",
        "Klaviyo takes no extensions; the number without it was used.",
    ),
    Code(
        "country-unknown",
        Stage.VALIDATE,
        "Country not recognised",
        "Use an ISO 3166 code (US, DE) or an English country name.",
    ),
    Code(
        "external-id-too-long",
        Stage.VALIDATE,
        "External id longer than 255 characters",
        "Shorten it at the source; Klaviyo's limit is 255.",
    ),
    Code(
        "external-id-spreadsheet-number",
        Stage.VALIDATE,
        "Excel turned this id into a number",
        "Its last digits are lost, and other customers would share it; export the column as text.",
    ),
    Code(
        "number-digits-lost",
        Stage.VALIDATE,
        "A number of many digits was rounded",
        'Its last digits are lost, so it is no id; export the column as text, or say type = "decimal" of an amount.',
    ),
    Code(
        "apostrophe-doubtful",
        Stage.VALIDATE,
        "The apostrophe before this id or code may come from a spreadsheet",
        'Say which it is: apostrophe = "drop" or "keep" in the column\'s mapping.',
    ),
    Code(
        "text-mojibake",
        Stage.VALIDATE,
        "Letters were read in a wrong encoding before us (JosÃ©)",
        "The cell was left out. repair = true takes the suggestion, repair = false sends what stands there.",
    ),
    Code(
        "text-entities",
        Stage.VALIDATE,
        "Text holds HTML entities (&amp;, &uuml;)",
        "The cell was left out. repair = true takes the suggestion, repair = false sends what stands there.",
    ),
    Code(
        "text-escaped",
        Stage.VALIDATE,
        "Text is escaped for a URL, a mail, a workbook or a program (Jos%C3%A9)",
        "The cell was left out. repair = true takes the suggestion, repair = false sends what stands there.",
    ),
    Code(
        "text-control",
        Stage.VALIDATE,
        "Text holds control characters",
        "The cell was left out. repair = true removes them, repair = false sends them.",
    ),
    Code(
        "text-lost",
        Stage.VALIDATE,
        "Letters of this text are lost",
        "The cell was left out: nothing brings back what became \ufffd or ?. Export it again as UTF-8.",
    ),
    Code(
        "text-repaired",
        Stage.VALIDATE,
        "Damaged text was repaired, as the mapping's repair asks",
        "The detail shows the original text. Review some of them; without repair such cells are left out.",
    ),
    Code(
        "null-word",
        Stage.VALIDATE,
        "NULL or another word for nothing",
        "The cell was left out. repair = true reads it as empty, repair = false sends it as a name or word.",
    ),
    Code(
        "text-too-long",
        Stage.VALIDATE,
        "Text longer than the mapping allows",
        "Shorten it, or raise max_length.",
    ),
    Code(
        "text-too-short",
        Stage.VALIDATE,
        "Text shorter than the mapping asks",
        "Complete it, or lower min_length.",
    ),
    Code(
        "pattern-mismatch",
        Stage.VALIDATE,
        "Value does not match the mapping's pattern",
        "Correct the value or the pattern.",
    ),
    Code(
        "not-in-list",
        Stage.VALIDATE,
        "Value is not one of the allowed ones",
        "Use one of the values in one_of, or add this one to the mapping.",
    ),
    Code("locale-invalid", Stage.VALIDATE, "Not a BCP 47 locale", "Write it like en-US."),
    Code("timezone-invalid", Stage.VALIDATE, "Not an IANA time zone", "Write it like America/New_York."),
    Code("url-invalid", Stage.VALIDATE, "Not a web address", "Start it with https://."),
    Code(
        "coordinate-invalid",
        Stage.VALIDATE,
        "Not a coordinate",
        "Latitude is -90 to 90, longitude -180 to 180, in degrees.",
    ),
    Code("ip-invalid", Stage.VALIDATE, "Not an IP address", "Write it like 203.0.113.7."),
    Code(
        "schema-failed",
        Stage.VALIDATE,
        "The row fails a check of the schema",
        "The detail names the check; correct the row or the schema.",
    ),
    Code(
        "schema-broken",
        Stage.VALIDATE,
        "A check of the schema raised an error",
        "The check refused no row, so a guard stops the run; repair the schema.",
    ),
    Code(
        "zip-leading-zero-lost",
        Stage.VALIDATE,
        "Postal code lacks its leading zero",
        "A spreadsheet took it for a number. It was sent as it stands; format the column as text and export again.",
    ),
)
