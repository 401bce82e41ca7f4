"""Verify: what reading back showed."""

from __future__ import annotations

from typing import Final

from etl.codes.base import Code
from etl.model import Stage

CODES: Final = (
    Code(
        "verify-missing",
        Stage.VERIFY,
        "Klaviyo confirmed the row, but does not show the profile",
        "klaviyo-etl retry sends it again; so does the next run. Klaviyo drops addresses it takes for fakes.",
    ),
    Code(
        "verify-unseen",
        Stage.VERIFY,
        "Klaviyo showed neither this row nor any other",
        "Run klaviyo-etl verify again later; klaviyo-etl retry sends it again.",
    ),
    Code(
        "verify-differs",
        Stage.VERIFY,
        "Klaviyo's values differ from what was sent",
        "klaviyo-etl retry sends it again; so does the next run. Something else may write these fields too.",
    ),
)
