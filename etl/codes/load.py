"""Load: Klaviyo's answers."""

from __future__ import annotations

from typing import Final

from etl.codes.base import Code
from etl.model import Stage

CODES: Final = (
    Code(
        "forgotten",
        Stage.LOAD,
        "This person was deleted or forgotten at their request",
        "The profile is not created again. If the person came back: klaviyo-etl forget --allow WHO.",
    ),
    Code(
        "klaviyo-invalid",
        Stage.LOAD,
        "Klaviyo refused the row",
        "The detail is Klaviyo's own; correct the cell and run the rejects file.",
    ),
    Code(
        "klaviyo-duplicate",
        Stage.LOAD,
        "Identifiers belong to different profiles in Klaviyo",
        "Merge those profiles in Klaviyo, drop one identifier from the row, or set [profile] on_conflict.",
    ),
    Code(
        "merge-withheld",
        Stage.LOAD,
        "Profiles were not merged: the merge could make an opted-out person mailable, or join two people",
        "The detail says why; nothing of the row was sent. Merge them in Klaviyo if they are one person.",
    ),
    Code(
        "merge-refused",
        Stage.LOAD,
        "Klaviyo refused to merge the profiles",
        "Nothing of the row was sent; retry tries again.",
    ),
    Code(
        "merge-unproven",
        Stage.LOAD,
        "Klaviyo accepted the merge, but still shows two profiles",
        "Nothing of the row was sent. Look at both profiles in Klaviyo, then retry.",
    ),
    Code(
        "phone-left-out",
        Stage.LOAD,
        "Phone belongs to another profile in Klaviyo: sent without it",
        'on_conflict = "drop_phone" asks for that; no consent was sent for this phone.',
    ),
    Code(
        "klaviyo-error",
        Stage.LOAD,
        "Klaviyo answers this row with an error of its own, each time, while others pass",
        "Look for what is unusual in the row; if nothing is, send it again with klaviyo-etl retry, or ask Klaviyo.",
    ),
    Code(
        "klaviyo-too-large",
        Stage.LOAD,
        "Klaviyo found the profile too large",
        "Shorten or unmap the longest column.",
    ),
    Code(
        "klaviyo-error",
        Stage.LOAD,
        "Klaviyo fails whenever this row is sent",
        "The detail is Klaviyo's own; check the row, then run klaviyo-etl retry.",
    ),
    Code(
        "job-cancelled",
        Stage.LOAD,
        "Klaviyo cancelled the job",
        "Run klaviyo-etl retry to send these rows again.",
    ),
    Code(
        "job-expired",
        Stage.LOAD,
        "The job expired before its result was read",
        "Run klaviyo-etl verify to see what arrived, then retry.",
    ),
    Code(
        "result-unproven",
        Stage.LOAD,
        "Sent, but the result could not be proved",
        "Run klaviyo-etl verify, then retry what is missing.",
    ),
    Code(
        "profile-not-found",
        Stage.LOAD,
        "Klaviyo reported success, but does not show the profile",
        "Klaviyo drops addresses it takes for fakes; check it, then retry.",
    ),
    Code(
        "list-add-failed",
        Stage.LOAD,
        "Profile is in Klaviyo but not on the list",
        "Check that the list still exists, then retry.",
    ),
    Code(
        "list-remove-failed",
        Stage.LOAD,
        "Profile is in Klaviyo but was not taken off the list",
        "Take it off in Klaviyo, or retry.",
    ),
    Code(
        "gave-up",
        Stage.LOAD,
        "Klaviyo accepted the batch in none of the attempts",
        "Run klaviyo-etl retry once Klaviyo is well again.",
    ),
    Code(
        "list-unknown",
        Stage.LOAD,
        "The list named in the row does not exist",
        "Create it in Klaviyo or set create_list = true.",
    ),
    Code(
        "phone-dropped",
        Stage.LOAD,
        "Klaviyo kept the profile but not the phone",
        "Klaviyo does this in silence for numbers it cannot text; check the number.",
    ),
    Code(
        "property-not-list",
        Stage.LOAD,
        "Klaviyo holds a value there that is not a list",
        "It was left unchanged, as only lists have items. Make it a list in Klaviyo, or write the whole value.",
    ),
)
