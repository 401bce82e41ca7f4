"""Which spellings are one address, and which are two."""

# ruff: noqa: RUF001 - letters that look like others are what this is about
from __future__ import annotations

import unicodedata

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from etl.identity import EMAIL, PHONE, email_key, identity_key, opt_out_key, phone_key
from etl.transform.record import identity
from etl.transform.record_columns import identities

ONE_MAILBOX = [
    ("Ann@MapleShop.com", "ann@mapleshop.com"),
    ("ann@mapleshop.com.", "ann@mapleshop.com"),
    ("ann@müller.de", "ann@xn--mller-kva.de"),
    ("ANN@XN--MLLER-KVA.DE", "ann@Müller.de"),
    ("ann@mu\u0308ller.de", "ann@müller.de"),
    ("jose\u0301@shop.es", "josé@shop.es"),
    ("ANN@STRAẞE.DE", "ann@straße.de"),
    ("ann@xn--strae-oqa.de", "ann@straße.de"),
    ("ann@mapleshop。jp", "ann@mapleshop.jp"),
]
TWO_MAILBOXES = [
    ("weiß@mapleshop.de", "weiss@mapleshop.de"),
    ("WEISS@mapleshop.de", "weiß@mapleshop.de"),
    ("ann@straße.de", "ann@strasse.de"),
    ("ann@xn--strae-oqa.de", "ann@strasse.de"),
    ("ann+news@shop.de", "ann@shop.de"),
    ("ﬁ@shop.de", "fl@shop.de"),
    ("müller@shop.de", "muller@shop.de"),
    ("ann@faß.de", "ann@fass.de"),
]
# What only some take for one: an opt-out holds, people are not merged.
WIDE = [
    ("ａｎｎ@mapleshop.com", "ann@mapleshop.com"),
    ("an\u200bn@mapleshop.com", "ann@mapleshop.com"),
    ('"ann"@mapleshop.com', "ann@mapleshop.com"),
    ("Ann Lee <Ann@MapleShop.com>", "ann@mapleshop.com"),
    ("mailto:ann@mapleshop.com", "ann@mapleshop.com"),
    ("ﬁona@mapleshop.com", "fiona@mapleshop.com"),
    ("ΝΙΚΟΣ@shop.gr", "νικοσ@shop.gr"),
]


@pytest.mark.parametrize(("one", "other"), ONE_MAILBOX)
def test_spellings_of_one_mailbox_have_one_key(one: str, other: str) -> None:
    assert email_key(one) == email_key(other)
    assert opt_out_key(EMAIL, one) == opt_out_key(EMAIL, other)


@pytest.mark.parametrize(("one", "other"), TWO_MAILBOXES)
def test_two_mailboxes_are_never_one(one: str, other: str) -> None:
    assert email_key(one) != email_key(other)
    assert opt_out_key(EMAIL, one) != opt_out_key(EMAIL, other)


@pytest.mark.parametrize(("one", "other"), WIDE)
def test_an_opt_out_is_matched_wider_than_people_are_merged(one: str, other: str) -> None:
    assert email_key(one) != email_key(other)
    assert opt_out_key(EMAIL, one) == opt_out_key(EMAIL, other)


@pytest.mark.parametrize(
    "written",
    ["+4915112345678", "+49 151 12345678", "0049 151 12345678", "+49 (0)151 12345678", "tel:+49-151-12345678",
     "\u202a+49 151 12345678\u202c", "＋４９１５１12345678"],
)  # fmt: skip
def test_a_number_has_one_key_however_it_is_written(written: str) -> None:
    assert phone_key(written) == opt_out_key(PHONE, written) == "+4915112345678"


def test_a_national_number_is_not_made_international() -> None:
    assert phone_key("0151 12345678") == "015112345678"
    assert phone_key("n/a") == ""


ADDRESSES = st.builds(
    "{}@{}".format,
    st.text(st.sampled_from('aAnNßẞéE\u0301İıσςΣﬁ.+-\u200b"ａ'), min_size=1, max_size=6),
    st.sampled_from(["shop.de", "Shop.DE", "straße.de", "xn--strae-oqa.de", "müller.de", "mu\u0308ller.de.", "a_b.de"]),
)


@example("\u0130\u0301@shop.de")
@given(ADDRESSES)
def test_keys_are_their_own_keys_and_the_wide_one_holds_the_strict_one(address: str) -> None:
    strict, wide = email_key(address), opt_out_key(EMAIL, address)
    assert email_key(strict) == strict
    assert opt_out_key(EMAIL, wide) == wide
    assert opt_out_key(EMAIL, strict) == wide, "what is merged as one person is one for opt-outs too"
    for form in ("NFC", "NFD"):
        assert email_key(unicodedata.normalize(form, address)) == strict


@given(st.lists(ADDRESSES, min_size=1, max_size=5))
def test_a_column_has_the_identities_of_its_cells(addresses: list[str]) -> None:
    absent = pa.nulls(len(addresses), pa.large_string())
    columns = {"email": pa.array(addresses, pa.large_string()), "phone_number": absent, "external_id": absent}
    together = [each.as_py() for each in identities(("email",), columns)]
    assert together == [identity(("email",), {"email": address}) for address in addresses]


def test_identifiers_of_others_are_left_as_they_are() -> None:
    assert identity_key("external_id", "Äß-0") == opt_out_key("external_id", "Äß-0") == "Äß-0"
