"""Exports that are known: their columns by header, in ``schemas/presets/*.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

_MIN_SHARE: Final = 0.6
_MIN_TELLING: Final = 2


@dataclass(frozen=True, slots=True)
class Preset:
    """One kind of export. ``columns``: header → column rule as the mapping has it; ``telling``: headers only it has."""

    key: str
    name: str
    columns: Mapping[str, Any]
    ignored: Mapping[str, str]
    telling: frozenset[str]
    profile: Mapping[str, Any]

    def share(self, headers: Sequence[str]) -> float:
        """Return the share of the headers that this preset knows."""
        known = sum(header in self.columns or header in self.ignored for header in headers)
        return known / max(len(headers), 1)


@cache
def load_presets() -> tuple[Preset, ...]:
    """Return the presets, by key."""
    presets = []
    for entry in sorted(files("schemas").joinpath("presets").iterdir(), key=lambda entry: entry.name):
        key, _, ending = entry.name.rpartition(".")
        if ending != "toml" or key == "synonyms":
            continue
        document = tomllib.loads(entry.read_text(encoding="utf-8"))
        presets.append(
            Preset(
                key,
                document["name"],
                document["columns"],
                document.get("ignored", {}),
                frozenset(document["telling"]),
                document.get("profile", {}),
            )
        )
    return tuple(presets)


def recognise(headers: Sequence[str]) -> Preset | None:
    """Return the preset that knows most of these headers, if that is most of them, and some are only its own."""
    fitting = [
        preset
        for preset in load_presets()
        if preset.share(headers) >= _MIN_SHARE and len(preset.telling & set(headers)) >= _MIN_TELLING
    ]
    return max(fitting, key=lambda preset: preset.share(headers), default=None)
