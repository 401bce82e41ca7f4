"""The registry of issue codes: what a code means and what to do about it.

A code is stable once released: users filter and script on it. ``docs/codes.md`` and the README's table are generated
from here and checked by a test.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from etl.model import Stage


@dataclass(frozen=True, slots=True)
class Code:
    """One kind of issue: its stable id, the stage that raises it, a short title and the next thing to do."""

    id: str
    stage: Stage
    title: str
    hint: str


_ALL: Final = (
    # --- extract: the file and its records
    Code(
        "row-too-short",
        Stage.EXTRACT,
        "Row has too few cells",
        "A delimiter or quote is missing on this line; compare it with the header.",
    ),
    Code(
        "row-too-long",
        Stage.EXTRACT,
        "Row has too many cells",
        "A cell holds the delimiter without quotes; quote that cell and run the rejects file.",
    ),
    Code(
        "row-undecodable",
        Stage.EXTRACT,
        "Row is not valid text in the file's encoding",
        "Save the file as UTF-8, or name its encoding in [source] encoding.",
    ),
    Code(
        "row-not-json",
        Stage.EXTRACT,
        "Line is not a JSON object",
        "Each line of a .jsonl file must be one object; correct the line.",
    ),
    Code(
        "quote-unclosed",
        Stage.EXTRACT,
        "File ends inside a quoted cell",
        "The file is cut off or a quote is missing; export it again and compare the row count.",
    ),
    Code(
        "quote-malformed",
        Stage.EXTRACT,
        "Text follows a closing quote",
        "Double the quotes inside the cell, or export the file again.",
    ),
    Code(
        "cell-has-nul",
        Stage.EXTRACT,
        "Row holds a NUL character",
        "The file is damaged or not a text file; export it again.",
    ),
    Code(
        "header-duplicate",
        Stage.EXTRACT,
        "Two columns have the same header",
        "The later column was renamed by adding a number; rename it in the source if you need it.",
    ),
    Code(
        "header-empty",
        Stage.EXTRACT,
        "A column has no header",
        "It was named column_N after its position; name it in the source if you need it.",
    ),
    # --- validate: cells and rows as strings
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
        "It was read as a national number; if it begins with the country code, use the suggestion.",
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
        "A check of the schema broke",
        "The check itself raised an error, no row was refused by it; repair the schema.",
    ),
    # --- transform: typed values
    Code(
        "integer-invalid",
        Stage.TRANSFORM,
        "Not a whole number",
        "Write digits only, or choose another type in the mapping.",
    ),
    Code(
        "number-inexact",
        Stage.TRANSFORM,
        "Number that JSON cannot hold exactly",
        "Readers of JSON would round it, so it is sent as text.",
    ),
    Code(
        "decimal-ambiguous",
        Stage.TRANSFORM,
        "Number can be read in two ways",
        '1,234 may be 1234 or 1.234: set decimal = "." or "," on the column.',
    ),
    Code(
        "decimal-invalid",
        Stage.TRANSFORM,
        "Not a number",
        "Write it like 1234.5, or choose another type in the mapping.",
    ),
    Code(
        "money-invalid",
        Stage.TRANSFORM,
        "Not an amount of money",
        "Write it like 1234.50; symbols and thousands separators are understood.",
    ),
    Code(
        "money-ambiguous",
        Stage.TRANSFORM,
        "Amount can be read in two ways",
        '1,234 may be 1234 or 1.234: set decimal = "." or "," on the column.',
    ),
    Code("boolean-invalid", Stage.TRANSFORM, "Not yes or no", "Use yes/no, true/false or 1/0."),
    Code(
        "date-invalid",
        Stage.TRANSFORM,
        "Not a date",
        "Write it like 2025-04-03, or set format on the column.",
    ),
    Code(
        "date-ambiguous",
        Stage.TRANSFORM,
        "Date can be read in two ways",
        "03/04/2025 may be March or April: set format on the column.",
    ),
    Code(
        "datetime-invalid",
        Stage.TRANSFORM,
        "Not a date and time",
        "Write it like 2025-04-03T12:00:00+00:00, or set format on the column.",
    ),
    Code("list-invalid", Stage.TRANSFORM, "Not a list", "Set separator on the column, or write a JSON array."),
    Code("json-invalid", Stage.TRANSFORM, "Not valid JSON", "Correct the JSON, or choose type text."),
    Code(
        "number-out-of-range",
        Stage.TRANSFORM,
        "Number outside the mapping's range",
        "Correct the number, or change min and max.",
    ),
    Code(
        "profile-too-large",
        Stage.TRANSFORM,
        "Profile over 100 KB",
        "Klaviyo's limit is 100 KB per profile; shorten or unmap the longest column.",
    ),
    # --- dedupe: rows against each other
    Code(
        "duplicate-merged",
        Stage.DEDUPE,
        "Same person as another line",
        "Merged into the line that is named; nothing to do.",
    ),
    Code(
        "duplicate-dropped",
        Stage.DEDUPE,
        "Same person as another line, which was kept",
        'Nothing to do, or choose duplicates = "merge".',
    ),
    Code(
        "duplicate-rejected",
        Stage.DEDUPE,
        "Same person as another line",
        'Keep one row per person, or choose duplicates = "merge" in the mapping.',
    ),
    Code(
        "phone-shared",
        Stage.DEDUPE,
        "Phone belongs to an earlier line with another e-mail",
        "Klaviyo keeps one profile per phone; it stays on the first line.",
    ),
    Code(
        "identifier-conflict",
        Stage.DEDUPE,
        "Merged lines disagree on an identifier",
        "Check which is right: merging takes the later value, first and last take that line's.",
    ),
    # --- load: Klaviyo's answers
    Code(
        "klaviyo-invalid",
        Stage.LOAD,
        "Klaviyo refused the row",
        "The detail is Klaviyo's own; correct the cell and run the rejects file.",
    ),
    Code(
        "klaviyo-duplicate",
        Stage.LOAD,
        "Identifiers belong to different profiles in Klaviyo",
        "Merge those profiles in Klaviyo, or drop one identifier from the row.",
    ),
    Code(
        "klaviyo-too-large",
        Stage.LOAD,
        "Klaviyo found the profile too large",
        "Shorten or unmap the longest column.",
    ),
    Code(
        "job-cancelled",
        Stage.LOAD,
        "Klaviyo cancelled the job",
        "Run klaviyo-etl retry to send these rows again.",
    ),
    Code(
        "job-expired",
        Stage.LOAD,
        "The job expired before its result was read",
        "Run klaviyo-etl verify to see what arrived, then retry.",
    ),
    Code(
        "result-unproven",
        Stage.LOAD,
        "Sent, but the result could not be proved",
        "Run klaviyo-etl verify, then retry what is missing.",
    ),
    Code(
        "profile-not-found",
        Stage.LOAD,
        "Klaviyo reported success, but the profile is not there",
        "Klaviyo drops addresses it takes for fakes; check it, then retry.",
    ),
    Code(
        "list-add-failed",
        Stage.LOAD,
        "Profile is in Klaviyo but not on the list",
        "Check that the list still exists, then retry.",
    ),
    Code(
        "list-remove-failed",
        Stage.LOAD,
        "Profile is in Klaviyo but was not taken off the list",
        "Take it off in Klaviyo, or retry.",
    ),
    Code(
        "gave-up",
        Stage.LOAD,
        "Klaviyo did not take the batch, however often it was sent",
        "Run klaviyo-etl retry once Klaviyo is well again.",
    ),
    Code(
        "list-unknown",
        Stage.LOAD,
        "The list named in the row does not exist",
        "Create it in Klaviyo or set create_list = true.",
    ),
    Code(
        "phone-dropped",
        Stage.LOAD,
        "Klaviyo kept the profile but not the phone",
        "Klaviyo does this in silence for numbers it cannot text; check the number.",
    ),
)

CODES: Final[dict[str, Code]] = {code.id: code for code in _ALL}
