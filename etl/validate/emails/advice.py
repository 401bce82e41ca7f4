"""Advice on e-mail addresses: mistyped providers, placeholders, role mailboxes, and repairs of refused ones.

Advice speaks only where a mistake is far likelier than a rare real domain: an edit within the name of a large mailbox
provider, or a slip in its top-level domain. Names one edit away that really exist are listed, not guessed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Final

from disposable_email_domains import blocklist
from email_validator.rfc_constants import CASE_INSENSITIVE_MAILBOX_NAMES

from etl.validate.cells import Finding, trim


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Large mailbox providers (first label) with the domains they are known under.
_PROVIDERS: Final = {
    "gmail": frozenset({"com"}),
    "googlemail": frozenset({"com"}),
    "yahoo": _words(
        "com co.uk co.in co.id co.jp co.nz co.th co.za com.ar com.au com.br com.hk com.mx com.ph com.sg com.tr com.tw "
        "com.vn ca de dk es fr gr ie in it nl no pl pt ro se"
    ),
    "hotmail": _words("com co.uk be ca ch com.ar com.au com.br com.tr de dk es fi fr it nl no se"),
    "outlook": _words("com at be cl com.ar com.au com.br cz de dk es fr ie in it jp pt sa"),
    "icloud": frozenset({"com"}),
    "rocketmail": frozenset({"com"}),
    "rediffmail": frozenset({"com"}),
    "protonmail": frozenset({"com", "ch"}),
    "btinternet": frozenset({"com"}),
    "virginmedia": frozenset({"com"}),
    "ntlworld": frozenset({"com"}),
    "comcast": frozenset({"net"}),
    "verizon": frozenset({"net"}),
    "sbcglobal": frozenset({"net"}),
    "bellsouth": frozenset({"net"}),
    "earthlink": frozenset({"net"}),
    "optonline": frozenset({"net"}),
    "sympatico": frozenset({"ca"}),
    "videotron": frozenset({"ca"}),
    "bigpond": frozenset({"com"}),
    "wanadoo": frozenset({"fr"}),
    "laposte": frozenset({"net"}),
    "t-online": frozenset({"de"}),
    "freenet": frozenset({"de"}),
}

# Too short for edit distance: half of the names one edit away are companies. Only their ".com" is watched.
_SHORT_PROVIDERS: Final = ("aol", "msn", "live", "ymail", "gmx", "mac", "mail")

# Slips of "com" at a provider that has no such domain. "co" and "cm" exist as countries, but not for these.
_COM_SLIPS: Final = _words("cmo con comm comn coml coom cpm cim ocm om vom xom ckm cob col c0m dom cm co")
# One slip from an ending that everybody uses, and themselves in no list of public suffixes.
_ENDING_SLIPS: Final = {
    **dict.fromkeys(
        _words(
            "c cmo con comm comn coml coom cpm cim ocm vom xom ckm cob col c0m dom ccom coim conm copm cocm comj comk "
            "com1 comt comy comw comr coms comd come como"
        ),
        "com",
    ),
    **dict.fromkeys(_words("n nte ent ner nrt nett neet netr met ney"), "net"),
    **dict.fromkeys(_words("o ogr rog orgg ord prg irg"), "org"),
    **dict.fromkeys(_words("d dee ded"), "de"),
}
_SECOND_LEVELS: Final = _words("ac co com edu gob gov gouv ltd me ne net nhs or org plc sch")
# Countries in which companies are registered below "com".
_COM_COUNTRIES: Final = _words(
    "ar au bo br cn co cy do ec eg gh gr gt hk hn kw lb mt mx my na ng ni np pa pe ph pk pl pr pt py qa sa sg sv tn tr "
    "tw ua uy ve vn"
)
_COUNTRY_OWN: Final = frozenset({"mail.co", "gmx.co", "live.co", "mac.co", "ymail.co", "mail.cm", "mail.om"})

# Real names one edit away from a provider's.
_REAL_NAMES: Final = frozenset({"gail", "gmail", "email", "outlooks", "freenets", "hotmails", "comcasts", "verizons"})

_EXTRA_SLIPS: Final = {"ahoo": "yahoo", "otmail": "hotmail", "htomail": "hotmail", "homtail": "hotmail"}

_PLACEHOLDER_LOCALS: Final = _words(
    """donotemail donthaveone dontknow dummy fake fakeemail fakemail invalid missing n.a na nan no no.email no.mail
    no-email no_email noaddress noemail noemailaddress noemailgiven noemailprovided nomail none nonegiven noone
    notapplicable notavailable notgiven notprovided null placeholder undefined unknown"""
)
_PLACEHOLDER_DOMAINS: Final = _words(
    """example.com example.net example.org test.com test.de test.fr test.net test.org testing.com noemail.com
    noemail.net nomail.com noreply.com none.com fake.com fakemail.com fakeemail.com asdf.com xxx.com domain.com
    yourdomain.com mydomain.com placeholder.com dummy.com nowhere.com noaddress.com unknown.com"""
)
# x@x.com: the same filler before and after the @; a surname@surname.com stays a person.
_FILLERS: Final = _words(
    """a aa aaa aaaa ab abc abcd abcdef asd asdf b bb c customer demo e email example foo guest mail me n na name no
    nobody none q qwe qwerty sample somebody someone test test1 test123 tester testing user x xx xxx xxxx xy xyz y you
    z zz zzz 1 11 111 12 123 1234 12345"""
)
ROLES: Final = frozenset(CASE_INSENSITIVE_MAILBOX_NAMES)  # RFC 2142, as email-validator keeps them
_ROLE_DETAIL: Final = "a mailbox of a function, RFC 2142"

_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz0123456789-"


def _one_edit_away(name: str) -> set[str]:
    """Names one deletion, transposition, substitution or insertion away that keep the first letter.

    The first letter is kept because people rarely mistype it and most real neighbours differ there (mail, ymail).
    """
    edits = {name[0] + name[2:]}
    for i in range(1, len(name)):
        edits.add(name[:i] + name[i + 1 :])
        edits.update(name[:i] + letter + name[i + 1 :] for letter in _LETTERS)
    for i in range(len(name) - 1):
        edits.add(name[:i] + name[i + 1] + name[i] + name[i + 2 :])
    for i in range(1, len(name) + 1):
        edits.update(name[:i] + letter + name[i:] for letter in _LETTERS)
    return edits


@lru_cache(maxsize=1)
def _slips() -> dict[str, str]:
    """Mistyped first label → provider."""
    slips = dict(_EXTRA_SLIPS)
    for provider in _PROVIDERS:
        for slip in _one_edit_away(provider) - _REAL_NAMES - _PROVIDERS.keys():
            slips.setdefault(slip, provider)
    return slips


def correct_domain(domain: str) -> str | None:
    """Return the provider's domain that a lower-case ``domain`` is a slip of, or ``None`` where it is none."""
    name, _, suffix = domain.partition(".")
    provider = _slips().get(name, name)
    if provider in _PROVIDERS:
        if suffix in _PROVIDERS[provider]:
            return f"{provider}.{suffix}" if provider != name else None
        if suffix in _COM_SLIPS and "com" in _PROVIDERS[provider]:
            return f"{provider}.com"
    elif provider in _SHORT_PROVIDERS and suffix in _COM_SLIPS and domain not in _COUNTRY_OWN:
        return f"{provider}.com"
    return None


def correct_ending(domain: str) -> str | None:
    """Return a lower-case ``domain`` with the ending it was to have, ``""`` where only that it has none is sure.

    ``None``: its ending may be one. No top-level domain has a single letter.
    """
    name, _, ending = domain.rpartition(".")
    if ending in _ENDING_SLIPS:
        return f"{name}.{_ENDING_SLIPS[ending]}"
    return "" if len(ending) == 1 else None


def is_disposable(domain: str) -> bool:
    """Whether a lower-case ``domain``, or the one it lies under, gives out addresses that are thrown away."""
    return domain in blocklist or domain.partition(".")[2] in blocklist


def is_placeholder_domain(domain: str) -> bool:
    """Whether nobody receives mail at a lower-case ``domain``: reserved by RFC 2606, or a form-filler's habit."""
    return domain in _PLACEHOLDER_DOMAINS or domain.endswith((".example.com", ".example.net", ".example.org"))


def notable_locals() -> frozenset[str]:
    """Return all lower-case local parts that can earn advice."""
    return _PLACEHOLDER_LOCALS | _FILLERS | ROLES


def advise(normal: str, position: int) -> list[Finding]:
    """Warnings on a valid address in normal form; at most one."""
    local, _, domain = normal.rpartition("@")
    lowered = local.lower()
    if (
        is_placeholder_domain(domain)
        or lowered in _PLACEHOLDER_LOCALS
        or (lowered in _FILLERS and domain.partition(".")[0] == lowered)
    ):
        return [Finding(position, "email-placeholder")]
    correct = correct_domain(domain)
    if correct:
        return [Finding(position, "email-domain-typo", f"the domain may be {correct}", f"{local}@{correct}")]
    whole = correct_ending(domain)
    if whole is not None:
        said = f"the domain may be {whole}" if whole else "no domain ends so"
        return [Finding(position, "email-domain-typo", said, f"{local}@{whole}" if whole else "")]
    if is_disposable(domain):
        return [Finding(position, "email-disposable")]
    if lowered in ROLES:
        return [Finding(position, "email-role", _ROLE_DETAIL)]
    return []


_ADDRESS: Final = re.compile(r"[^\s<>,;:|()\[\]\"']+@[^\s<>,;:|()\[\]\"'@]+")
_SCHEME: Final = re.compile(r"(?i)^\W*(?:mailto|e-?mail|smtp)\s*:\s*")
_SPELT_AT: Final = re.compile(r"(?i)\s*[\[({]\s*at\s*[\])}]\s*|\s+at\s+|\uff20|@{2,}|\s*@\s*")
_SPELT_DOT: Final = re.compile(r"(?i)\s*[\[({]\s*(?:dot|punkt|point)\s*[\])}]\s*|\s+dot\s+")
_DOTS: Final = re.compile(r"\s*[.,]+\s*|\.{2,}")
_SPLIT: Final = re.compile(r"[\w.+-]+(?:\s+[\w.+-]+)*\s+[\w.+-]+@|[^\s@]+@\S+\s+\w")
_SPLIT_ENDING: Final = re.compile(
    r"(?P<local>[^\s@,;]+)@(?P<name>[^\s@,;.]+(?:\.[^\s@,;.]+)*)[.,](?P<second>[a-zA-Z]{2,4})[.,](?P<country>[a-zA-Z]{2})"
)
_LONGEST_REPAIRED: Final = 1000  # characters; beyond that a cell is prose, and regular expressions would crawl


def repair(text: str, normalise: Callable[[str], str | None]) -> tuple[str, str]:
    """Find what a refused cell may have meant: the code to raise and a suggested address (``""`` where none is sure).

    Several valid addresses: ``email-several`` with the first. One inside a name, a ``mailto:`` or brackets: that one.
    Otherwise slips of the hand (``,`` for ``.``, a blank, ``(at)``, a doubled dot) if undoing them gives a valid one.
    """
    if len(text) > _LONGEST_REPAIRED:
        return "email-invalid", ""
    code, address = _repaired(_SCHEME.sub("", text) if ":" in text else text, normalise)
    local, _, domain = address.rpartition("@")
    correct = correct_domain(domain) or correct_ending(domain)
    return code, f"{local}@{correct}" if correct else address


def _repaired(bare: str, normalise: Callable[[str], str | None]) -> tuple[str, str]:
    if "@" in bare:
        whole = _joined(bare)
        if whole is not None and (address := normalise(whole)):
            return "email-invalid", address
        inner = [found for found in map(normalise, _candidates(bare)) if found]
        distinct = list(dict.fromkeys(inner))
        if len(distinct) > 1:
            return "email-several", distinct[0]
        if distinct and bare.count("@") == len(inner):
            # "ann lee@b.de" may be a name before an address or a blank inside one: nothing sure to say.
            is_split = len(inner) == 1 and _SPLIT.match(bare)
            return "email-invalid", "" if is_split else distinct[0]
    for attempt in _respelt(bare.partition("?")[0]):
        local, at, domain = trim(attempt).rpartition("@")
        repaired = normalise(f"{local.strip('.')}{at}{domain.strip('.-')}") if at else None
        if repaired:
            return "email-invalid", repaired
    return "email-invalid", ""


def _respelt(text: str) -> Iterator[str]:
    """Yield a cell without its slips: first those of its words, then of its dots, then of its blanks."""
    spelt = _SPELT_DOT.sub(".", _SPELT_AT.sub("@", text))
    yield spelt
    dotted = _DOTS.sub(".", spelt)
    yield dotted
    yield "".join(dotted.split())


def _joined(text: str) -> str | None:
    """Return an address whose domain has a comma before its country: ``yahoo.co,uk`` can be read in one way only."""
    if (split := _SPLIT_ENDING.fullmatch(text)) is None:
        return None
    name, second, country = split["name"].lower(), split["second"].lower(), split["country"].lower()
    suffix = f"{second}.{country}"
    fits = suffix in _PROVIDERS[name] if name in _PROVIDERS else second != "com" or country in _COM_COUNTRIES
    return f"{split['local']}@{name}.{suffix}" if second in _SECOND_LEVELS and fits else None


def _candidates(text: str) -> list[str]:
    """Pieces of a cell that look like whole addresses."""
    pieces: list[str] = []
    for piece in _ADDRESS.findall(text.replace("mailto:", " ")):
        halves = piece.split("/") if piece.count("@") > 1 else [piece]
        pieces += [half.partition("?")[0].strip(".,-") for half in halves]
    return pieces
