"""E-mail addresses, a column at a time: the verdict and the normal form of ``email-validator``, and advice beside it.

Advice (mistyped domain, placeholder, role mailbox) is a warning and never changes the verdict.

Reference: ``etl/validate/emails/reference.py``. Held to it by ``tests/unit/validate/test_emails_differential.py``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from email_validator import SPECIAL_USE_DOMAIN_NAMES

from etl.validate.cells import TEXT, Finding, as_trimmed
from etl.validate.emails.advice import (
    ROLES,
    advise,
    correct_domain,
    correct_ending,
    is_disposable,
    is_placeholder_domain,
    notable_locals,
)
from etl.validate.emails.reference import judge_email, normalise_email, refusal

# The shape for which email-validator's verdict is known without asking (RE2, so linear in the cell's length): a
# dot-atom of ASCII, then labels without doubled hyphens (those may be Punycode) and a top-level domain of letters.
_ATEXT: Final = r"[a-zA-Z0-9_!#$%&'*+/=?^`{|}~-]+"
_LABEL: Final = r"[a-zA-Z0-9]+(?:-[a-zA-Z0-9]+)*"
_ORDINARY: Final = rf"^{_ATEXT}(?:\.{_ATEXT})*@(?:{_LABEL}\.)+(?:[a-zA-Z0-9]+-)*[a-zA-Z0-9]*[a-zA-Z]$"
_LONGEST_LABEL: Final = 63  # bytes; an address no longer than a label may be has none that is too long
# Within these characters, without doubled hyphens and no longer than a label, the shape above is the whole grammar:
# what it does not match is refused. (Quotes, angle brackets, brackets and backslashes open other grammars.)
_PLAIN: Final = re.compile(r"[ !#-;=-Z^-~]*")
_ORDINARY_ALONE: Final = re.compile(_ORDINARY)
_AT: Final = ord("@")
_NOTHING: Final = pa.scalar("", TEXT)
_SPECIAL_USE: Final = tuple(f".{name}" for name in SPECIAL_USE_DOMAIN_NAMES)
_NOTABLE_LOCALS: Final = pa.array([f"{local}@" for local in sorted(notable_locals())], TEXT)


@dataclass(frozen=True, slots=True)
class EmailVerdicts:
    """One column's verdicts.

    ``normal``: ``large_string``, as long as the column, no nulls: the normal form, ``""`` where empty or refused.
    ``findings``: sparse, in order of position; a cell has at most one fatal one.
    """

    normal: pa.Array
    findings: tuple[Finding, ...]


def judge_emails(values: pa.Array | pa.ChunkedArray) -> EmailVerdicts:
    """Judge a column of raw cells (strings, nulls allowed).

    Addresses of the ordinary shape are settled as columns, the rest cell by cell through ``email-validator``.
    """
    texts = as_trimmed(values)
    ordinary = pc.and_(
        pc.less_equal(pc.binary_length(texts), _LONGEST_LABEL), pc.match_substring_regex(texts, _ORDINARY)
    )
    notable, texts = _notable_and_lowered(texts, ordinary)
    alone = pc.or_(pc.and_not(pc.not_equal(texts, ""), ordinary), notable)
    positions = np.flatnonzero(alone.to_numpy(zero_copy_only=False)).tolist()
    if not positions:
        return EmailVerdicts(texts, ())
    normal: list[str] = []
    findings: list[Finding] = []
    for position, text, plain in zip(
        positions, texts.filter(alone).to_pylist(), ordinary.filter(alone).to_pylist(), strict=True
    ):
        if plain:
            address, found = _judge_ordinary(text, position)
        elif _is_within_grammar(text):
            address, found = "", [refusal(text, position, _normalise_quickly)]
        else:
            address, found = judge_email(text, position, _normalise_quickly)
        normal.append(address)
        findings += found
    return EmailVerdicts(pc.replace_with_mask(texts, alone, pa.array(normal, TEXT)), tuple(findings))


def _is_within_grammar(text: str) -> bool:
    """Whether the ordinary shape alone decides over a cell."""
    return len(text) <= _LONGEST_LABEL and "--" not in text and _PLAIN.fullmatch(text) is not None


def _normalise_quickly(text: str) -> str | None:
    """Do as :func:`normalise_email` does, asking ``email-validator`` only where the shape does not decide."""
    if not _is_within_grammar(text):
        return normalise_email(text)
    return _normal_of_ordinary(text) if _ORDINARY_ALONE.fullmatch(text) else None


def _normal_of_ordinary(text: str) -> str | None:
    """Return the normal form of an address of the ordinary shape, ``None`` where its domain is a reserved one."""
    local, _, domain = text.partition("@")
    domain = domain.lower()
    if _is_special_use(domain):
        return None
    return f"{local.lower() if local.lower() in ROLES else local}@{domain}"


def _judge_ordinary(text: str, position: int) -> tuple[str, list[Finding]]:
    """Judge an address of the ordinary shape whose domain is already in lower case."""
    normal = _normal_of_ordinary(text)
    return (normal, advise(normal, position)) if normal else ("", [refusal(text, position, _normalise_quickly)])


def _is_special_use(domain: str) -> bool:
    """Whether a lower-case domain lies under a name that ``email-validator`` refuses as reserved."""
    return domain.endswith(_SPECIAL_USE)


def _notable_and_lowered(texts: Any, ordinary: Any) -> tuple[Any, Any]:
    """Return which ordinary addresses need a closer look, and the column with their domains in lower case."""
    chosen = texts.filter(ordinary)
    count = len(chosen)
    if not count:
        return ordinary, texts
    # One @ each: cut every address after it without copying, by laying twice as many offsets over the same bytes.
    offsets = np.frombuffer(chosen.buffers()[1], np.int64)[chosen.offset : chosen.offset + count + 1]
    data = np.frombuffer(chosen.buffers()[2], np.uint8)
    cuts = np.empty(2 * count + 1, np.int64)
    cuts[0::2] = offsets
    cuts[1::2] = np.flatnonzero(data[offsets[0] : offsets[-1]] == _AT) + offsets[0] + 1
    halves = pa.LargeStringArray.from_buffers(2 * count, pa.py_buffer(cuts), chosen.buffers()[2])
    locals_ = halves.take(np.arange(0, 2 * count, 2))
    domains = halves.take(np.arange(1, 2 * count, 2))
    lowered = pc.ascii_lower(domains)
    if not lowered.equals(domains):
        texts = pc.replace_with_mask(texts, ordinary, pc.binary_join_element_wise(locals_, lowered, _NOTHING))
    encoded = lowered.dictionary_encode()
    flags = [
        _is_special_use(domain)
        or is_placeholder_domain(domain)
        or is_disposable(domain)
        or correct_domain(domain) is not None
        or correct_ending(domain) is not None
        for domain in encoded.dictionary.to_pylist()
    ]
    by_domain = np.array(flags, bool)[encoded.indices.to_numpy()]
    by_local = pc.is_in(pc.ascii_lower(locals_), value_set=_NOTABLE_LOCALS).to_numpy(zero_copy_only=False)
    notable = np.zeros(len(texts), bool)
    notable[ordinary.to_numpy(zero_copy_only=False)] = by_domain | by_local
    return pa.array(notable), texts
