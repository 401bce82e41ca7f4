"""A pandera schema of one's own, named in the mapping: what it may do, and whose fault it is when it breaks."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from etl.config import parse_mapping
from etl.errors import ConfigError
from etl.model import Severity, Validated
from etl.validate import Validator
from tests.support.docs_tables import frame
from tests.support.paths import PAGES

Judge = Callable[..., Validated]
HEAD = """
import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series
from schemas.profile import Profile
"""
COLUMNS = {"Mail": "email", "Id": "external_id", "Plan": "properties.plan", "Age": "properties.age"}
ROWS = {
    "Mail": ["ann@shop.de", "bob@shop.de", "eve@shop.de"],
    "Id": ["1", "2", "3"],
    "Plan": ["free", "", "gold"],
    "Age": ["17", "", "old"],
}
numbers = itertools.count()


@pytest.fixture
def judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Judge:
    """Write a schema beside the mapping, as a user does, and judge by it."""
    monkeypatch.chdir(tmp_path)

    def judging(source: str, rows: dict[str, list[str]] = ROWS, columns: dict[str, Any] = COLUMNS) -> Validated:
        module = f"own_schema_{next(numbers)}"
        (tmp_path / f"{module}.py").write_text(HEAD + textwrap.dedent(source), encoding="utf-8")
        mapping = parse_mapping({"columns": columns, "profile": {"schema": f"{module}:Own"}})
        return Validator(mapping, tuple(rows)).validate(frame(rows))

    return judging


def told(validated: Validated) -> list[tuple[int, str, str | None, str, str]]:
    return [(each.line, each.code, each.column, each.detail, str(each.severity)) for each in validated.issues]


def test_a_schema_derived_from_profile_adds_its_checks(judge: Judge) -> None:
    """A failing cell costs the cell, under the name of the check, without its value."""
    validated = judge("""
        class Own(Profile):
            plan: Series[str] | None = pa.Field(alias="properties.plan", isin=["", "free", "pro"])
    """)
    ((line, code, column, detail, severity),) = told(validated)
    assert (line, code, column, severity) == (4, "schema-failed", "Plan", "warning")
    assert "isin" in detail
    assert "gold" not in detail
    assert validated.frame["properties.plan"].tolist() == ["free", "", ""]


def test_a_schema_object_will_do_too_and_klaviyos_limits_still_hold(judge: Judge) -> None:
    """A schema that knows nothing of Klaviyo's limits does not lift them."""
    rows = ROWS | {"Id": ["1", "x" * 256, "3"]}
    validated = judge('Own = pa.DataFrameSchema({"properties.plan": pa.Column(str)})', rows)
    assert told(validated) == [(3, "external-id-too-long", "Id", "", "warning")]


def test_a_check_of_whole_rows_costs_the_row(judge: Judge) -> None:
    """Once per row, not once per column."""
    validated = judge("""
        class Own(Profile):
            @pa.dataframe_check(name="gold_needs_age")
            @classmethod
            def gold(cls, rows):
                return (rows["properties.plan"] != "gold") | rows["properties.age"].str.isdigit()
    """)
    assert told(validated) == [(4, "schema-failed", None, "check gold_needs_age", "error")]
    assert validated.rejected == {4}


def test_a_check_that_raises_is_the_schemas_fault_not_the_rows(judge: Judge) -> None:
    """The report says which check broke; every row goes on."""
    validated = judge("""
        class Own(Profile):
            plan: Series[str] | None = pa.Field(alias="properties.plan")

            @pa.check("properties.plan", name="breaks")
            @classmethod
            def breaks(cls, cells):
                return cells.astype(int) > 0
    """)
    (issue,) = validated.issues
    assert (issue.line, issue.code, issue.column, issue.severity) == (0, "schema-broken", "Plan", Severity.WARNING)
    assert issue.detail == "check breaks"
    assert "gold" not in issue.detail
    assert validated.rejected == frozenset()
    assert validated.frame["properties.plan"].tolist() == ["free", "", "gold"]


def test_a_check_without_a_verdict_per_row_is_broken_too(judge: Judge) -> None:
    """``False`` for the whole column names no row to refuse."""
    validated = judge("""
        class Own(Profile):
            plan: Series[str] | None = pa.Field(alias="properties.plan")

            @pa.check("properties.plan", name="all_alike")
            @classmethod
            def alike(cls, cells):
                return bool(cells.nunique() == 1)
    """)
    assert [(issue.line, issue.code) for issue in validated.issues] == [(0, "schema-broken")]
    assert validated.rejected == frozenset()


def test_a_parser_that_raises_is_the_schemas_fault(judge: Judge) -> None:
    """As with checks: nobody's row is refused."""
    validated = judge("""
        def explode(rows):
            if len(rows):
                raise RuntimeError("ann@shop.de")
            return rows
        Own = pa.DataFrameSchema({"properties.plan": pa.Column(str)}, parsers=pa.Parser(explode))
    """)
    assert told(validated) == [(0, "schema-broken", None, "a parser raised RuntimeError", "warning")]
    assert len(validated.frame) == 3


@pytest.mark.parametrize(
    ("options", "lines"), [("nullable=True, ", [2, 4]), ("", [2, 3, 4])], ids=["nullable", "not nullable"]
)
def test_a_column_of_numbers_judges_each_cell(judge: Judge, options: str, lines: list[int]) -> None:
    """One cell that is no number does not spoil the others; the frame stays text for transform."""
    validated = judge(f"""
        Own = pa.DataFrameSchema({{
            "properties.age": pa.Column(float, pa.Check.ge(18), {options}coerce=True),
        }})
    """)
    assert [(issue.line, issue.code, issue.column) for issue in validated.issues] == [
        (line, "schema-failed", "Age") for line in lines
    ]
    assert validated.frame["properties.age"].tolist() == ["", "", ""]
    assert str(validated.frame["properties.age"].dtype) == "str"
    rows = ROWS | {"Age": ["18", "99", "18.5"]}
    kept = judge('Own = pa.DataFrameSchema({"properties.age": pa.Column(float, pa.Check.ge(18), coerce=True)})', rows)
    assert kept.issues == ()
    assert kept.frame["properties.age"].tolist() == ["18", "99", "18.5"]


def test_a_check_that_only_warns_costs_nothing(judge: Judge) -> None:
    """``raise_warning`` becomes an issue; no Python warning prints the cells."""
    validated = judge("""
        Own = pa.DataFrameSchema({
            "properties.plan": pa.Column(str, pa.Check.isin(["", "free"], raise_warning=True)),
        })
    """)
    assert [(issue.line, issue.code, issue.severity) for issue in validated.issues] == [
        (4, "schema-failed", Severity.WARNING)
    ]
    assert validated.frame["properties.plan"].tolist() == ["free", "", "gold"]


def test_a_check_may_be_named_after_a_code(judge: Judge) -> None:
    """Then the row gets that code, with its hint."""
    validated = judge("""
        Own = pa.DataFrameSchema({
            "properties.plan": pa.Column(str, pa.Check(lambda cells: cells != "gold", name="not-in-list")),
        })
    """)
    assert told(validated) == [(4, "not-in-list", "Plan", "", "warning")]


@pytest.mark.parametrize(
    ("source", "code", "words"),
    [
        ("Own = 5", "schema-not-pandera", "neither a DataFrameModel nor a DataFrameSchema"),
        ("Other = 5", "schema-not-found", "has no Own"),
        ("import nowhere_to_be_found", "schema-not-found", "no module nowhere_to_be_found, which"),
        ("1 / 0", "schema-not-found", "cannot be imported (ZeroDivisionError)"),
        ("class Own(", "schema-not-found", "cannot be imported (SyntaxError)"),
        ('Own = pa.DataFrameSchema({"Plan": pa.Column(str)})', "schema-column-missing", "the column Plan"),
        ('Own = pa.DataFrameSchema({"email": pa.Column(str)}, strict=True)', "schema-column-unexpected", "external_id"),
        ('Own = pa.DataFrameSchema({"properties.age": pa.Column(int)})', "schema-dtype", "properties.age"),
        ('Own = pa.DataFrameSchema({"email": pa.Column(str, unique=True)})', "schema-unique", "one chunk"),
        ('Own = pa.DataFrameSchema({"email": pa.Column(str)}, unique=["email"])', "schema-unique", "one chunk"),
    ],
)
def test_a_schema_that_cannot_work_is_said_before_anything_is_read(
    judge: Judge, source: str, code: str, words: str
) -> None:
    """A ConfigError with what to do; no traceback of pandera's."""
    with pytest.raises(ConfigError) as caught:
        judge(source)
    assert caught.value.code == code
    assert words in caught.value.message
    assert caught.value.hint


def test_a_schema_module_that_is_not_there_says_where_to_put_it(judge: Judge) -> None:
    """The file's name stands in the hint."""
    mapping = parse_mapping({"columns": {"Mail": "email"}, "profile": {"schema": "my.schemas:Own"}})
    with pytest.raises(ConfigError, match="there is no module my") as caught:
        Validator(mapping, ("Mail",))
    assert caught.value.hint == "Put my/schemas.py in this folder."


def test_switching_pandera_off_in_the_environment_changes_nothing(
    judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody's setting for another program must not wave every row through."""
    monkeypatch.setattr("pandera.config.CONFIG.validation_enabled", False)
    validated = judge('Own = pa.DataFrameSchema({"properties.plan": pa.Column(str, pa.Check.isin(["", "free"]))})')
    assert [issue.line for issue in validated.issues] == [4]


def test_the_example_of_the_page_works(judge: Judge) -> None:
    """docs/mapping.md shows a schema; it does what the page says."""
    page = (PAGES / "mapping.md").read_text(encoding="utf-8")
    source = page.split("```python\n")[1].split("```")[0].replace("class Customer", "class Own")
    columns = {"Mail": "email", "Phone": "phone_number", "Plan": "properties.plan"}
    rows = {"Mail": ["ann@shop.de"] * 3, "Phone": ["", "+447911123456", ""], "Plan": ["pro", "pro", "gold"]}
    validated = judge(source, rows, columns)
    assert [(each.line, each.code, each.column) for each in validated.issues] == [
        (2, "schema-failed", None),
        (4, "schema-failed", "Plan"),
    ]
    assert validated.rejected == {2}
