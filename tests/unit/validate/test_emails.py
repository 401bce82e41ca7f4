"""E-mail cells: what is accepted, refused, suggested and warned about."""

from __future__ import annotations

import pyarrow as pa
import pytest

from etl.codes import CODES
from etl.validate.emails.advice import correct_domain
from etl.validate.emails.columns import judge_emails

REAL_DOMAINS = """
gmail.com googlemail.com yahoo.com yahoo.co.uk ymail.com rocketmail.com hotmail.com hotmail.co.uk hotmail.fr
    outlook.com outlook.de live.com live.co.uk msn.com aol.com icloud.com me.com mac.com mail.com email.com gmx.net
    gmx.de gmx.at gmx.ch gmx.com web.de t-online.de freenet.de mail.ru yandex.ru qq.com 163.com proton.me
    protonmail.com zoho.com fastmail.com comcast.net cox.net att.net verizon.net btinternet.com sky.com wanadoo.fr
    orange.fr free.fr sfr.fr laposte.net libero.it libera.it virgilio.it gail.com cloud.com mail.co love.com
    life.com telenet.be skynet.be ziggo.nl kpnmail.nl bluewin.ch seznam.cz wp.pl o2.pl interia.pl onet.pl
"""


def judged(text: str | None) -> tuple[str, list[tuple[str, str, bool]]]:
    verdicts = judge_emails(pa.array([text], pa.string()))
    assert len(verdicts.normal) == 1
    assert all(finding.position == 0 and finding.code in CODES for finding in verdicts.findings)
    return verdicts.normal[0].as_py(), [(each.code, each.suggestion, each.fatal) for each in verdicts.findings]


@pytest.mark.parametrize(
    ("cell", "normal"),
    [
        ("ann@shop.de", "ann@shop.de"),
        ("  Ann.Lee+news@Shop.DE ", "Ann.Lee+news@shop.de"),
        ("\u200bann@shop.de\u00a0\r\n", "ann@shop.de"),
        ("\ufeffann@shop.de\t", "ann@shop.de"),
        ("o'neil/x@shop.de", "o'neil/x@shop.de"),
        ("jörg@müller.de", "jörg@müller.de"),
        ("ann@xn--mller-kva.de", "ann@müller.de"),
        ("ann@MÜLLER.de", "ann@müller.de"),
        ("smith@smith.com", "smith@smith.com"),
        ("test@gmail.com", "test@gmail.com"),
        ("", ""),
        (None, ""),
        ("\u00a0 \u200b", ""),
    ],
)
def test_good_and_empty_cells_pass_in_silence(cell: str | None, normal: str) -> None:
    """A valid address is trimmed and normalised; an empty cell is no fault."""
    assert judged(cell) == (normal, [])


@pytest.mark.parametrize(
    ("cell", "code", "suggestion"),
    [
        ("Ann Lee <Ann@Shop.de>", "email-invalid", "Ann@shop.de"),
        ('"Lee, Ann" <ann@shop.de>', "email-invalid", "ann@shop.de"),
        ("mailto:ann@shop.de", "email-invalid", "ann@shop.de"),
        ("mailto:ann@shop.de?subject=hi", "email-invalid", "ann@shop.de"),
        ("ann@gmail,com", "email-invalid", "ann@gmail.com"),
        ("ann@yahoo.co,uk", "email-invalid", "ann@yahoo.co.uk"),
        ("ann@yahoo,co,jp", "email-invalid", "ann@yahoo.co.jp"),
        ("ann@mail.shop.com,au", "email-invalid", "ann@mail.shop.com.au"),
        ("ann@gmail.com,uk", "email-invalid", "ann@gmail.com"),
        ("ann@mapleshop,con", "email-invalid", "ann@mapleshop.com"),
        ("ann @gmail.com", "email-invalid", "ann@gmail.com"),
        ("ann(at)gmail.com", "email-invalid", "ann@gmail.com"),
        ("ann [at] shop [dot] de", "email-invalid", "ann@shop.de"),
        ("ann@@shop.de", "email-invalid", "ann@shop.de"),
        ("ann\uff20shop.de", "email-invalid", "ann@shop.de"),
        ("a..b@shop.de", "email-invalid", "a.b@shop.de"),
        ("ann@shop.de,", "email-invalid", "ann@shop.de"),
        ("ann@shop.de ann@shop.de", "email-invalid", "ann@shop.de"),
        ("ann lee@shop.de", "email-invalid", ""),
        ("ann@gmail", "email-invalid", ""),
        ("ann@host.local", "email-invalid", ""),
        ("ann", "email-invalid", ""),
        ("@shop.de", "email-invalid", ""),
        ("ann@[127.0.0.1]", "email-invalid", ""),
        ("x" * 250 + "@shop.de", "email-invalid", ""),
        ("ann@shop.de " * 500, "email-invalid", ""),
        ("a@x.com; b@y.com", "email-several", "a@x.com"),
        ("a@x.com,b@y.com", "email-several", "a@x.com"),
        ("a@x.com/b@y.com", "email-several", "a@x.com"),
        ("A <a@x.com>, B <b@y.com>", "email-several", "a@x.com"),
    ],
)
def test_a_refused_cell_says_what_it_may_have_meant(cell: str, code: str, suggestion: str) -> None:
    """Refusing costs the cell; the suggestion is a valid address, or nothing where none is sure."""
    assert judged(cell) == ("", [(code, suggestion, True)])
    if suggestion:
        assert judged(suggestion) == (suggestion, [])


@pytest.mark.parametrize(
    ("cell", "correct"),
    [
        ("ann@gmial.com", "gmail.com"),
        ("ann@gamil.com", "gmail.com"),
        ("ann@gmail.con", "gmail.com"),
        ("ann@gmai.com", "gmail.com"),
        ("ann@gmail.co", "gmail.com"),
        ("ann@gnail.con", "gmail.com"),
        ("ann@hotmial.co.uk", "hotmail.co.uk"),
        ("ann@hotmail.cm", "hotmail.com"),
        ("ann@yaho.com", "yahoo.com"),
        ("ann@outlok.com", "outlook.com"),
        ("ann@iclod.com", "icloud.com"),
        ("ann@aol.con", "aol.com"),
        ("ann@wandoo.fr", "wanadoo.fr"),
    ],
)
def test_a_mistyped_provider_is_a_warning_with_the_right_address(cell: str, correct: str) -> None:
    """The address stands as written; only advice is given."""
    assert judged(cell) == (cell, [("email-domain-typo", f"ann@{correct}", False)])


@pytest.mark.parametrize(
    "domain",
    REAL_DOMAINS.split(),
)
def test_real_domains_are_never_called_mistyped(domain: str) -> None:
    """A provider's own domain, or a real one that resembles it, earns no advice."""
    assert correct_domain(domain) is None
    assert judged(f"ann.lee@{domain}") == (f"ann.lee@{domain}", [])


@pytest.mark.parametrize(
    "cell",
    ["test@test.com", "noemail@shop.de", "ann@example.com", "ann@mail.example.org", "asdf@asdf.com", "None@shop.de"],
)
def test_placeholders_are_warned_about(cell: str) -> None:
    """Klaviyo drops such addresses, so they are said before."""
    assert judged(cell) == (cell, [("email-placeholder", "", False)])


def test_role_mailboxes_are_warned_about_and_lower_cased() -> None:
    """RFC 2142 names are the same mailbox in any case, and email-validator folds them."""
    assert judged("INFO@Shop.de") == ("info@shop.de", [("email-role", "", False)])


def test_positions_count_within_the_column_over_chunks() -> None:
    """A chunked column is one column."""
    column = pa.chunked_array([["ann@shop.de", "bad"], [None, "worse"], ["test@test.com"]])
    verdicts = judge_emails(column)
    assert verdicts.normal.to_pylist() == ["ann@shop.de", "", "", "", "test@test.com"]
    assert [(each.position, each.code) for each in verdicts.findings] == [
        (1, "email-invalid"),
        (3, "email-invalid"),
        (4, "email-placeholder"),
    ]


def test_no_finding_holds_the_value_in_its_detail() -> None:
    """Personal data stays out of reports (promise 9)."""
    cells = ["secretname@gmial.com", "secretname@", "secretname@test.com", "secretname@x.de;secretname2@x.de"]
    details = " ".join(each.detail for each in judge_emails(pa.array(cells)).findings)
    assert "secretname" not in details


def test_an_empty_column_has_no_verdicts() -> None:
    """Zero rows in, zero rows out."""
    verdicts = judge_emails(pa.array([], pa.string()))
    assert (len(verdicts.normal), verdicts.findings) == (0, ())


@pytest.mark.parametrize(
    ("domain", "meant"),
    [
        ("mapleshop.con", "mapleshop.com"),
        ("mapleshop.cmo", "mapleshop.com"),
        ("mapleshop.c", "mapleshop.com"),
        ("gmail.c", "gmail.com"),
        ("mail.shop.co.comm", "mail.shop.co.com"),
        ("bell.nte", "bell.net"),
        ("club.ogr", "club.org"),
        ("web.d", "web.de"),
        ("shop.co.u", ""),
    ],
)
def test_an_ending_that_no_domain_has_is_said(domain: str, meant: str) -> None:
    """The ending of any domain is looked at, not of large providers alone; what was meant is said where it is clear."""
    suggestion = f"ann@{meant}" if meant else ""
    assert judged(f"ann@{domain}") == (f"ann@{domain}", [("email-domain-typo", suggestion, False)])


@pytest.mark.parametrize(
    "domain", ["shop.co", "shop.cm", "shop.om", "shop.ne", "shop.bet", "shop.ne.jp", "shop.me", "shop.inc"]
)
def test_endings_that_exist_are_left_alone(domain: str) -> None:
    """Colombia, Cameroon, Oman, Niger and the new endings are one letter from others, and real."""
    assert judged(f"ann@{domain}") == (f"ann@{domain}", [])
