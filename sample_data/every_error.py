"""One small file with every error once, and a row in order at both ends."""

from __future__ import annotations

from typing import Any

from sheets import Sheet, Truth

_NAMES = """Id Email Phone Country Name Language Zone Photo Lat Lon Address Plan Voucher Nick Points Weight Spent Member
Born Seen Tags Data Age Segment Note"""
HEADER = [*_NAMES.split(), "Note", ""]
UNSENT = (
    "schema-failed",  # needs a schema of the user's own
    "schema-broken",
    "number-digits-lost",  # tests/unit/validate/test_validate_frames.py
    "row-not-json",  # of JSON Lines: tests/unit/extract/test_extract_files.py
    "quote-holds-rows",  # of stray quotes: tests/unit/extract/test_extract_dialects.py
    "klaviyo-duplicate",  # needs two profiles in Klaviyo from before, as these do: tests/imports/test_conflicts.py
    "phone-left-out",
    "merge-withheld",  # tests/imports/test_profile_merging.py
    "merge-refused",
    "merge-unproven",
    "forgotten",  # of people deleted before: tests/imports/test_forgotten.py
    "undo-kept",  # of what an earlier run changed: tests/imports/test_undo.py
    "undo-list-kept",
    "undo-unread",
    "undo-no-before",
    "undo-profile-gone",
    "undo-created-left",
    "undo-deleted",
    "undo-not-ours",
    "undo-consent-left",
    "undo-consent-kept",
    "undo-consent-taken",
    "klaviyo-error",  # of a row that Klaviyo fails over: tests/imports/test_poison_rows.py
    "verify-missing",  # what is seen afterwards: tests/imports/test_read_back_acts.py
    "verify-differs",
    "verify-unseen",
    "consent-contradicted",  # of opt-outs on other lines: tests/consent/test_consent_every_line.py
    "order-currencies-differ",  # of events: tests/events/test_events_whose.py
    "order-incomplete",  # of events: tests/events/test_events_incomplete.py
    "klaviyo-too-large",  # Klaviyo's word against ours
    "job-cancelled",  # faults of Klaviyo: tests/imports/test_faults.py
    "job-expired",
    "result-unproven",
    "gave-up",
    "list-add-failed",
    "list-remove-failed",
    "phone-dropped",
    "phone-not-mobile",  # asked only where text messages are wanted
    "header-duplicate",  # of the file, not of a line: see the run's issues on line 0
    "header-empty",
    "header-repeated",  # of files that were joined, and of sums: tests/unit/extract/test_extract_nobody.py
    "row-summary",
    "duplicate-dropped",  # needs duplicates = "first" or "last": shopify_customers, salesforce_contacts
    "consent-word-unknown",  # of consents: tests/consent/test_consent_reading.py and tests/consent/test_consent_run.py
    "consent-no-address",
    "consent-date-missing",
    "consent-date-future",
    "consent-not-mobile",
    "consent-withheld",
    "consent-pending",
    "consent-refused",
    "consent-unproven",
    "email-bounced",
    "metric-invalid",  # of events: tests/events/test_events.py
    "metric-near-miss",
    "event-time-missing",
    "event-time-out-of-range",
    "currency-invalid",
    "event-too-large",
    "order-line",
    "event-duplicate",
    "event-conflict",
    "order-values-differ",
    "event-unproven",
    "cell-error",  # of workbooks: tests/unit/extract/test_workbooks.py
    "apostrophe-doubtful",  # of columns marked in part: tests/unit/extract/test_spreadsheet_marks.py
    "formula-uncalculated",  # of workbooks: tests/unit/extract/test_sheet_cells.py
    "text-mojibake",  # of damaged text: tests/unit/validate/test_damaged_text.py
    "text-entities",
    "text-escaped",
    "text-control",
    "text-lost",
    "text-repaired",
    "null-word",
    "date-century-ambiguous",  # of columns and zones of their own: docs/values.md
    "time-skipped",
    "time-twice",
    "zip-leading-zero-lost",
    "date-in-future",  # needs keys of its own in the mapping: tests/unit/config/test_rules.py
    "transform-failed",
    "row-rule-failed",
    "row-rule-broken",
    "value-not-unique",
    "duplicate-rejected",  # needs duplicates = "reject": mailchimp_audience
    "newest-unreadable",  # needs newest_by or merge = "sum": tests/unit/transform/test_transform_merging.py
    "sum-inexact",
    "property-not-list",  # needs a profile in Klaviyo from before: tests/imports/test_writes.py
)
"""Codes that no line of this file can have, each with its reason."""


class _Maker:
    """Adds rows that are in order but for what is asked."""

    def __init__(self, sheet: Sheet) -> None:
        self.sheet = sheet
        self.number = 0

    def cells(self, changed: dict[str, str]) -> list[str]:
        """Return the cells of the next row."""
        self.number += 1
        good = {
            "Id": f"id-{self.number:03d}",
            "Email": f"person{self.number}@birchpost.com",
            "Country": "GB",
            "Name": "Ann",
            "Plan": "free",
        }
        row = {**good, **changed}
        return [row.get(name, "") for name in HEADER[:25]] + ["", ""]

    def profile(self, cells: list[str]) -> dict[str, Any]:
        """Return what the good cells become."""
        truth = Truth()
        truth.put("external_id", cells[0])
        truth.put("email", cells[1])
        truth.put("first_name", cells[4])
        truth.put("properties.plan", cells[11])
        return truth.profile

    def good(
        self, *codes: str, profile: dict[str, Any] | None = None, lists: tuple[str, ...] = (), **changed: str
    ) -> int:
        """Add a row that is loaded. ``profile``: what differs from the good row, by target; ``None`` for absent."""
        cells = self.cells(changed)
        truth = Truth("loaded", set(codes), profile=self.profile(cells), lists=["Everyone", *lists])
        for target, value in (profile or {}).items():
            section, _, name = target.partition(".")
            if value is not None:
                truth.put(target, value)
            elif name:
                truth.profile.get(section, {}).pop(name, None)
            else:
                truth.profile.pop(section, None)
        return self.sheet.add(cells, truth)

    def bad(self, outcome: str, *codes: str, **changed: str) -> int:
        """Add a row that is not loaded."""
        return self.sheet.add(self.cells(changed), Truth(outcome, set(codes)))


def every_error() -> Sheet:
    """Return the sheet."""
    sheet = Sheet("every_error", HEADER)
    make = _Maker(sheet)
    make.good()
    _identifiers(make)
    _text(make)
    _values(make)
    _duplicates(make)
    _klaviyo(make)
    make.bad("rejected", "profile-too-large", Note="x" * 100_000)
    _broken_records(make)
    return sheet


def _identifiers(make: _Maker) -> None:
    make.bad("rejected", "identifier-missing", Id="", Email="")
    make.good("email-invalid", Email="ann@@birchpost.com", profile={"email": None})
    make.good("email-domain-typo", Email="ann@gmial.com")
    make.good("email-placeholder", Email="noemail@noemail.com")
    make.good("email-role", Email="info@birchpost.com")
    make.good("email-disposable", Email="ann@mailinator.com")
    make.good("email-several", Email="ann@birchpost.com; bob@birchpost.com", profile={"email": None})
    make.good("phone-invalid", Phone="12345")
    make.good("phone-no-country", "country-unknown", Phone="020 7946 0123", Country="Narnia")
    make.good("phone-spreadsheet-number", Phone="4.42E+11")
    make.good("phone-leading-zero-lost", Phone="3012345", Country="IT", profile={"phone_number": None})
    make.good("phone-plus-lost", Phone="4915112345678", Country="DE", profile={"phone_number": "+494915112345678"})
    make.good("phone-several", Phone="020 7946 0124 / 020 7946 0125")
    make.good("phone-extension", Phone="07123 456 789 ext. 7", profile={"phone_number": "+447123456789"})
    make.good("external-id-spreadsheet-number", Id="1.23457E+11", profile={"external_id": None})
    make.good("external-id-too-long", Id="x" * 256, profile={"external_id": None})


def _text(make: _Maker) -> None:
    make.good("locale-invalid", Language="english please")
    make.good("timezone-invalid", Zone="Mars/Olympus")
    make.good("url-invalid", Photo="photos/ann.jpg")
    make.good("coordinate-invalid", Lat="123.4", Lon="7.5", profile={"location.longitude": 7.5})
    make.good("ip-invalid", Address="300.1.2.3")
    make.bad("rejected", "required-missing", Plan="")
    make.bad("rejected", "not-in-list", Plan="platinum")
    make.good("pattern-mismatch", Voucher="no voucher")
    make.good("text-too-long", Nick="Annabellina")
    make.good("text-too-short", Nick="A")


def _values(make: _Maker) -> None:
    make.good("integer-invalid", Points="twelve")
    make.good("number-inexact", Points="12345678901234567890", profile={"properties.points": "12345678901234567890"})
    make.good("decimal-invalid", Weight="heavy")
    make.good("decimal-ambiguous", Weight="1,234")
    make.good("money-invalid", Spent="a lot")
    make.good("money-ambiguous", Spent="1,234 EUR")
    make.good("boolean-invalid", Member="perhaps")
    make.good("date-invalid", Born="31/31/1990")
    make.good("date-ambiguous", Born="03/04/1990")
    make.good("datetime-invalid", Seen="yesterday")
    make.good("list-invalid", Tags="[1, 2")
    make.good("json-invalid", Data="{broken")
    make.good("number-out-of-range", Age="212")


def _duplicates(make: _Maker) -> None:
    kept = make.good(
        "identifier-conflict", Email="twin@birchpost.com", profile={"external_id": f"id-{make.number + 2:03d}"}
    )
    make.sheet.add(make.cells({"Email": "twin@birchpost.com"}), Truth("duplicate", {"duplicate-merged"}, kept))
    make.good(Phone="07123 456 701", profile={"phone_number": "+447123456701"})
    make.good("phone-shared", Phone="07123 456 701")


def _klaviyo(make: _Maker) -> None:
    make.bad("rejected", "list-unknown", Segment="No such list")
    make.good(Segment="VIP", lists=("VIP",))
    make.bad("failed", "klaviyo-invalid", Email="ann@sandbox-refused.com")
    make.bad("unknown", "profile-not-found", Email="ann@sandbox-dropped.com", Segment="VIP")


def _broken_records(make: _Maker) -> None:
    cells = make.cells({})
    make.sheet.add(cells[:-3], Truth("rejected", {"row-too-short"}))
    make.sheet.add([*make.cells({}), "one more"], Truth("rejected", {"row-too-long"}))
    make.sheet.add_raw("id-n,\udce9\udcff,,,,,,,,,,,,,,,,,,,,,,,,,\n", Truth("rejected", {"row-undecodable"}))
    make.sheet.add_raw("id-z,\0,,,,,,,,,,,,,,,,,,,,,,,,,\n", Truth("rejected", {"cell-has-nul"}))
    make.sheet.add_raw('id-q,"a"b,,,,,,,,,,,,,,,,,,,,,,,,,\n', Truth("rejected", {"quote-malformed"}))
    make.good()
    make.sheet.add_raw('id-u,"cut off here,,,', Truth("rejected", {"quote-unclosed"}))
