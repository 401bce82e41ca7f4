"""Undo: what stays as it is although a run changed it, and why."""

from __future__ import annotations

from typing import Final

from etl.codes.base import Code
from etl.model import Stage

CODES: Final = (
    Code(
        "undo-kept",
        Stage.LOAD,
        "Somebody changed this since: it was kept",
        "Only what Klaviyo still has as the run left it goes back. Correct it in Klaviyo if it is wrong.",
    ),
    Code(
        "undo-list-kept",
        Stage.LOAD,
        "The membership was kept: the person joined the list again since, or the list is gone",
        "The detail names the list.",
    ),
    Code(
        "undo-unread",
        Stage.LOAD,
        "What was there before the run could not be read: it was kept",
        "What nobody knows is never guessed. Look at the profile in Klaviyo.",
    ),
    Code(
        "undo-no-before",
        Stage.LOAD,
        "The run kept nothing of what this row's profile had before",
        "Only rows sent with keep_before = true, or --undoable, can be undone.",
    ),
    Code(
        "undo-profile-gone",
        Stage.LOAD,
        "The profile is not in Klaviyo any more: deleted, or merged into another one",
        "There is nothing to put back.",
    ),
    Code(
        "undo-created-left",
        Stage.LOAD,
        "The run created this profile: it stays",
        "created.csv in the run's folder lists them all; undo --delete-created has them deleted.",
    ),
    Code(
        "undo-deleted",
        Stage.LOAD,
        "The run created this profile: Klaviyo was asked to delete it, for good",
        "Klaviyo deletes it within the time that it gives itself, and does not tell when.",
    ),
    Code(
        "undo-not-ours",
        Stage.LOAD,
        "The profile was not made while the run wrote: it was kept",
        "Somebody else made it, before or since. Nothing was done about it.",
    ),
    Code(
        "undo-consent-left",
        Stage.LOAD,
        "The run gave this consent: it stays",
        "consents.csv in the run's folder lists them; undo --consents takes them back.",
    ),
    Code(
        "undo-consent-kept",
        Stage.LOAD,
        "The person has consented of their own accord since: it was kept",
        "What a person says themselves counts, and no run undoes it.",
    ),
    Code(
        "undo-consent-taken",
        Stage.LOAD,
        "The run took this consent: it is never given back",
        "consents.csv in the run's folder lists the people: only they can consent again.",
    ),
)
