"""The mapping file: its errors name the key and the fix; its page and its JSON Schema agree with the program."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from etl.config import (
    FIXED_TARGETS,
    ColumnRule,
    Computed,
    ConsentRule,
    Defaults,
    Guards,
    LoadRule,
    Mapping,
    ProfileRule,
    RowRule,
    SourceRule,
    load_mapping,
    mapping_schema,
    parse_mapping,
)
from etl.config.mapping.notify import MappingNotifyRule
from etl.config.mapping.sections import StateRule
from etl.errors import ConfigError, ExitCode
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "mapping.md").read_text(encoding="utf-8")
SCHEMA_FILE = ROOT / "schemas" / "mapping.schema.json"
SECTIONS: dict[str, type[BaseModel]] = {
    "source": SourceRule,
    "defaults": Defaults,
    "columns": ColumnRule,
    "computed": Computed,
    "rules": RowRule,
    "profile": ProfileRule,
    "consent": ConsentRule,
    "load": LoadRule,
    "guards": Guards,
    "notify": MappingNotifyRule,
    "state": StateRule,
}
MAIL = {"Email": "email"}


def fault(document: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_mapping(document, where="my.toml")
    assert caught.value.code == "mapping-invalid"
    assert caught.value.exit_code == ExitCode.USAGE
    assert "klaviyo-etl docs mapping" in caught.value.hint
    where, *faults = caught.value.message.split("\n  ")
    assert where == "my.toml:"
    return "\n".join(faults)


def column(**rule: Any) -> dict[str, Any]:
    return {"columns": {**MAIL, "My col": {"to": "properties.x", **rule}}}


KEY = 'columns."My col"'


@pytest.mark.parametrize(
    ("document", "message"),
    [
        # keys
        ({}, "columns: this key is missing"),
        ({"columns": MAIL, "lode": {}}, "lode: unknown key; did you mean 'load'?"),
        ({"columns": MAIL, "load": {"lst": "x"}}, "load.lst: unknown key; did you mean 'list'?"),
        (
            {"columns": MAIL, "defaults": {"qqq": 1}},
            "defaults.qqq: unknown key; known here: country, country_column, timezone",
        ),
        ({"columns": MAIL, "profile": {"schem": "a:b"}}, "profile.schem: unknown key; did you mean 'schema'?"),
        (column(typ="text"), f"{KEY}.typ: unknown key; did you mean 'type'?"),
        ({"columns": {**MAIL, "X": {"type": "text"}}}, "columns.X.to: this key is missing"),
        # types of values
        ({"columns": {"Email": 5}}, 'columns.Email: a column is a target, such as "email", or a table'),
        ({"columns": MAIL, "load": {"batch_rows": "many"}}, "load.batch_rows: Input should be a valid integer"),
        ({"columns": MAIL, "load": {"batch_rows": 10_001}}, "load.batch_rows: Input should be less than or equal to"),
        (column(type="number"), f"{KEY}.type: Input should be 'text', 'integer', 'decimal'"),
        (column(required="yes, please"), f"{KEY}.required: Input should be a valid boolean"),
        # targets
        ({"columns": {"str": "emial"}}, "columns.str.to: 'emial' is not a target; did you mean 'email'?"),
        ({"columns": {**MAIL, "P": "Phone"}}, "columns.P.to: 'Phone' is not a target; did you mean 'phone_number'?"),
        ({"columns": {**MAIL, "C": "city"}}, "columns.C.to: 'city' is not a target; did you mean 'location.city'?"),
        ({"columns": {**MAIL, "N": "First Name"}}, "did you mean 'first_name'?"),
        (
            {"columns": {**MAIL, "S": "shoe_size"}},
            "columns.S.to: 'shoe_size' is not a target; for a custom property write 'properties.shoe_size'",
        ),
        ({"columns": {**MAIL, "X": "properties."}}, "lacks the property's name"),
        ({"columns": {**MAIL, "Mail": "email"}}, "columns 'Email' and 'Mail' both go to 'email'; keep one"),
        (
            {"columns": {**MAIL, "A": {"to": "$value", "type": "money"}, "B": "properties.$value"}},
            "columns 'A' and 'B' both go to 'properties.$value'",
        ),
        ({"columns": {"X": "title"}}, "no column goes to email, phone_number or external_id"),
        # rules that do not fit
        ({"columns": {**MAIL, "X": {"to": "title", "type": "integer"}}}, "columns.X: title is always text in Klaviyo"),
        ({"columns": {**MAIL, "X": "$value"}}, '$value is a number: set type = "money"'),
        ({"columns": {**MAIL, "X": {"to": "list", "type": "json"}}}, "list holds names or ids of lists"),
        ({"columns": {"E": {"to": "email", "write": "always"}}}, 'write = "always" cannot be used on email'),
        (column(type="date", write="always"), 'write = "always" needs a type with an empty value'),
        (column(write="append"), 'write = "append" is for lists in custom properties: set type = "list"'),
        ({"columns": {**MAIL, "X": {"to": "title", "write": "unset_if_blank"}}}, "takes a custom property away"),
        ({"columns": {"E": {"to": "email", "write": "only_if_existing_blank"}}}, "cannot be used on email"),
        (column(format="%Y"), f'{KEY}: format is for type = date or datetime, not "text"'),
        (column(type="date", timezone="Europe/Paris"), "timezone is for type = datetime"),
        (column(separator=";"), "separator is for type = list"),
        (column(type="date", decimal="."), "decimal is for type = integer or decimal or money"),
        (column(min=1), 'min is for type = integer or decimal or money, not "text"; for text use min_length'),
        (column(type="integer", min=5, max=4), "min = 5 is above max = 4; no value could pass"),
        (column(min_length=5, max_length=4), "min_length = 5 is above max_length = 4"),
        (column(one_of=[]), f"{KEY}.one_of: "),
        (column(type="list", separator=""), f"{KEY}.separator: String should have at least 1 character"),
        # values that would only fail later
        (column(type="datetime", timezone="Paris"), "'Paris' is not an IANA time zone; write it like"),
        ({"columns": MAIL, "defaults": {"timezone": "EST5"}}, "defaults.timezone: 'EST5' is not an IANA time zone"),
        ({"columns": MAIL, "defaults": {"country": "usa"}}, "'usa' is not an ISO 3166 code; write two capitals"),
        (column(pattern="(?=x)"), f"{KEY}.pattern: RE2 does not take this expression (invalid perl operator: (?=)"),
        (column(pattern="("), "RE2 does not take this expression (missing ): ()"),
        (column(type="date", format="%d/%m"), "'%d/%m' has no year"),
        (column(type="date", format="%d/%d/%Y"), "'%d/%d/%Y' is not a strptime format"),
        (column(type="date", format="%Q %Y"), "'%Q %Y' is not a strptime format"),
        (column(type="datetime", format="%Y-%m-%d %H:%M %Z"), "%Z is not read reliably; use %z"),
        ({"columns": MAIL, "profile": {"schema": "no colon"}}, "profile.schema: "),
        ({"columns": MAIL, "profile": {"key": []}}, "profile.key: "),
        ({"columns": MAIL, "profile": {"duplicates": "newest"}}, "profile.duplicates: Input should be 'merge', 'last'"),
    ],
)  # fmt: skip
def test_an_error_names_the_key_and_the_fix(
    document: dict[str, Any], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Never a traceback, never a rule that does nothing in silence, and nothing on stderr beside it."""
    assert message in fault(document)
    assert capfd.readouterr() == ("", "")


def test_all_faults_are_told_at_once() -> None:
    """Nobody wants to find them one run after the other."""
    said = fault({"columns": {"A": "emial", "B": {"to": "title", "x": 1}}, "load": {"small_run": -1}})
    assert [line.split(":")[0] for line in said.splitlines()] == ["columns.A.to", "columns.B.x", "load.small_run"]


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (b'[columns]\n"Email" = "email"\nPhone Number = "phone_number"\n', "mapping-not-toml", "line 3"),
        (b'[columns]\n"Email" = "email"\n"Email" = "title"\n', "mapping-not-toml", "line 3"),
        (b'[columns]\n"Stra\xdfe" = "email"\n', "mapping-not-utf8", "is not UTF-8"),
        (b"", "mapping-invalid", "columns: this key is missing"),
    ],
)
def test_a_file_that_is_no_mapping_says_where(tmp_path: Path, content: bytes, code: str, words: str) -> None:
    """With the line for bad TOML."""
    path = tmp_path / "my.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_mapping(path)
    assert caught.value.code == code
    assert words in caught.value.message
    assert str(path) in caught.value.message
    assert caught.value.hint


def test_a_mapping_that_is_not_there_or_a_folder(tmp_path: Path) -> None:
    """Each has its own code."""
    with pytest.raises(ConfigError, match="There is no mapping file") as caught:
        load_mapping(tmp_path / "none.toml")
    assert caught.value.code == "mapping-not-found"
    with pytest.raises(ConfigError, match="cannot be read") as caught:
        load_mapping(tmp_path)
    assert caught.value.code == "mapping-unreadable"


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    """Windows editors write one."""
    path = tmp_path / "my.toml"
    path.write_bytes('\ufeff[columns]\n"Email" = "email"\n'.encode())
    assert load_mapping(path).by_target["email"][0] == "Email"


def test_the_hash_follows_what_shapes_a_record_and_nothing_else() -> None:
    """Another list or guard is no other mapping; another type, default or key is."""
    base: dict[str, Any] = {"columns": {**MAIL, "X": "properties.x"}}
    same: list[dict[str, Any]] = [{"load": {"list": "A"}}, {"guards": {"min_rows": 5}}, {"source": {"path": "b.csv"}}]
    other: list[dict[str, Any]] = [
        {"columns": {**MAIL, "X": {"to": "properties.x", "type": "integer"}}},
        {"defaults": {"country": "DE"}},
        {"profile": {"key": ["email"]}},
    ]
    first = parse_mapping(base).hash
    assert {parse_mapping({**base, **change}).hash for change in same} == {first}
    assert first not in {parse_mapping({**base, **change}).hash for change in other}


def tables() -> Iterator[tuple[str, dict[str, str]]]:
    """Yield section → key → default of the page."""
    for part in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]:
        title = part.splitlines()[0]
        if found := re.fullmatch(r"`\[(\w+)\]`", title):
            block = re.search(r"\| Key \| Default \| Meaning \|\n\|---\|---\|---\|\n((?:\|.*\n?)+)", part)
            assert block, title
            rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)] for line in block[1].splitlines()]
            assert all(row[3] for row in rows), f"a key of {title} is not explained"
            yield found[1], {row[1].strip("`"): row[2] for row in rows}


def test_the_page_names_every_key_with_its_default() -> None:
    """And no key that does not exist."""
    found = dict(tables())
    assert list(found) == list(SECTIONS) == list(Mapping.model_fields)
    for name, model in SECTIONS.items():
        expected = {}
        for field, info in model.model_fields.items():
            if info.default is PydanticUndefined:
                shown = "required"
            elif info.default is None:
                shown = "*none*"
            else:
                shown = f"`{json.dumps(info.default)}`"
            expected[info.alias or field] = shown
        assert found[name] == expected, name


def test_the_page_names_every_target() -> None:
    """As code, in the table of targets."""
    section = PAGE.split("### Targets")[1].split("\n## ")[0]
    assert set(FIXED_TARGETS) - set(re.findall(r"`([^`]+)`", section)) == set()


def examples() -> list[Any]:
    blocks = []
    for name in ("docs/mapping.md", "README.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        for found in re.finditer(r"^( *)```toml\n(.*?)^\1```", text, flags=re.MULTILINE | re.DOTALL):
            if "[columns]" in found[2]:
                line = text[: found.start()].count("\n") + 1
                blocks.append(pytest.param(found[2], id=f"{name}:{line}"))
    samples = sorted((ROOT / "sample_data").glob("*.toml"))
    return [*blocks, *(pytest.param(path.read_text(encoding="utf-8"), id=path.name) for path in samples)]


@pytest.mark.parametrize("text", examples())
def test_every_example_is_a_mapping_to_the_program_and_to_editors(text: str) -> None:
    """What the pages and samples show works, and no editor underlines it."""
    document = tomllib.loads(text)
    parse_mapping(document)
    jsonschema.Draft202012Validator(mapping_schema()).validate(document)


def test_the_pages_show_examples() -> None:
    """Or the test above tests nothing."""
    assert len(examples()) >= 4


def test_the_schema_file_is_the_generated_one() -> None:
    """Write it anew after changing etl/config: json.dumps(mapping_schema(), indent=2, ensure_ascii=False)."""
    written = SCHEMA_FILE.read_text(encoding="utf-8")
    assert written == json.dumps(mapping_schema(), indent=2, ensure_ascii=False) + "\n"
    jsonschema.Draft202012Validator.check_schema(json.loads(written))


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"columns": {}},
        {"columns": {"E": 5}},
        {"columns": MAIL, "lode": {}},
        {"columns": {"E": {"to": "email", "typ": "x"}}},
        {"columns": {"E": {"to": "properties.x", "type": "number"}}},
        {"columns": MAIL, "defaults": {"country": "usa"}},
        {"columns": MAIL, "load": {"batch_rows": 0}},
    ],
)
def test_the_schema_refuses_what_the_program_refuses(document: dict[str, Any]) -> None:
    """At least unknown keys, wrong types and values out of bounds."""
    assert not jsonschema.Draft202012Validator(mapping_schema()).is_valid(document)
    fault(document)


def test_a_changed_copy_works_out_its_own() -> None:
    """What pydantic copies includes what was cached from the old values."""
    mapping = parse_mapping({"columns": {"Email": "email"}})
    assert list(mapping.by_target) == ["email"]
    other = parse_mapping({"columns": {"Id": "external_id"}})
    assert list(mapping.model_copy(update={"columns": other.columns}).by_target) == ["external_id"]
    assert list(mapping.by_target) == ["email"]
