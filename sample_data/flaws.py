"""What goes wrong in real exports, each flaw with the codes it should get."""

from __future__ import annotations

import random
from dataclasses import dataclass

from people import Person

NBSP = "\u00a0"


@dataclass(frozen=True)
class Cell:
    """A cell as exported, the value it should become (empty: none), and the codes it should get."""

    text: str
    value: str
    codes: frozenset[str] = frozenset()


def email(person: Person, chance: random.Random) -> Cell:
    """Return an address, about one in thirty of them bad and some untidy."""
    address = person.email
    local, _, domain = address.partition("@")
    typo = f"{local}@{chance.choice(('gmial.com', 'hotmial.com', 'yaho.com', 'gmail.con'))}"
    role = f"info@{local.replace('.', '-')}.com"
    flawed = (
        (0.005, _bad(f"{local}{domain}")),
        (0.005, _bad(f"{local}@@{domain}")),
        (0.005, _bad(f"{local}@{domain.partition('.')[0]}")),
        (0.005, _bad(f"{local} @ {domain}")),
        (0.004, _bad(address.replace(".", "..", 1))),
        (0.003, Cell(f"{address}; {local}.2@{domain}", "", frozenset({"email-several"}))),
        (0.008, Cell(typo, typo, frozenset({"email-domain-typo"}))),
        (0.005, Cell(role, role, frozenset({"email-role"}))),
        (0.040, Cell(f" {address} ", address)),
        (0.005, Cell(f"{address}{NBSP}", address)),
        # Klaviyo does not mind the case of an address; the domain is written small, the rest is its owner's.
        (0.095, Cell(address.upper(), f"{local.upper()}@{domain}")),
    )
    dice = chance.random()
    for share, cell in flawed:
        dice -= share
        if dice < 0:
            return cell
    return Cell(address, address)


def _bad(text: str) -> Cell:
    return Cell(text, "", frozenset({"email-invalid"}))


def phone(person: Person, chance: random.Random, share: float = 0.8) -> Cell:
    """Return a number, missing in some rows, about one in twenty of them bad. ``share``: of the rows with one."""
    if chance.random() > share:
        return Cell("", "")
    dice = chance.random()
    if dice < 0.010:
        return Cell(f"{person.phone[1:2]}.{person.phone[2:4]}E+11", "", frozenset({"phone-spreadsheet-number"}))
    if dice < 0.025:
        return Cell(chance.choice(("n/a", "unknown", "12345", "ask again")), "", frozenset({"phone-invalid"}))
    if dice < 0.030:
        return Cell(f"{person.phone} / {person.phone}", "", frozenset({"phone-several"}))
    if dice < 0.035:
        return Cell(f"{person.phone} ext. 12", person.phone, frozenset({"phone-extension"}))
    if dice < 0.055:
        return Cell(f" {person.phone_home}{NBSP}", person.phone)
    return Cell(person.phone_home, person.phone)
