"""Text that was damaged before us is noticed, held back with its suggestion, and mended where the mapping says so."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import orjson
import pandas as pd
import pytest

from etl.config import parse_mapping
from etl.model import Severity
from etl.pipeline.staging.process import ChunkProcessor
from etl.validate.cells import trim
from etl.validate.damage.columns import DamageJudge, damage_of
from etl.validate.damage.mojibake import restored
from etl.validate.damage.reference import repaired
from tests.support.importer import ImporterFixture
from tests.support.paths import ROOT

# ruff: noqa: RUF001  letters stand as they were read

NOW = 1_800_000_000.0


def words() -> list[str]:
    languages = tomllib.loads((ROOT / "tests" / "support" / "encoding_words.toml").read_text(encoding="utf-8"))
    return [word for kinds in languages.values() for text in kinds.values() for word in str(text).split()]


WORDS = words()


def judged(cells: dict[str, list[str]], columns: dict[str, Any], **sections: Any) -> tuple[list[Any], list[Any]]:
    """Return (line, code, column, suggestion, severity) of every issue, and the attributes of every record."""
    mapping = parse_mapping({"columns": columns, **sections})
    count = len(next(iter(cells.values())))
    frame = pd.DataFrame(cells, dtype="str", index=pd.RangeIndex(2, count + 2, name="line"))
    validated, transformed, _ = ChunkProcessor(mapping, tuple(cells), NOW).judge(frame)
    issues = [*validated.issues, *transformed.issues]
    bodies = [orjson.loads(record.body)["attributes"] for record in transformed.records]
    return [(each.line, each.code, each.column, each.suggestion) for each in issues], bodies


# The file of the report, and more of its kind.
DAMAGED = [
    ("JosÃ©", "text-mojibake", "José"),
    ("KÃ¶ln", "text-mojibake", "Köln"),
    ("JosÃƒÂ©", "text-mojibake", "José"),
    ("MÃœLLER", "text-mojibake", "MÜLLER"),
    ("kã¶ln", "text-mojibake", "köln"),
    ("ÄŒapek", "text-mojibake", "Čapek"),
    ("LefĂ¨vre", "text-mojibake", "Lefèvre"),
    ("Ð˜Ð²Ð°Ð½", "text-mojibake", "Иван"),
    ("РњРѕСЃРєРІР°", "text-mojibake", "Москва"),
    ("å±±ç”°", "text-mojibake", "山田"),
    ("Jos√©", "text-mojibake", "José"),
    ("K├╢ln", "text-mojibake", "Köln"),
    ("Itâ€™s", "text-mojibake", "It’s"),
    ("Citt\u00c3\u00a0", "text-mojibake", "Città"),
    ("O&#039;Neil &amp; Sons", "text-entities", "O'Neil & Sons"),
    ("M&uuml;nchen", "text-entities", "München"),
    ("M&amp;uuml;ller", "text-entities", "Müller"),
    ("Jos&#xE9;", "text-entities", "José"),
    ("Ann&nbsp;Lee", "text-entities", "Ann Lee"),
    ("AT&amp;T", "text-entities", "AT&T"),
    ("=?UTF-8?B?Sm9zw6k=?=", "text-escaped", "José"),
    ("=?iso-8859-1?Q?J=F6rg?=", "text-escaped", "Jörg"),
    ("J=C3=B6rg", "text-escaped", "Jörg"),
    ("Jos%C3%A9", "text-escaped", "José"),
    ("Jos%25C3%25A9", "text-escaped", "José"),
    ("M%FCller", "text-escaped", "Müller"),
    ("Anna%20Maria", "text-escaped", "Anna Maria"),
    ("O%27Neil", "text-escaped", "O'Neil"),
    ("Jörg_x000D_", "text-escaped", "Jörg"),
    ("Ann_x000a_Lee", "text-escaped", "Ann Lee"),
    ("Jos\\u00e9", "text-escaped", "José"),
    ("O\\'Neil", "text-escaped", "O'Neil"),
    ("An\x1b[31mn", "text-control", "Ann"),
    ("Bo\x07nn", "text-control", "Bonn"),
    ("Ann\x0bLee", "text-control", "Ann Lee"),
    ("Bo\ufeffnn", "text-control", "Bonn"),
    ("Ren\ufffd", "text-lost", ""),
    ("M?ller", "text-lost", ""),
    ("NULL", "null-word", ""),
    ("(null)", "null-word", ""),
    ("\\N", "null-word", ""),
    ("NaN", "null-word", ""),
    ("n/a", "null-word", ""),
    ("#N/A", "cell-error", ""),
    ("#REF!", "cell-error", ""),
    ("#BEZUG!", "cell-error", ""),
    ("#¿NOMBRE?", "cell-error", ""),
]


@pytest.mark.parametrize("last", [["LEE", "O'NEIL", "NULL", "GARCÍA"], ["LEE", "NULL"], ["SMITH-JONES", "NONE"]])
def test_a_surname_in_a_column_of_capitals_is_sent_and_said(last: list[str]) -> None:
    cells = {"E": [f"{place}@mapleshop.com" for place in range(len(last))], "Last": last}
    issues, attributes = judged(cells, {"E": "email", "Last": "last_name"})
    assert [issue[1] for issue in issues] == ["null-word"]
    assert [each["last_name"] for each in attributes] == last


@pytest.mark.parametrize(
    "cells",
    [
        {"Last": ["Lee", "NULL"], "City": ["", ""]},  # a word among names of another spelling
        {"Last": ["LEE", "NULL"], "City": ["NULL", "Bonn"]},  # the file writes it for nothing elsewhere
        {"Last": ["LEE", *["NULL"] * 3], "City": [""] * 4},  # too many are called so
        {"Last": ["NULL", "NULL"], "City": ["", ""]},
        {"Last": ["LEE", "#N/A"], "City": ["", ""]},
    ],
)
def test_a_word_for_nothing_is_held_back_as_before(cells: dict[str, list[str]]) -> None:
    cells = {"E": [f"{place}@mapleshop.com" for place in range(len(cells["Last"]))], **cells}
    _, attributes = judged(cells, {"E": "email", "Last": "last_name", "City": "location.city"})
    assert {each.get("last_name") for each in attributes} <= {"Lee", "LEE", None}


def test_damage_is_held_back_with_what_it_was() -> None:
    """One warning a cell with its code and suggestion; the rest of the row goes on."""
    texts = [text for text, _, _ in DAMAGED]
    cells = {"E": [f"p{number}@mapleshop.com" for number in range(len(texts))], "Name": texts}
    issues, bodies = judged(cells, {"E": "email", "Name": "first_name"})
    assert issues == [(line, code, "Name", better) for line, (_, code, better) in enumerate(DAMAGED, start=2)]
    assert bodies == [{"email": email} for email in cells["E"]]


def test_repair_takes_the_suggestion_and_says_so() -> None:
    """By column or by source; what is lost stays held back, and a column may say that its text is right."""
    texts = [text for text, _, _ in DAMAGED]
    cells = {"E": [f"p{number}@mapleshop.com" for number in range(len(texts))], "Name": texts, "As": texts}
    columns = {"E": "email", "Name": "first_name", "As": {"to": "properties.as", "repair": False}}
    issues, bodies = judged(cells, columns, source={"repair": True})
    assert {code for _, code, _, _ in issues} == {"text-repaired", "text-lost"}
    assert {column for _, _, column, _ in issues} == {"Name"}
    for (text, code, better), body in zip(DAMAGED, bodies, strict=True):
        assert body.get("first_name", "") == better, (text, code)
        assert body["properties"]["as"] == trim(text)
    one = {"E": "email", "Name": {"to": "first_name", "repair": True}}
    assert [body.get("first_name", "") for body in judged(cells, one)[1]] == [better for _, _, better in DAMAGED]


RIGHT = [
    *("AT&T", "R&D; Sales", "Marks & Spencer", "Fish &chips;", "100%25", "50%", "10%20", "100%FCKW", "A=B", "user_x12"),
    *("Null", "Null-Smith", "NULLARBOR", "Nan", "Noni", "Fernando", "Anna (Nil)", "#1", "Apt #4", "Why?", "C:\\new"),
    *("JOÃO", "SÃO JOÃO", "IRMÃ", "COVILHÃ", "CONCEIÇÃO", "João – Filho", "MANHÃ, TARDE", "Ümit ÇELİK", "ÅÄÖ", "Ærø"),
    *("<p>Fish &amp; Chips</p>", "https://x.de/caf%C3%A9?a=1&amp;b=2", "www.x.de/Jos%C3%A9", "naïve “quote” – it’s"),
    *(
        "Київ",
        "Рівне",
        "Ёлка",
        "Москва №5",
        "Αθήνα",
        "Nguyễn Thị Ánh",
        "Đặng",
        "हिन्दी",
        "שלום",
        "مرحبا",
        "山田 太郎",
        "김민준",
    ),
    *("👍 Ann", "e\u0301", "Zoë®", "½ Preis", "5 °C", "¿Qué?", "«Été»", "Straße", "Citroën™", "_x", "a%b", "😀‍💻"),
]


def test_right_text_in_many_languages_is_left_alone() -> None:
    """No false alarm: not on words of thirty languages in any case, beside other signs, and not on what looks odd."""
    cells = [form for word in WORDS for form in (word, word.upper(), word.lower(), f"{word} & {word.upper()}")]
    cells += [f"«{word}» “{word}” {word}, {word}-{word}; {word.upper()} € 5" for word in WORDS] + RIGHT
    for target in ("first_name", "properties.x"):
        assert not damage_of(cells, target)


def test_utf8_read_as_another_encoding_is_told_and_undone() -> None:
    """Every word that was read as Latin-1 or Windows-1252 comes back; of the other pages nearly all, and none wrong."""
    shares = {}
    for page, least in (
        ("latin-1", 1.0), ("sloppy-windows-1252", 1.0), ("sloppy-windows-1254", 1.0), ("sloppy-windows-1253", 0.99),
        ("sloppy-windows-1250", 0.98), ("sloppy-windows-1251", 0.96), ("cp437", 1.0), ("macroman", 0.95),
    ):  # fmt: skip
        damaged = {word.encode().decode(page): word for word in WORDS if not word.isascii()}
        found = {text: restored(text) for text in damaged}
        shares[page] = sum(found[text] == word for text, word in damaged.items()) / len(damaged)
        assert shares[page] >= least, page
        # The judge sees them: what a column lets through is all there is to see.
        told = damage_of(list(found), "first_name")
        assert told["text-mojibake"] >= (least - 0.01 if page.startswith(("s", "l")) else 0.8) * len(damaged), page


def test_a_cell_held_back_erases_nothing_and_costs_its_row_where_it_is_required() -> None:
    cells = {"E": ["a@mapleshop.com", "b@mapleshop.com"], "C": ["JosÃ©", "Ann"]}
    _, bodies = judged(cells, {"E": "email", "C": {"to": "first_name", "write": "clear_if_blank"}})
    assert bodies == [{"email": "a@mapleshop.com"}, {"email": "b@mapleshop.com", "first_name": "Ann"}]
    _, bodies = judged(cells, {"E": "email", "C": {"to": "first_name", "required": True}})
    assert bodies == [{"email": "b@mapleshop.com", "first_name": "Ann"}]
    # NULL that is mended is an empty cell, and those erase where the mapping asks for it.
    cells["C"] = ["NULL", "Ann"]
    _, bodies = judged(cells, {"E": "email", "C": {"to": "first_name", "write": "clear_if_blank", "repair": True}})
    assert bodies[0] == {"email": "a@mapleshop.com", "first_name": None}


def test_ids_that_say_nothing_make_no_one_person() -> None:
    """NULL as the id of every second customer is nobody; an address that was misread is held back too."""
    cells = {"E": ["josÃ©@mapleshop.com", "b@mapleshop.com", "x"], "Id": ["NULL", "NULL", "NULL"]}
    issues, bodies = judged(cells, {"E": "email", "Id": "external_id"})
    assert [(line, code) for line, code, _, _ in issues if code != "null-word"] == [
        (2, "text-mojibake"), (2, "identifier-missing"), (4, "email-invalid"), (4, "identifier-missing"),
    ]  # fmt: skip
    assert bodies == [{"email": "b@mapleshop.com"}]


def test_steps_and_computed_columns_see_whole_text_only() -> None:
    """What is made of a damaged cell is held back with it; what is made of a mended one is right."""
    cells = {"E": ["a@mapleshop.com", "b@mapleshop.com"], "First": ["josÃ©", "ann"], "Last": ["LEE", "NULL"]}
    sections: dict[str, Any] = {"computed": {"properties.full": {"template": "{First} {Last}"}}}
    columns = {"E": "email", "First": {"to": "first_name", "transform": ["title"]}}
    issues, bodies = judged(cells, columns, **sections)
    assert [issue[:3] for issue in issues] == [(2, "text-mojibake", "First"), (3, "null-word", "Last")]
    assert bodies == [{"email": "a@mapleshop.com"}, {"email": "b@mapleshop.com", "first_name": "Ann"}]
    columns["First"] = {"to": "first_name", "transform": ["title"]}
    _, bodies = judged(cells, columns, **sections, source={"repair": True})
    assert [body["first_name"] for body in bodies] == ["José", "Ann"]
    assert [body["properties"]["full"] for body in bodies] == ["josé LEE", "ann"]


def test_json_and_consent_have_judges_of_their_own() -> None:
    cells = {"E": ["a@mapleshop.com"], "J": ['{"n": "Jos\\u00e9"}'], "N": ["null"], "C": ["NULL"]}
    columns = {"E": "email", "J": {"to": "properties.j", "type": "json"}, "N": {"to": "properties.n", "type": "json"}}
    issues, bodies = judged(cells, {**columns, "C": "consent.email"})
    assert not [code for _, code, _, _ in issues if code.startswith(("text", "null"))]
    assert bodies[0]["properties"] == {"j": {"n": "José"}}


@pytest.mark.parametrize("repair", [None, True])
def test_check_and_run_count_the_damage_by_column(tmp_path: Path, repair: Any) -> None:
    """A group for each column and kind, with its lines; the state keeps the suggestions."""
    desk = ImporterFixture(tmp_path)
    columns = {"Email": "email", "First Name": "first_name", "City": "location.city"}
    desk.mapping = {"columns": columns, "load": {"small_run": 0}, "source": {"repair": repair}}
    rows = [
        ("ann@mapleshop.com", "JosÃ©", "KÃ¶ln"),
        ("bob@mapleshop.com", "Ren\ufffd", "Bonn"),
        ("cy@mapleshop.com", "Ann", "M&uuml;nchen"),
    ]
    desk.write(rows, tuple(columns))
    report = desk.run()
    found = {(group.code, group.column): (group.count, group.lines, group.severity) for group in report.issues}
    lost = {("text-lost", "First Name"): (1, (3,), Severity.WARNING)}
    if repair:
        said = {
            ("text-repaired", "First Name"): (1, (2,), Severity.WARNING),
            ("text-repaired", "City"): (2, (2, 4), Severity.WARNING),
        }
    else:
        said = {
            ("text-mojibake", "First Name"): (1, (2,), Severity.WARNING),
            ("text-mojibake", "City"): (1, (2,), Severity.WARNING),
            ("text-entities", "City"): (1, (4,), Severity.WARNING),
        }
    assert found == {**lost, **said}
    dump = desk.sandbox.dump().decode()
    assert ("José" in dump, "Köln" in dump, "München" in dump) == ((True,) * 3 if repair else (False,) * 3)
    assert "Ã" not in dump


def test_the_option_counts_only_where_it_is_used() -> None:
    columns = {"E": "email", "N": "first_name"}
    plain = parse_mapping({"columns": columns}).hash
    assert parse_mapping({"columns": columns, "source": {"repair": None}}).hash == plain
    assert parse_mapping({"columns": columns, "source": {"repair": True}}).hash != plain
    assert parse_mapping({"columns": {**columns, "N": {"to": "first_name", "repair": True}}}).hash != plain


def test_no_cell_makes_it_fail_and_mending_is_done_once() -> None:
    """What was mended is not damaged, and letters that stand anyhow raise nothing."""
    odd = [
        "=?x?Q?=FF?=",
        "=?utf-8?B?!!?=",
        "\\ud83d",
        "\\ud83d\\ude00",
        "&#0;",
        "&#1114112;",
        "&#xD800;",
        "%ZZ%C3",
        "_xD800_",
        "\x1b",
        "Ã" * 5000,
    ]
    for text in [*odd, *(text for text, _, _ in DAMAGED)]:
        _, better = repaired(text, name=True)
        assert repaired(better, name=True) == ("", better) or not better or "\ufffd" in better, text
        better.encode()
    mapping = parse_mapping({"columns": {"E": "email", "N": "first_name"}})
    frame = pd.DataFrame(
        {"E": [None] * len(odd), "N": odd}, dtype="str", index=pd.RangeIndex(2, len(odd) + 2, name="line")
    )
    DamageJudge(mapping).judge(frame)
    DamageJudge(mapping).judge(frame.iloc[:0])
