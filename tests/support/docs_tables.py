"""The tables of docs/values.md as data, and the two stages that run them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
import pandas as pd

from etl.config import Mapping, parse_mapping
from etl.model import Transformed, Validated
from etl.transform import Transformer
from etl.validate import DamageJudge, Validator
from tests.support.paths import PAGES

PAGE = PAGES / "values.md"
HEADER = "| Options | Cell | Sent | Code |"
NOTHING, REFUSED = "nothing", "row refused"
ABSENT = object()
NOW = datetime(2026, 11, 28, 12, tzinfo=UTC).timestamp()
"""The day on which the page is read."""


@dataclass(frozen=True)
class Rule:
    """One row of a table."""

    section: str
    options: dict[str, Any]
    cell: str
    sent: str
    code: str

    def __str__(self) -> str:
        return f"{self.section}: {self.options} {self.cell[:40]!r}"


def rules() -> Iterator[Rule]:
    section, inside = "", False
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            section = line.strip("# ")
        inside = line.startswith("|") and (inside or line == HEADER)
        if inside and line != HEADER and not line.startswith("|---"):
            options, cell, sent, code = (part[1:-1] for part in re.split(r"(?<!\\)\|", line)[1:-1])
            yield Rule(
                section,
                tomllib.loads(f"rule = {{ {code_span(options)} }}")["rule"],
                re.sub(r"\\u([0-9a-f]{4})", lambda found: chr(int(found[1], 16)), code_span(cell)),
                code_span(sent) if sent.startswith("`") else sent,
                code_span(code) if code else "",
            )


def code_span(text: str) -> str:
    assert len(text) >= 2, text
    assert text[0] == text[-1] == "`", text
    return text[1:-1].replace("\\|", "|")


def frame(rows: dict[str, list[str]], first: int = 2) -> pd.DataFrame:
    count = len(next(iter(rows.values())))
    return pd.DataFrame(rows, dtype="str", index=pd.RangeIndex(first, first + count, name="line"))


def both(mapping: Mapping, source: pd.DataFrame) -> tuple[Validated, Transformed]:
    """Validate and transform, as staging does."""
    whole, damage = DamageJudge(mapping).judge(source)
    validated = Validator(mapping, tuple(source.columns)).validate(whole, damage)
    return validated, Transformer(mapping, NOW).transform(validated.frame)


def mapped(rule: dict[str, Any], **sections: Any) -> Mapping:
    """Return a mapping of one column ``C`` by this rule, and of ``E`` to the e-mail if the rule is not that."""
    rule = {"to": "properties.x", **rule}
    columns = {"C": rule} if rule["to"] == "email" else {"E": "email", "C": rule}
    return parse_mapping({"defaults": {"country": "US"}, "columns": columns, **sections})


def at(body: bytes, target: str) -> Any:
    """Return the value of a target in a record's body, :data:`ABSENT` where the body does not hold it."""
    place: Any = orjson.loads(body)["attributes"]
    if target == "$value":
        target = "properties.$value"
    section, dot, name = target.partition(".")
    if dot:
        place = place.get(section, {})
        target = name
    return place.get(target, ABSENT)
