"""What Klaviyo asks of a profile, as a pandera schema over strings.

Columns are targets of the mapping (``email``, ``location.city`` ...); which of them exist, the mapping decides. Every
cell is text, an empty one is ``""`` and always passes: whether a cell is required is a rule of the mapping. A check's
name is the code that a failing row gets (``etl/codes.py``).

E-mails and phones are judged before this schema, by their reference libraries. A schema of one's own may derive from
:class:`Profile` and add fields and checks::

    class Customer(Profile):
        plan: Series[str] | None = pa.Field(alias="properties.plan", isin=["", "free", "pro"])
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit
from zoneinfo import available_timezones

import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

from schemas.columns import each, matches, no_longer_than, within
from schemas.locales import is_locale

EXTERNAL_ID_LENGTH: Final = 255
"""Klaviyo's limit in characters; learnt from Segment's connector, which met it in production (reference 5.3)."""

LATITUDE: Final = 90.0
LONGITUDE: Final = 180.0

_IDENTIFIERS: Final = ("email", "phone_number", "external_id")

# Shapes (RE2) that settle a whole column at once; each accepts only what the judge of single cells accepts too.
_SCIENTIFIC: Final = r"\A[0-9](?:[.,][0-9]+)?[Ee]\+[0-9]{2,3}\z"  # as Excel and its kin write it
_OCTET: Final = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4: Final = rf"\A{_OCTET}(?:\.{_OCTET}){{3}}\z"
_URL: Final = r"\A[Hh][Tt][Tt][Pp][Ss]?://[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,4})?(?:[/?#][!-~]*)?\z"


# Names in the zone database that are no place: what the machine is set to, and "nobody has set it".
_NO_PLACE: Final = frozenset({"localtime", "posixrules", "Factory"})


@lru_cache(maxsize=1)
def timezones() -> frozenset[str]:
    """Return the names of the IANA zones. Listing them reads the disk, hence once."""
    return frozenset(available_timezones() - _NO_PLACE)


def is_address(text: str) -> bool:
    """Whether ``text`` is an IPv4 or IPv6 address, without a zone (``%eth0``), which means nothing elsewhere."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def is_url(text: str) -> bool:
    """Whether ``text`` is an absolute http or https address with a host, without spaces."""
    try:
        parts = urlsplit(text)
        _ = parts.port  # is read only now; raises on "https://x:y"
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and re.search(r"\s", text) is None


class Profile(pa.DataFrameModel):
    """A profile as Klaviyo accepts it: text cells under the names of the mapping's targets."""

    email: Series[str] | None
    phone_number: Series[str] | None
    external_id: Series[str] | None
    first_name: Series[str] | None
    last_name: Series[str] | None
    organization: Series[str] | None
    title: Series[str] | None
    locale: Series[str] | None
    image: Series[str] | None
    timezone: Series[str] | None = pa.Field(alias="location.timezone")
    latitude: Series[str] | None = pa.Field(alias="location.latitude")
    longitude: Series[str] | None = pa.Field(alias="location.longitude")
    ip: Series[str] | None = pa.Field(alias="location.ip")

    class Config:
        """Custom properties are the mapping's business."""

        strict = False

    @pa.dataframe_check(name="identifier-missing", n_failure_cases=1)
    @classmethod
    def identifier_required(cls, frame: pd.DataFrame) -> pd.Series[bool]:
        """Ask for an e-mail, phone or external id: without one Klaviyo answers 400 (reference 3.1)."""
        known = pd.Series(data=False, index=frame.index)
        for name in _IDENTIFIERS:
            if name in frame.columns:
                known |= (frame[name].fillna("") != "").astype(bool)
        return known

    @pa.check("external_id", name="external-id-too-long", n_failure_cases=1)
    @classmethod
    def external_id_fits(cls, cells: Series[str]) -> pd.Series[bool]:
        """Allow at most 255 characters."""
        return no_longer_than(cells, EXTERNAL_ID_LENGTH)

    @pa.check("external_id", name="external-id-spreadsheet-number", n_failure_cases=1)
    @classmethod
    def external_id_kept_its_digits(cls, cells: Series[str]) -> pd.Series[bool]:
        """Refuse ``1.23457E+11``: its last digits are gone, and different customers would share what is left."""
        return ~matches(cells, _SCIENTIFIC)

    @pa.check("locale", name="locale-invalid", n_failure_cases=1)
    @classmethod
    def locale_is_bcp47(cls, cells: Series[str]) -> pd.Series[bool]:
        """Ask for a BCP 47 tag such as ``en-US`` (reference 5.4)."""
        return each(cells, is_locale)

    @pa.check("location.timezone", name="timezone-invalid", n_failure_cases=1)
    @classmethod
    def timezone_is_iana(cls, cells: Series[str]) -> pd.Series[bool]:
        """Ask for an IANA zone such as ``America/New_York`` (reference 5.4)."""
        return each(cells, timezones().__contains__)

    @pa.check("location.latitude", name="coordinate-invalid", n_failure_cases=1)
    @classmethod
    def latitude_exists(cls, cells: Series[str]) -> pd.Series[bool]:
        """Ask for degrees, -90 to 90."""
        return within(cells, LATITUDE)

    @pa.check("location.longitude", name="coordinate-invalid", n_failure_cases=1)
    @classmethod
    def longitude_exists(cls, cells: Series[str]) -> pd.Series[bool]:
        """Ask for degrees, -180 to 180."""
        return within(cells, LONGITUDE)

    @pa.check("location.ip", name="ip-invalid", n_failure_cases=1)
    @classmethod
    def ip_is_an_address(cls, cells: Series[str]) -> pd.Series[bool]:
        """Ask for IPv4 or IPv6."""
        return each(cells, is_address, _IPV4)

    @pa.check("image", name="url-invalid", n_failure_cases=1)
    @classmethod
    def image_is_a_url(cls, cells: Series[str]) -> pd.Series[bool]:
        """Ask for http or https, with a host (reference 5.4)."""
        return each(cells, is_url, _URL)
