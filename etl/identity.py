"""Who is the same person: the keys by which addresses are compared. Pure, and the only place that folds them.

Two widths, because two mistakes cost differently:

* :func:`identity_key` is **strict**, for merging people and for finding them in Klaviyo's answers: spellings that every
  mailer takes for one mailbox. ``weiß@`` and ``weiss@`` stay two, as do ``straße.de`` and ``strasse.de`` (IDNA 2008):
  a wrong merge loses a person.
* :func:`opt_out_key` is **wide**, for opt-outs: also spellings that only some take for one. A wrong match there costs a
  subscription, a missed one mails somebody who said no.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from typing import Any, Final

import idna

from etl.deferred import pa, pc

EMAIL: Final = "email"
PHONE: Final = "phone_number"

# What stands between an address and its key. ASCII addresses without any of these have their lower case for a key.
ODD_EMAIL: Final = r"[^\x00-\x7F]|[xX][nN]--|\.$|\s"
"""RE2 and ``re``: addresses whose key is more than their lower case."""
_ODD_EMAIL: Final = re.compile(ODD_EMAIL)

_WRAPPED: Final = re.compile(r"<([^<>\s]+@[^<>\s]+)>")
_SCHEME: Final = re.compile(r"^(?:mailto|tel|sms):", re.IGNORECASE)
_WRITTEN: Final = re.compile(r'["<>:]')
_QUOTED: Final = re.compile(r'^"([^"\\]+)"$')
_SIGMAS: Final = {0x3C2: 0x3C3}  # the one at the end of a word, and the other
_NATIONAL_ZERO: Final = re.compile(r"^(\+\d+\s*)\(0\)")


def identity_key(name: str, value: str) -> str:
    """Return what stands for an identifier among others of its name; values with one key are one person's."""
    if name == EMAIL:
        return email_key(value)
    return phone_key(value) if name == PHONE else value


def email_key(address: str) -> str:
    """Return an address as mailers compare it: lower case, composed, the domain by IDNA 2008 and in Unicode.

    Never ``casefold``, which makes ``ss`` of ``ß`` and with it one person of two.
    """
    lowered = address.lower()
    # What most addresses are, told without a pattern, which takes four times as long.
    if address.isascii() and address.isprintable() and not (" " in address or address[-1:] == "." or "xn--" in lowered):
        return lowered
    if not _ODD_EMAIL.search(address):
        return lowered
    local, at, domain = unicodedata.normalize("NFC", address.strip()).rpartition("@")
    if not at:
        return domain.lower()
    return f"{unicodedata.normalize('NFC', local.lower())}@{domain_key(domain)}"


def email_keys(texts: Any) -> Any:
    """Do as :func:`email_key` for a column of addresses (null for none).

    Reference: ``etl/identity.py``. Held to it by ``tests/unit/test_identity.py``.
    """
    lowered = pc.ascii_lower(texts)
    odd = pc.fill_null(pc.match_substring_regex(texts, ODD_EMAIL), fill_value=False)
    if not pc.any(odd).as_py():
        return lowered
    folded = [email_key(text) for text in texts.filter(odd).to_pylist()]
    return pc.replace_with_mask(lowered, odd, pa.array(folded, texts.type))


@functools.lru_cache(maxsize=4096)
def domain_key(domain: str) -> str:
    """Return a domain in Unicode and lower case, whether it was written so, in punycode or with a final dot."""
    try:
        return idna.decode(idna.encode(domain, uts46=True).rstrip(b"."))
    except (idna.IDNAError, UnicodeError):
        return unicodedata.normalize("NFKC", domain).lower().rstrip(".")


def _ascii_domain(domain: str) -> str:
    try:
        return idna.encode(domain, uts46=True).decode()
    except (idna.IDNAError, UnicodeError):
        return domain


def phone_key(number: str) -> str:
    """Return a number as ``+`` and digits where it is written internationally, else its digits alone."""
    if number[:1] == "+" and number[1:].isdigit() and number.isascii():
        return number
    text = _NATIONAL_ZERO.sub(r"\1", _SCHEME.sub("", unicodedata.normalize("NFKC", _visible(number))).strip())
    digits = "".join(str(unicodedata.digit(char)) for char in text if char.isdigit())
    if text.startswith("+"):
        return f"+{digits}"
    return f"+{digits[2:]}" if digits.startswith("00") else digits


def opt_out_key(name: str, value: str) -> str:
    """Return what stands for an identifier in every memory of opt-outs; equal wherever :func:`identity_key` is."""
    return wide_email_key(value) if name == EMAIL else identity_key(name, value)


def spellings(name: str, value: str) -> tuple[str, ...]:
    """Return the spellings under which another program may have written an identifier: to be asked for, all of them."""
    if name != EMAIL or not _ODD_EMAIL.search(value):
        return (identity_key(name, value),)
    key = email_key(value)
    local, _, domain = key.rpartition("@")
    ascii_domain = _ascii_domain(domain)
    decomposed = f"{unicodedata.normalize('NFD', local)}@{domain}"
    return tuple(dict.fromkeys((key, value, wide_email_key(value), f"{local}@{ascii_domain}", decomposed)))


def wide_email_key(address: str) -> str:
    """Return an address as the most forgiving reader takes it: compatibility forms, invisible characters, wrappings."""
    if address.isascii() and not _ODD_EMAIL.search(address) and not _WRITTEN.search(address):
        return address.lower()
    text = _SCHEME.sub("", unicodedata.normalize("NFKC", _visible(address)).strip())
    wrapped = _WRAPPED.search(text)
    local, _, domain = email_key("".join((wrapped[1] if wrapped else text).split())).rpartition("@")
    local = _QUOTED.sub(r"\1", unicodedata.normalize("NFKC", local))
    # Both small sigmas have one capital; a capital I with a dot leaves the dot behind.
    local = local.translate(_SIGMAS).replace("i\u0307", "i")
    # What stood behind the dot is an accent of the letter now.
    return f"{unicodedata.normalize('NFC', local)}@{domain}"


def _visible(text: str) -> str:
    """Return a text without characters that nobody sees (zero-width ones, marks of direction, soft hyphens)."""
    return text if text.isascii() else "".join(char for char in text if unicodedata.category(char) != "Cf")
