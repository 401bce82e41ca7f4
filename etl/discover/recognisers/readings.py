"""Questions about cells that can be read in several ways: each choice shows what it makes of some of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from etl.discover.drafts import Draft, Probes, Question
from etl.discover.types import Guess

_MAX_LOOKED_AT: Final = 1_000
_SHOWN_CELLS: Final = 2


def ask_reading(
    draft: Draft, guess: Guess, choices: Mapping[str, str], otherwise: dict[str, Any], probes: Probes
) -> Question:
    """Return the question which of several readings is meant.

    ``choices``: one for each of the guess's other rules, and last the safe one, under which the rule is ``otherwise``.
    """
    *_, safe = choices
    read = [*guess.others, otherwise]
    telling = _telling(guess.others, draft.facts.cells, probes)
    cells = {
        choice: ", ".join(f"{cell} → {probes.preview(rule, cell)}" for cell in telling)
        for choice, rule in zip(choices, read, strict=True)
    }
    text = f"{draft.facts.header!r}: {guess.evidence}."
    return Question(draft.facts.header, text, choices, safe, cells=cells)


def _telling(rules: Sequence[Mapping[str, Any]], cells: Sequence[str], probes: Probes) -> list[str]:
    """Return some cells that these rules read in different ways."""
    some = list(dict.fromkeys(cells))[:_MAX_LOOKED_AT]
    different = [cell for cell in some if len({probes.preview(dict(rule), cell) for rule in rules}) > 1]
    return (different or some)[:_SHOWN_CELLS]
