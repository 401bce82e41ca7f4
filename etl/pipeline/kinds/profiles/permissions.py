"""Before a source is read: columns that forbid something and that nobody listens to, and targets that do nothing.

A permission without its prohibition harms people: whoever opted out in a column that is not mapped becomes mailable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from etl.config import CONSENT_PREFIX, PROPERTY_PREFIX, VALUE_TARGET, Mapping, is_reachable, opt_out_target
from etl.errors import GuardError
from etl.pipeline.context import Context
from schemas.opt_outs import Form, Heading, forbids

UNMAPPED: Final = "opt-outs-unmapped"


@dataclass(frozen=True, slots=True)
class Unheard:
    """A column that speaks of opt-outs and changes nothing. ``target``: where it could go."""

    header: str
    heading: Heading
    target: str


def unheard(columns: Sequence[str], mapping: Mapping) -> tuple[Unheard, ...]:
    """Return the columns that forbid contact and that the mapping neither hears nor ignores.

    A column that no address is mapped for is none: nobody is reached there. Nor is the date or the reason of an opt-out
    that another column tells.
    """
    heard = _heard(mapping)
    spoken = {header: heading for header in columns if (heading := forbids(header)) is not None}
    told = {(heading.kind, heading.channel) for header, heading in spoken.items() if header in heard}
    return tuple(
        Unheard(header, heading, opt_out_target(heading))
        for header, heading in spoken.items()
        if header not in heard
        and header not in mapping.consent.ignore
        and is_reachable(opt_out_target(heading), mapping.by_target)
        and not (heading.form is not Form.FLAG and (heading.kind, heading.channel) in told)
    )


def objections(columns: Sequence[str], mapping: Mapping) -> list[str]:
    """Return one sentence per column that would stop a run, for those who only look."""
    return [
        f"column {one.header!r} speaks of {one.heading.kind.value}s and the mapping does nothing with it: map it, such "
        f"as to {one.target}, or name it in ignore of [consent] ({UNMAPPED})"
        for one in unheard(columns, mapping)
    ]


def demand_heard(context: Context, name: str, columns: Sequence[str], mapping: Mapping) -> list[str]:
    """Ask whether people may be imported without what such columns say. Return what was agreed to, for the report.

    Raise :class:`GuardError` where nobody can answer, and for a no. Neither ``--yes`` nor ``--force`` is an answer:
    they are given without a look at the columns.
    """
    found = unheard(columns, mapping)
    if not found:
        return []
    headers = ", ".join(repr(one.header) for one in found)
    said = f"{name}: {headers} speak{'s' if len(found) == 1 else ''} of opt-outs, and the mapping does nothing with it"
    if context.disregard is not None and context.disregard(f"{said}. Import these people as if nobody had opted out?"):
        return [f"opt-outs were disregarded, as was answered: {headers}"]
    ignored = ", ".join(f'"{one.header}"' for one in found)
    raise GuardError(
        UNMAPPED,
        f"{said}; nothing was sent",
        f'Add to [columns]: "{found[0].header}" = {_rule(found[0])}; or, if it means something else, say '
        f"[consent] ignore = [{ignored}]. See klaviyo-etl docs consent.",
    )


def special_targets(mapping: Mapping) -> list[str]:
    """Return one sentence per custom property whose name Klaviyo keeps for itself."""
    usual = {VALUE_TARGET, mapping.profile.value_property}
    return [
        f"{header!r} goes to {target}: Klaviyo keeps names with $ for itself, and {_what(name)}"
        for target, (header, _) in mapping.by_target.items()
        if (name := target.removeprefix(PROPERTY_PREFIX)).startswith("$") and name != target and name not in usual
    ]


def _what(name: str) -> str:
    if "consent" in name:
        return "this gives nobody's consent; see klaviyo-etl docs consent"
    return "what it does with them is not documented; use the plain target, or a name without $"


def _rule(one: Unheard) -> str:
    return f'{{ to = "{one.target}", type = "datetime" }}' if one.target.endswith("_at") else f'"{one.target}"'


def _heard(mapping: Mapping) -> set[str]:
    """Return the headers that go to consent, by themselves or in a computed column."""
    heard = {header for header, rule in mapping.columns.items() if rule.to.startswith(CONSENT_PREFIX)}
    for target, computed in mapping.computed.items():
        if target.startswith(CONSENT_PREFIX):
            heard.update(computed.headers)
    return heard
