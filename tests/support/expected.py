"""Reading the truth files of the sample data, and comparing a run with them."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from etl.state import Store
from tests.support.paths import ROOT

SAMPLES = ROOT / "sample_data"
EXPORTS = ("hubspot_contacts", "salesforce_contacts", "shopify_customers", "mailchimp_audience")


@dataclass(frozen=True)
class ExpectedRow:
    """One line of a truth file."""

    line: int
    outcome: str
    codes: tuple[str, ...]
    merged_into: int | None
    profile: dict[str, Any] | None
    lists: tuple[str, ...]


def truth(name: str) -> dict[int, ExpectedRow]:
    with (SAMPLES / "truth" / f"{name}.jsonl").open(encoding="utf-8") as lines:
        documents = [json.loads(line) for line in lines]
    return {
        item["line"]: ExpectedRow(
            item["line"],
            item["outcome"],
            tuple(item["codes"]),
            item.get("merged_into"),
            item.get("profile"),
            tuple(item.get("lists", ())),
        )
        for item in documents
    }


def actual_rows(store: Store, run_id: str) -> dict[int, tuple[str, tuple[str, ...]]]:
    """Return line → outcome and the codes of its issues."""
    codes: dict[int, set[str]] = defaultdict(set)
    for issue in store.issues.all(run_id):
        if issue.line:
            codes[issue.line].add(issue.code)
    return {
        line: (str(outcome), tuple(sorted(codes.get(line, ())))) for line, outcome, _ in store.rows.outcomes(run_id)
    }


def expected(told: dict[int, ExpectedRow]) -> dict[int, tuple[str, tuple[str, ...]]]:
    return {line: (one.outcome, one.codes) for line, one in told.items()}
