"""Rules across the cells of a row, evaluated over whole chunks by pandas."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd

from etl.config import ConfigMapping, RowRule, field_name
from etl.model import Issue, Severity, Stage
from etl.transform.cells.converters import converter

_NUMBERS: Final = frozenset({"integer", "decimal", "money"})


class RowRules:
    """Judges rows that are valid cell by cell. Dates are compared as ISO text, numbers as numbers, flags as flags."""

    def __init__(self, mapping: ConfigMapping, now: float | None = None) -> None:
        """Take a mapping. ``now``: epoch seconds, for years of two digits."""
        self._mapping = mapping
        self._now = now
        self._targets = {field_name(target): target for target in mapping.by_target}
        self._broken: set[str] = set()

    def judge(self, frame: pd.DataFrame) -> tuple[frozenset[int], tuple[Issue, ...]]:
        """Return the lines that are refused, and the issues. ``frame``: target columns of ``str``, index ``line``."""
        rejected: set[int] = set()
        issues: list[Issue] = []
        for rule in self._mapping.rules:
            failing = self._failing(rule, frame, issues)
            severity = Severity(rule.severity)
            issues += [Issue(line, Stage.TRANSFORM, "row-rule-failed", None, rule.name, severity) for line in failing]
            if severity is Severity.ERROR:
                rejected.update(failing)
        return frozenset(rejected), tuple(issues)

    def _failing(self, rule: RowRule, frame: pd.DataFrame, issues: list[Issue]) -> list[int]:
        fields = {name: self._typed(self._targets[name], frame) for name in rule.names}
        try:
            passed = pd.eval(rule.expression, parser="pandas", engine="python", local_dict=fields, global_dict={})
            mask = np.broadcast_to(np.asarray(passed, dtype=bool), len(frame))
        except Exception as error:  # noqa: BLE001 - whatever pandas makes of it, it is the rule's fault and no row's
            if rule.name not in self._broken:
                self._broken.add(rule.name)
                detail = f"{rule.name}: {type(error).__name__}"
                issues.append(Issue(0, Stage.TRANSFORM, "row-rule-broken", None, detail, Severity.WARNING))
            return []
        return [int(line) for line in frame.index[~mask].tolist()]

    def _typed(self, target: str, frame: pd.DataFrame) -> Any:
        rule = self._mapping.by_target[target][1]
        column = frame[target].fillna("")
        convert = converter(rule, self._mapping.defaults.timezone, self._now)
        if convert is None or rule.type in {"list", "json"}:
            return column
        replacements = {text: _value(convert(text).value) if text else None for text in column.unique().tolist()}
        if rule.type in _NUMBERS:
            return column.map(
                {text: np.nan if value is None else float(value) for text, value in replacements.items()}
            ).astype(float)
        if rule.type == "boolean":
            return column.map({text: bool(value) for text, value in replacements.items()}).astype(bool)
        return column.map({text: value or "" for text, value in replacements.items()}).astype("str")


def _value(value: Any) -> Any:
    return value
