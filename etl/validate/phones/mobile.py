"""Which valid numbers cannot receive text messages."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from phonenumbers import PhoneNumberType, number_type, parse

from etl.validate.cells import Finding
from etl.validate.phones.plans import calling_code_of, can_text

# What phonenumbers calls fixed-line-or-mobile (all of North America), VoIP and personal numbers may well be texted.
_DEAF: Final = {
    PhoneNumberType.FIXED_LINE: "a landline",
    PhoneNumberType.TOLL_FREE: "a toll-free number",
    PhoneNumberType.PREMIUM_RATE: "a premium-rate number",
    PhoneNumberType.SHARED_COST: "a shared-cost number",
    PhoneNumberType.PAGER: "a pager",
    PhoneNumberType.UAN: "a company number",
    PhoneNumberType.VOICEMAIL: "a voicemail box",
}
_HEAD: Final = 4  # the + and up to three digits of calling code


def not_mobile(numbers: Any) -> list[Finding]:
    """Warn of numbers in a column of E.164 (``""`` for none) that ``phonenumbers`` types as no mobile."""
    rows = np.flatnonzero(pc.not_equal(numbers, "").to_numpy(zero_copy_only=False))
    if not len(rows):
        return []
    chosen = numbers.take(pa.array(rows))
    heads = pc.utf8_slice_codeunits(chosen, 1, _HEAD).dictionary_encode()
    codes = [calling_code_of(head) for head in heads.dictionary.to_pylist()]
    index = heads.indices.to_numpy()
    doubtful = np.ones(len(rows), bool)
    for code in sorted(set(codes)):
        here = np.flatnonzero(np.array([each == code for each in codes], bool)[index])
        national = pc.utf8_slice_codeunits(chosen.take(pa.array(here)), 1 + len(code))
        doubtful[here] = ~can_text(code, national)
    findings = []
    for position, number in zip(rows[doubtful].tolist(), chosen.filter(pa.array(doubtful)).to_pylist(), strict=True):
        kind = _DEAF.get(number_type(parse(number)))
        if kind is not None:
            findings.append(Finding(position, "phone-not-mobile", kind))
    return findings
