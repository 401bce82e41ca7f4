"""The column-wise judge of e-mails says what ``email-validator`` says, cell by cell.

``CASES=1000000 pytest tests/unit/validate/test_emails_differential.py`` scales the generated part.
"""

# ruff: noqa: RUF001  look-alike characters are the point

from __future__ import annotations

import os
import random

import pyarrow as pa
import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.validate.cells import Finding, trim
from etl.validate.emails.advice import advise, repair
from etl.validate.emails.columns import judge_emails
from tests.support.effort import FULL, examples

CASES = int(os.environ.get("CASES", "20000" if FULL else "6000"))
COLUMN = 20_000

_LOCALS = """ann ann.lee Ann.LEE ann+tag o'neil a-b a--b -a a- _a a_ .a a. a..b INFO sales Webmaster noemail none test x
jörg 用户 "a b" "a@b" "a\\"b" a\u0301 \u00e1 ann\u200blee a,b a;b a:b a/b a=b {a} a|b a%b a&b a\\b a(b) <a a> [a] é.é
1 123 null@ @ a@b mailto:ann 'ann' ann\u00adlee """
_DOMAINS = """shop.de Shop.DE gmail.com GMAIL.COM gmial.com gmail.con hotmail.co.uk test.com example.com
mail.example.org a.b.c.d.museum sub-domain.shop.com sub--domain.shop.com xn--mller-kva.de xn--a.de ab--cd.de -a.de
a-.de a.-b.de a..de .de de. shop.de. shop localhost host.local site.test x.invalid onion.onion my.onion home.arpa
shop.d shop.1 shop.d1 shop.1d shop.a-b shop.a-1 müller.de MÜLLER.de пример.рф 例え.jp shop。de shop．de shop_a.de
shop!.de shop.de/ [127.0.0.1] [IPv6:::1] 127.0.0.1 shop.de, shop,de ﬁ.de ⅷ.de ß.de faß.de a\u0301.de \u200d.de
a.xn--p1ai İ.com K.com @shop.de"""

# Split at blanks only: other spaces are part of the cases.
LOCALS, DOMAINS = _LOCALS.replace("\n", " ").split(" "), _DOMAINS.replace("\n", " ").split(" ")
ENDS = ["", "", "", "", " ", "\n", "\t", "\u00a0", "\u200b", ",", ";", ".", ">", "'", " x", "\x00", "\u2028"]
ALPHABET = "abAB019.-_@+ \t<>\"'(),;:/[]\\%é\u0301ß\u200b\u00a0.ｇ。"


def reference(text: str, position: int) -> tuple[str, list[Finding]]:
    """One raw cell by ``email-validator`` alone."""
    text = trim(text)
    if not text:
        return "", []
    normal = normalised(text)
    if normal is None:
        code, suggestion = repair(text, normalised)
        return "", [Finding(position, code, suggestion=suggestion, fatal=True)]
    return normal, advise(normal, position)


def normalised(text: str) -> str | None:
    try:
        return validate_email(text, check_deliverability=False, test_environment=False).normalized
    except EmailNotValidError:
        return None


def assert_same(cells: list[str]) -> int:
    """Compare a whole column; return how many cells were accepted."""
    verdicts = judge_emails(pa.array(cells, pa.string()))
    normal: list[str] = []
    findings: list[Finding] = []
    for position, cell in enumerate(cells):
        address, found = reference(cell, position)
        normal.append(address)
        findings += found
    differences = [
        (cell, got, wanted)
        for cell, got, wanted in zip(cells, verdicts.normal.to_pylist(), normal, strict=True)
        if got != wanted
    ]
    assert differences == []
    assert list(verdicts.findings) == findings
    return sum(1 for each in normal if each)


def generated(chance: random.Random) -> str:
    local, domain = chance.choice(LOCALS), chance.choice(DOMAINS)
    shape = chance.random()
    if shape < 0.3:
        local = f"{chance.choice(['ann', 'Bob', 'c.d'])}{chance.randrange(10**6)}"
    elif shape < 0.5:
        domain = (
            f"{chance.choice(['shop', 'My-Co', 'x1'])}{chance.randrange(10**5)}.{chance.choice(['de', 'co.uk', 'COM'])}"
        )
    elif shape < 0.55:
        local = chance.choice("ab.é") * chance.choice([63, 64, 65, 100, 240, 300])
    elif shape < 0.6:
        domain = chance.choice(["a", "a-b", "ö"]) * chance.choice([20, 31, 32, 62, 63, 64, 85]) + ".de"
    text = local + chance.choice(["@"] * 20 + ["", "@@", " @ ", "\uff20"]) + domain
    if shape > 0.9:  # one slip of the hand
        at = chance.randrange(len(text) + 1)
        text = text[:at] + chance.choice(ALPHABET) + text[at + chance.randrange(2) :]
    return chance.choice(ENDS) + text + chance.choice(ENDS) if chance.random() < 0.3 else text


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_generated_cells_get_the_verdict_of_email_validator() -> None:
    """Zero differences in verdict, normal form and findings."""
    chance = random.Random(20261015)
    accepted = 0
    for start in range(0, CASES, COLUMN):
        accepted += assert_same([generated(chance) for _ in range(min(COLUMN, CASES - start))])
    assert 0.2 < accepted / CASES < 0.8  # the generator reaches both verdicts


@settings(max_examples=examples(50), deadline=None)
@given(st.lists(st.text(alphabet=ALPHABET, max_size=24), max_size=20))
def test_any_text_of_hostile_characters_gets_the_same_verdict(cells: list[str]) -> None:
    """Whatever a cell holds."""
    assert_same(cells)


@settings(max_examples=examples(30), deadline=None)
@given(
    st.lists(st.text(max_size=12).map(lambda text: f"a@{text}.de") | st.emails() | st.text(max_size=30), max_size=12)
)
def test_any_unicode_gets_the_same_verdict(cells: list[str]) -> None:
    """Any Unicode, and addresses as RFC 5322 allows them."""
    assert_same(cells)


def test_every_printable_ascii_character_in_every_place() -> None:
    """The ordinary shape knows exactly the characters of the grammar."""
    places = """?ann@shop.de an?n@shop.de ann?@shop.de ann@?shop.de ann@sh?op.de ann@shop.?de ann@shop.d?e ann@shop.de?
    ann@shop?.de ann@shop.?? ?@shop.de ann@?.de ann@shop?de"""
    assert_same([place.replace("?", chr(code)) for code in range(0x20, 0x7F) for place in places.split()])
