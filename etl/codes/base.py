"""What a code is."""

from __future__ import annotations

from dataclasses import dataclass

from etl.model import Stage


@dataclass(frozen=True, slots=True)
class Code:
    """One kind of issue: its stable id, the stage that raises it, a short title and the next thing to do."""

    id: str
    stage: Stage
    title: str
    hint: str
