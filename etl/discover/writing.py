"""A proposal as a mapping file: TOML that runs as it is, with a comment on every line that says why."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Mapping
from typing import Any, Final

from etl.discover.proposal import ColumnProposal, Proposal

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_WIDTH: Final = 110


def mapping_text(proposal: Proposal, *, source: Mapping[str, Any], name: str) -> str:
    """Return the file. ``source``: keys of [source]; ``name``: what people call the source."""
    parts = [_head(proposal, name), _section("source", source)]
    if proposal.event:
        parts.append(_section("event", proposal.event) + _EVENT)
    defaults = {"country": proposal.country, "country_column": proposal.country_column}
    if any(defaults.values()):
        parts.append(_section("defaults", {key: value for key, value in defaults.items() if value}))
    parts.append(_columns(proposal))
    if proposal.computed:
        parts.append(_section("computed", proposal.computed))
    if proposal.every_row is not None:
        parts.append(_section("consent", {"every_row": proposal.every_row}))
    if proposal.profile:
        parts.append(_section("profile", proposal.profile))
    parts.append(_GUARDS if proposal.event else _LOAD + "\n" + _GUARDS)
    return "\n".join(parts)


_EVENT: Final = """\
# items_as = "Ordered Product"   # and one more event for each item
# currency = "EUR"               # of amounts whose row names none
"""
_LOAD: Final = """\
[load]
# list = "Newsletter"        # every row is added to this list; without one, profiles only
# only_changed = true        # for a nightly run: rows that equal the last confirmed import are not sent
"""
_GUARDS: Final = """\
[guards]
# max_rejected_percent = 5   # stops a bad export before anything is sent
# min_rows = 100
"""


def _head(proposal: Proposal, name: str) -> str:
    lines = [
        f"Made by klaviyo-etl init from {_one_line(name)}: {proposal.rows:,} rows, {len(proposal.columns)} columns."
    ]
    if proposal.preset is not None:
        lines.append(
            f"Recognised: {proposal.preset.name} ({100 * proposal.preset_share:.0f} % of the columns are known)."
        )
    if proposal.event:
        known = f"Recognised: {proposal.export}. " if proposal.export else ""
        lines.append(f"{known}A mapping of events: klaviyo-etl events FILE takes it, see klaviyo-etl docs events.")
    lines.append("Every line says how full its column is, and which share of its cells the import would take.")
    lines += [f"{'Taken' if advice.sure else 'Not sure'}: {_one_line(advice.text)}" for advice in proposal.advice]
    return "".join(f"# {part}\n" for line in lines for part in textwrap.wrap(line, _WIDTH))


def _section(name: str, keys: Mapping[str, Any]) -> str:
    return f"[{name}]\n" + "".join(f"{_key(key)} = {_value(value)}\n" for key, value in keys.items())


def _columns(proposal: Proposal) -> str:
    lines = ["[columns]"]
    lines += [_column(column) for column in proposal.columns if column.rule is not None]
    left = [column for column in proposal.columns if column.rule is None]
    if left:
        lines += ["", "# Not imported:"]
        lines += [f"# {_key(column.facts.header)}: {_one_line(column.why)}" for column in left]
    return "\n".join(lines) + "\n"


def _column(column: ColumnProposal) -> str:
    rule = dict(column.rule or {})
    value = _value(rule["to"]) if set(rule) == {"to"} else _value(rule)
    valid = "" if column.valid is None else f", {100 * column.valid:.0f} % valid"
    told = f"{100 * column.facts.share_filled:.0f} % filled{valid}; {_one_line(column.why)}"
    return f"{_key(column.facts.header)} = {value}  # {told}"


def _key(header: str) -> str:
    return header if _BARE.fullmatch(header) else _text(header)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(str(key))} = {_value(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return _text(str(value))


def _text(text: str) -> str:
    # JSON's escapes are TOML's, but for DEL.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _one_line(text: str) -> str:
    # A comment holds no control characters.
    return "".join(letter if letter.isprintable() else " " for letter in text)
