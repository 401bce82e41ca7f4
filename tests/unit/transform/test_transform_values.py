"""docs/values.md is true: every row of its tables, run through both stages."""

from __future__ import annotations

import orjson
import pytest

from etl.codes import CODES, consent, events
from etl.model import Severity, Stage
from tests.support.docs_tables import ABSENT, NOTHING, REFUSED, Rule, at, both, frame, mapped, rules

RULES = list(rules())
ELSEWHERE = {
    "profile-too-large",
    "date-in-future",
    "transform-failed",
    "row-rule-failed",
    "row-rule-broken",
    *(code.id for code in (*consent.CODES, *events.CODES)),
}
CELL_CODES = {code.id for code in CODES.values() if code.stage is Stage.TRANSFORM} - ELSEWHERE


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_the_table_says_what_happens(rule: Rule) -> None:
    """Value, code, severity and fate are those of the page."""
    mapping = mapped(rule.options)
    source = {"C": [rule.cell]} if rule.options.get("to") == "email" else {"E": ["ann@shop.de"], "C": [rule.cell]}
    validated, transformed = both(mapping, frame(source))
    issues = [issue for issue in (*validated.issues, *transformed.issues) if issue.code != "identifier-missing"]
    assert [issue.code for issue in issues] == ([rule.code] if rule.code else [])
    assert all(issue.line == 2 and issue.column == "C" for issue in issues)
    refused = bool(validated.rejected | transformed.rejected)
    assert refused == (rule.sent == REFUSED)
    assert [issue.severity for issue in issues] == [Severity.ERROR if refused else Severity.WARNING] * len(issues)
    if refused:
        assert not transformed.records
        return
    (record,) = transformed.records
    sent = at(record.body, rule.options.get("to", "properties.x"))
    assert sent == ABSENT if rule.sent == NOTHING else orjson.dumps(sent).decode() == rule.sent
    assert record.clears == (sent is None)
    # Promise 9: what goes into reports tells nothing of the cell.
    assert not rule.cell or not any(len(rule.cell) > 3 and rule.cell in issue.detail for issue in issues)


def test_the_page_has_every_type_and_every_code_of_a_cell() -> None:
    """A new type or code needs its rows on the page."""
    assert len(RULES) > 200
    assert {rule.options["type"] for rule in RULES if "type" in rule.options} == {
        "text", "integer", "decimal", "boolean", "date", "datetime", "list", "money", "json",
    }  # fmt: skip
    assert CELL_CODES - {rule.code for rule in RULES} == set()
