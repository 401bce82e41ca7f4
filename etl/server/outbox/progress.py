"""How far a form has come, and what its next step is. Pure.

A subscribe call may mail somebody, so it is noted before it leaves, and after a lost answer Klaviyo is asked what it
did. What Klaviyo does not show after a while has not arrived, and goes again: consent that was given is not forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

import orjson

from etl.klaviyo import Reply, ReplyKind
from etl.load import ConsentVerdict

_MOST_LOST: Final = 3
"""Subscribe calls without an answer, each of which may have mailed somebody."""
_MOST_FAILED: Final = 100
"""Subscribe calls answered by a server error, which most likely mailed nobody."""
_LONGEST_DOUBT: Final = 300.0
_UNSEEN_FOR: Final = 600.0
"""Seconds after which a profile that Klaviyo has taken and does not show is given up."""


class Step(StrEnum):
    """What is to be done about one wish to be subscribed."""

    ASK = "ask"
    SENT = "sent"
    ALREADY = "already"
    WITHHELD = "withheld"
    WAIT = "wait"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Asked:
    """Subscribe calls that may have arrived. ``at``: of the last, epoch seconds; ``lost`` ones had no answer."""

    at: float
    lost: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Progress:
    """The steps that are done. By channel: ``consents``, what became of a wish; ``asked``, what nobody knows yet.

    ``linked``: whether Klaviyo was asked by what else the person is known; ``unseen_since``: since when Klaviyo does
    not show the profile, epoch seconds.
    """

    profile_id: str = ""
    created: bool = False
    warnings: tuple[str, ...] = ()
    linked: bool = False
    listed: bool = False
    consents: Mapping[str, str] = field(default_factory=dict)
    asked: Mapping[str, Asked] = field(default_factory=dict)
    unseen_since: float | None = None

    @classmethod
    def read(cls, text: str) -> Progress:
        """Undo :meth:`text`."""
        if not text:
            return cls()
        stored: dict[str, Any] = orjson.loads(text)
        stored["warnings"] = tuple(stored["warnings"])
        stored["asked"] = {channel: Asked(**asked) for channel, asked in stored["asked"].items()}
        return cls(**stored)

    def text(self) -> str:
        """Return it as JSON. No personal data."""
        return orjson.dumps(asdict(self)).decode()

    def settled(self, channel: str, verdict: str) -> Progress:
        """Return it with what became of a wish."""
        asked = {name: asked for name, asked in self.asked.items() if name != channel}
        return replace(self, consents={**self.consents, channel: verdict}, asked=asked)

    def asking(self, channel: str, now: float) -> Progress:
        """Return it with a call that is about to leave: lost, until an answer says otherwise."""
        before = self.asked.get(channel, Asked(now))
        return replace(self, asked={**self.asked, channel: replace(before, at=now, lost=before.lost + 1)})

    def answered(self, channel: str, reply: Reply) -> Progress:
        """Return it with an answer that is no success to the call that left last."""
        asked = self.asked[channel]
        if reply.kind is ReplyKind.UNAVAILABLE:
            asked = replace(asked, lost=asked.lost - 1, failed=asked.failed + 1)
        elif not reply.kind.is_uncertain:
            asked = replace(asked, lost=asked.lost - 1)
        return replace(self, asked={**self.asked, channel: asked})


def next_step(gate: ConsentVerdict, asked: Asked | None, doubt: float) -> Step:
    """Return what to do about a wish. ``gate``: what a look a moment ago says; ``asked``: calls that may have arrived.

    ``doubt``: seconds that the last of them may still take to show, see :func:`doubt_of`.
    """
    if gate is ConsentVerdict.ALREADY:
        return Step.SENT if asked is not None and asked.lost + asked.failed > 0 else Step.ALREADY
    if gate is ConsentVerdict.WITHHOLD:
        return Step.WITHHELD
    return Step.ASK if gate is ConsentVerdict.SEND and doubt <= 0.0 else Step.WAIT


def doubt_of(asked: Asked | None, now: float, visible_after: float) -> float:
    """Return the seconds that a call may still take to show: longer from failure to failure.

    ``visible_after``: seconds that a write may take until a reader sees it.
    """
    if asked is None or asked.lost + asked.failed == 0 or asked.at > now:
        return 0.0
    patience = min(visible_after * 2.0 ** min(max(asked.failed - 1, 0), 20), _LONGEST_DOUBT)
    return max(asked.at + patience - now, 0.0)


def is_hopeless(asked: Asked | None) -> bool:
    """Whether too many calls may have arrived already to send one that could mail somebody once more."""
    return asked is not None and (asked.lost >= _MOST_LOST or asked.failed >= _MOST_FAILED)


def is_lost(progress: Progress, now: float) -> bool:
    """Whether a profile has not been shown for so long that it will not be."""
    return progress.unseen_since is not None and now - progress.unseen_since > _UNSEEN_FOR
