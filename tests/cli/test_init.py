"""``init``: a source nobody has described becomes a mapping that runs as it is, and never says more than it knows."""

from __future__ import annotations

import csv
import sqlite3
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from etl import pipeline
from etl.cli.commands.init import init as command
from etl.config import SourceRule, load_mapping, parse_mapping
from etl.config.settings.model import Settings
from etl.discover import Question, load_presets, recognise
from etl.discover.headers import target_of
from etl.discover.profiling import Profiler, mask
from etl.errors import ConfigError, UsageError
from etl.extract.table.cell_kinds import Kind, kind_of
from etl.pipeline import Context
from tests.support.effort import examples
from tests.support.expected import EXPORTS, SAMPLES, actual_rows

# Rules that only the hand-made mapping has: what they find is theirs alone.
EXTRA = {"hubspot_contacts": {"not-in-list"}}


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(Settings(state=str(tmp_path / "state.db")), output=tmp_path / "runs")


def written(folder: Path, header: Sequence[str], rows: Sequence[Sequence[str]], **options: Any) -> Path:
    path = folder / "people.csv"
    with path.open("w", encoding=options.pop("encoding", "utf-8"), newline="") as out:
        csv.writer(out, **options).writerows([header, *rows])
    return path


def proposed(context: Context, path: Path, **options: Any) -> tuple[dict[str, Any], pipeline.Proposal]:
    """Return the mapping as data, and the proposal."""
    proposal, text = pipeline.init(path, context=context, beside=path.parent, **options)
    return tomllib.loads(text), proposal


def rows(count: int) -> list[str]:
    return [f"person{number}@mapleshop.com" for number in range(count)]


# --- known exports ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXPORTS)
def test_a_known_export_comes_out_as_by_hand(name: str, context: Context, tmp_path: Path) -> None:
    """Outcome and codes of every line equal those of the mapping that a person wrote."""
    source = SAMPLES / f"{name}.csv"
    proposal, text = pipeline.init(source, context=context, beside=tmp_path)
    assert proposal.preset is not None
    assert proposal.preset.key == name.partition("_")[0]
    made = tmp_path / "made.toml"
    made.write_text(text, encoding="utf-8")
    ours = pipeline.check(None, made, context=context)
    theirs = pipeline.check(None, SAMPLES / f"{name}.toml", context=context)
    with context.open_store() as store:
        came, wanted = actual_rows(store, ours.run), actual_rows(store, theirs.run)
    left_out = EXTRA.get(name, set())
    strict = {
        line: (outcome, tuple(code for code in codes if code not in left_out))
        for line, (outcome, codes) in wanted.items()
    }
    assert came == strict


def test_every_preset_is_a_mapping_and_knows_itself() -> None:
    presets = load_presets()
    assert {preset.key for preset in presets} == {
        "hubspot", "salesforce", "shopify", "mailchimp", "woocommerce", "magento", "klaviyo",
    }  # fmt: skip
    for preset in presets:
        headers = [*preset.columns, *preset.ignored]
        assert recognise(headers) is preset
        assert not set(preset.columns) & set(preset.ignored)
        assert preset.telling & set(headers)
        seen: set[str] = set()
        columns = {}
        for header, rule in preset.columns.items():
            target = rule if isinstance(rule, str) else rule["to"]
            if target not in seen:
                columns[header] = rule
                seen.add(target)
        parse_mapping({"columns": columns, "profile": dict(preset.profile)})


def test_a_preset_can_be_named_and_must_exist(context: Context, tmp_path: Path) -> None:
    path = written(tmp_path, ["Email", "Phone"], [[mail, ""] for mail in rows(3)])
    mapping, proposal = proposed(context, path, preset="shopify")
    assert proposal.preset is not None
    assert mapping["columns"]["Email"] == "email"
    with pytest.raises(UsageError, match="no preset 'shopfy'"):
        proposed(context, path, preset="shopfy")


# --- headers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "target"),
    [
        ("address.city", "location.city"),
        ("E-Mail (private)", "email"),
        ("Contact: Phone", "phone_number"),
        ("Prénom", "first_name"),
        ("PRENOM", "first_name"),
        ("Nachname", "last_name"),
        ("Correo electrónico", "email"),
        ("電話番号", "phone_number"),
        ("E-Mail-Adresse", "email"),
        ("email_address", "email"),
        ("emailAddress", "email"),
        ("Email (primary)", "email"),
        ("PLZ", "location.zip"),
        ("Código postal", "location.zip"),
        ("Kundennummer", "external_id"),
        ("Umsatz", "$value"),
        ("Shoe size", None),
        ("", None),
        ("Order id", None),
    ],
)
def test_headers_in_many_languages(header: str, target: str | None) -> None:
    found = target_of(header)
    assert (found[0] if found else None) == target


def last(number: int) -> tuple[str, str]:
    return f"{number % 28 + 1:02}.03.1980", "12,50 €"


def test_a_german_file_in_an_old_encoding(context: Context, tmp_path: Path) -> None:
    people = [
        [f"K{number:04}", f"Jörg{number}", "Müller", mail, f"0171 23{number:05}", "01067", "Deutschland", *last(number)]
        for number, mail in enumerate(rows(60))
    ]
    header = ["Kundennr", "Vorname", "Nachname", "E-Mail", "Handy", "PLZ", "Land", "Geburtstag", "Umsatz"]
    path = written(tmp_path, header, people, encoding="windows-1252", delimiter=";")
    mapping, _ = proposed(context, path)
    assert mapping["columns"] == {
        "Kundennr": "external_id",
        "Vorname": "first_name",
        "Nachname": "last_name",
        "E-Mail": "email",
        "Handy": "phone_number",
        "PLZ": "location.zip",
        "Land": "location.country",
        "Geburtstag": {"to": "properties.Geburtstag", "type": "date", "format": "%d.%m.%Y"},
        "Umsatz": {"to": "$value", "type": "money", "decimal": ","},
    }
    assert mapping["defaults"] == {"country_column": "Land"}
    report = pipeline.check(path, mapping, context=context)
    assert (report.tally.rejected, report.errors, report.warnings) == (0, 0, 0)


def test_japanese_headers(context: Context, tmp_path: Path) -> None:
    people = [[f"{number}", "山田", "太郎", mail, "090-1234-5678"] for number, mail in enumerate(rows(20))]
    path = written(tmp_path, ["会員番号", "姓", "名", "メールアドレス", "電話番号"], people)
    mapping, _ = proposed(context, path)
    assert list(mapping["columns"].values()) == ["external_id", "last_name", "first_name", "email", "phone_number"]
    assert mapping["defaults"] == {"country": "JP"}


# --- types and what only a person knows -------------------------------------------------------------------------------


def typed(context: Context, folder: Path, cells: Sequence[str], header: str = "X", **options: Any) -> Any:
    path = written(folder, ["Email", header], list(zip(rows(len(cells)), cells, strict=True)))
    mapping, _ = proposed(context, path, **options)
    rule = mapping["columns"][header]
    return rule if isinstance(rule, str) else {name: value for name, value in rule.items() if name != "to"}


@pytest.mark.parametrize(
    ("cells", "rule"),
    [
        (["2024-05-01", "2023-12-31"], {"type": "date"}),
        (["31/12/2023", "05/04/2024"], {"type": "date", "format": "%d/%m/%Y"}),
        (["12/31/2023", "05/04/2024"], {"type": "date", "format": "%m/%d/%Y"}),
        (["2024-05-01T10:00:00Z", "2023-12-31T23:59:59Z"], {"type": "datetime"}),
        (["31.12.2023 10:15", "05.04.2024 09:00"], {"type": "datetime", "format": "%d.%m.%Y %H:%M"}),
        (["yes", "no", "yes"], {"type": "boolean"}),
        (["12", "7", "1500"], {"type": "integer"}),
        (["007", "123"], "properties.X"),
        (["1.50", "12.25"], {"type": "decimal", "decimal": "."}),
        (["1,50", "1.234,25"], {"type": "decimal", "decimal": ","}),
        (["$1,234.50", "$2.00"], {"type": "money", "decimal": "."}),
        (["a;b", "b;c", "a", "c;a", "b", "a;b;c", "c", "a;c"], {"type": "list", "separator": ";"}),
        (['["a"]', '["b","c"]'], {"type": "list"}),
        (['{"a":1}', '{"b":[2]}'], {"type": "json"}),
        (["blue", "green"], "properties.X"),
        (["31/12/2023", "12/31/2023"], "properties.X"),
    ],
)
def test_types_are_told_from_the_cells(context: Context, tmp_path: Path, cells: list[str], rule: Any) -> None:
    assert typed(context, tmp_path, cells) == rule


def test_a_date_that_can_be_read_in_two_ways_is_asked_about(context: Context, tmp_path: Path) -> None:
    """Nobody answers: it stays text, and the file says so. Somebody answers: as they say."""
    asked: list[Question] = []

    def month_first(question: Question) -> str:
        asked.append(question)
        return next(value for value, meaning in question.choices.items() if "month first" in meaning)

    cells = ["03/04/2025", "05/06/2025"]
    assert typed(context, tmp_path, cells) == "properties.X"
    path = tmp_path / "people.csv"
    proposal, text = pipeline.init(path, context=context)
    assert "# Not sure: 'X': no cell says whether the day or the month comes first." in text
    assert [advice.about for advice in proposal.advice] == ["X"]
    assert typed(context, tmp_path, cells, ask=month_first) == {"type": "date", "format": "%m/%d/%Y"}
    assert [question.about for question in asked] == ["X"]


def test_the_country_of_phones_is_told_or_asked(context: Context, tmp_path: Path) -> None:
    american = [f"(415) 555-26{number:02}" for number in range(40)]
    path = written(tmp_path, ["Email", "Mobile"], list(zip(rows(40), american, strict=True)))
    mapping, proposal = proposed(context, path)
    assert "defaults" not in mapping, "the United States and Canada share +1: nobody guesses"
    assert [advice.about for advice in proposal.advice] == ["country"]
    mapping, _ = proposed(context, path, ask=lambda question: "US" if "US" in question.choices else question.safe)
    assert mapping["defaults"] == {"country": "US"}


def test_of_two_addresses_one_is_chosen_and_the_other_kept(context: Context, tmp_path: Path) -> None:
    people = [[f"work{number}@mapleshop.com" if number % 5 == 0 else "", mail] for number, mail in enumerate(rows(50))]
    path = written(tmp_path, ["Email", "E-Mail 2"], [[*person] for person in people])
    mapping, proposal = proposed(context, path)
    assert mapping["columns"]["E-Mail 2"] == "email"
    assert mapping["columns"]["Email"] == "properties.Email"
    assert [advice.about for advice in proposal.advice] == ["email"]


def test_addresses_are_found_whatever_their_column_is_called(context: Context, tmp_path: Path) -> None:
    path = written(tmp_path, ["Kontakt"], [[mail] for mail in rows(5)])
    mapping, _ = proposed(context, path)
    assert mapping["columns"] == {"Kontakt": "email"}


def test_phones_are_found_in_a_file_without_a_header(context: Context, tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text("Smith,+442079460123,London\nJones,+442079460124,Leeds\n", encoding="utf-8")
    mapping, _ = proposed(context, path)
    assert mapping["columns"]["column_2"] == "phone_number"


def test_nobody_to_be_identified_is_said_with_what_the_file_lacks(context: Context, tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text("Smith,4.5,London\nJones,7.1,Leeds\nLee,8.0,York\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        proposed(context, path)
    assert caught.value.code == "nobody-identified"
    assert "there is no header" in caught.value.hint


def test_a_column_that_only_sounds_like_one_is_not_taken_for_it(context: Context, tmp_path: Path) -> None:
    people = [[mail, "yes", "same"] for mail in rows(5)]
    path = written(tmp_path, ["Login", "Email", "Id"], people)
    mapping, _ = proposed(context, path)
    assert mapping["columns"]["Login"] == "email"
    assert (
        mapping["columns"]["Email"] == {"to": "properties.Email", "type": "boolean"}
        or mapping["columns"]["Email"] == "properties.Email"
    )
    assert mapping["columns"]["Id"] == "properties.Id"


def test_a_source_without_anybody_is_told(context: Context, tmp_path: Path) -> None:
    path = written(tmp_path, ["First name", "City"], [["Ann", "Lyon"], ["Ann", "Rome"]])
    with pytest.raises(ConfigError, match="no column holds an e-mail") as caught:
        proposed(context, path)
    assert caught.value.code == "nobody-identified"
    assert "'First name'" in caught.value.hint


@pytest.mark.parametrize(
    ("country", "zips", "pad"),
    [
        ("United States", ["1040", "10001", "501", "94103-1234", "2138-0001"], 5),
        ("Deutschland", ["1067", "80331", "04109"], 5),
        ("Norge", ["150", "5003"], 4),
        ("România", ["10011", "400001"], 6),
        ("Österreich", ["1010", "8010"], None),  # whole codes
        ("United States", ["10001", "94103"], None),  # nothing is lost
        ("United States", ["1040", "K1A 0B1", "n/a", "10001"], None),  # not all are codes
        ("United Kingdom", ["1040", "10001"], None),  # not written in digits
        ("US;DE", ["1040", "10001"], None),  # of several countries
        (";US", ["1040", "10001"], None),  # of one, and of nobody knows which
    ],
)
def test_postal_codes_get_their_zeros_back_where_one_country_says_how_many(
    context: Context, tmp_path: Path, country: str, zips: list[str], pad: int | None
) -> None:
    countries = country.split(";")
    people = [[mail, zips[place % len(zips)], countries[place % len(countries)]] for place, mail in enumerate(rows(20))]
    path = written(tmp_path, ["Email", "Zip", "Country"], people)
    mapping, proposal = proposed(context, path)
    wanted = "location.zip" if pad is None else {"to": "location.zip", "transform": [{"pad": pad}]}
    assert mapping["columns"]["Zip"] == wanted
    assert [advice.sure for advice in proposal.advice if advice.about == "location.zip"] == ([True] if pad else [])
    if pad is not None:
        report = pipeline.check(path, mapping, context=context)
        assert (report.errors, report.warnings) == (0, 0)


# --- other sources ----------------------------------------------------------------------------------------------------


def test_a_spreadsheet(context: Context, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in [["Customers"], [], ["Email", "Points"], *([mail, 7 + place] for place, mail in enumerate(rows(9)))]:
        sheet.append(row)
    book.save(tmp_path / "people.xlsx")
    mapping, _ = proposed(context, tmp_path / "people.xlsx")
    assert mapping["columns"]["Points"]["type"] == "integer"
    assert mapping["source"] == {"path": "people.xlsx"}
    assert pipeline.check(tmp_path / "people.xlsx", mapping, context=context).tally.read == 9


def test_a_query(context: Context, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.execute("CREATE TABLE customers (id INTEGER PRIMARY KEY, email TEXT, vip INTEGER)")
        database.executemany("INSERT INTO customers (email, vip) VALUES (?, 1)", [(mail,) for mail in rows(5)])
    rule = SourceRule(url=f"sqlite:///{tmp_path / 'shop.db'}", query="SELECT * FROM customers ORDER BY id")
    proposal, text = pipeline.init(None, rule=rule, context=context)
    mapping = tomllib.loads(text)
    assert mapping["source"]["query"] == "SELECT * FROM customers ORDER BY id"
    assert mapping["columns"]["email"] == "email"
    assert proposal.rows == 5
    assert pipeline.check(None, mapping, context=context).tally.read == 5


def test_memory_is_bounded_and_the_sample_is_spread() -> None:
    import pandas as pd  # noqa: PLC0415 - only here

    profiler = Profiler(["N"])
    for start in range(0, 100_000, 5_000):
        profiler.add(pd.DataFrame({"N": [str(number) for number in range(start, start + 5_000)]}, dtype="str"))
    (facts,) = profiler.facts()
    assert (facts.rows, facts.filled) == (100_000, 100_000)
    assert len(facts.cells) <= 5_000
    assert int(facts.cells[-1]) > 90_000


# --- what is written --------------------------------------------------------------------------------------------------


@settings(max_examples=examples(10), deadline=None)
@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=12).filter(
            # An address or a phone in the first row is somebody, and no name of a column.
            lambda text: text.strip() and kind_of(text) not in {Kind.ADDRESS, Kind.PHONE}
        ),
        min_size=1,
        max_size=4,
        unique_by=lambda text: text.strip(),
    )
)
def test_any_header_makes_a_file_that_runs(headers: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        context = Context(Settings(state=str(Path(folder) / "state.db")), output=Path(folder) / "runs")
        path = written(
            Path(folder),
            ["Email", *headers],
            [[mail, *["x"] * len(headers)] for mail in rows(3)],
            quoting=csv.QUOTE_ALL,
        )
        proposal, text = pipeline.init(path, context=context, beside=path.parent)
        assert {column.facts.header for column in proposal.columns if column.rule} == set(
            tomllib.loads(text)["columns"]
        )
        made = path.with_suffix(".toml")
        made.write_text(text, encoding="utf-8")
        assert pipeline.check(None, made, context=context).tally.read == 3


@given(st.text(min_size=3, max_size=40))
def test_an_example_shows_the_shape_and_not_the_cell(cell: str) -> None:
    shown = mask(cell)
    letters = [letter for letter in cell if letter.isalnum()]
    if len(letters) > 6 and "@" not in cell:
        assert cell not in shown
    assert sum(letter.isdigit() and letter != "9" for letter in shown.partition(" (")[0]) <= 1


def test_examples_of_real_shapes() -> None:
    assert mask("ann.lee@mapleshop.com") == "a…@m….com"
    assert mask("+44 7911 123456") == "+99 9999 999999"
    assert mask("Lyon") == "L… (4 characters)"


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_writes_says_and_does_not_overwrite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = written(tmp_path, ["Email", "Joined", "Empty"], [[mail, "03/04/2025", ""] for mail in rows(4)])
    run = CliRunner().invoke(command, [path.name, "--yes"])
    assert run.exit_code == 0, run.output
    assert "p…@m….com" in run.output
    assert "mapleshop" not in run.output
    assert "Empty (every cell is empty)" in run.output
    assert "Not sure, please look" in run.output
    assert "Written: people.toml. Next: klaviyo-etl check people.csv" in run.output
    assert load_mapping(tmp_path / "people.toml").columns["Email"].to == "email"
    again = CliRunner().invoke(command, [path.name, "--yes"])
    assert isinstance(again.exception, UsageError)
    assert again.exception.code == "file-exists"
    assert CliRunner().invoke(command, [path.name, "--yes", "--overwrite"]).exit_code == 0


def test_on_a_terminal_it_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = written(tmp_path, ["Email", "Joined"], [[mail, "03/04/2025"] for mail in rows(4)])
    monkeypatch.setattr("etl.console.Console.interactive", property(lambda _self: True))
    monkeypatch.setattr(sys.modules["etl.cli.commands.init"], "on_terminal", lambda: True)
    run = CliRunner().invoke(command, [path.name], input="1\n")
    assert run.exit_code == 0, run.output
    assert "day first" in run.output
    assert load_mapping(tmp_path / "people.toml").columns["Joined"].format == "%d/%m/%Y"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [([], "source-missing"), (["-"], "output-missing"), (["a.csv", "--url", "sqlite:///x.db"], "source-missing")],
)
def test_what_does_not_make_sense_is_told(
    arguments: list[str], code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = CliRunner().invoke(command, arguments)
    assert isinstance(run.exception, UsageError)
    assert run.exception.code == code


@pytest.mark.parametrize(
    ("header", "cells", "said"),
    [
        ("First name", ["JosÃ©", "Ann"], "letters that were read in a wrong encoding (10)"),
        ("City", ["#N/A", "Bonn"], "an error of a formula (10)"),
        ("City", ["NULL", "Bonn"], "a word for nothing (10)"),
        ("First name", ["Jos&eacute;", "Ann"], "HTML entities (10)"),
        ("City", ["K\ufffdln", "Bonn"], "letters that are lost (10)"),
    ],
)
def test_damaged_cells_are_told_before_anything_is_imported(
    context: Context, tmp_path: Path, header: str, cells: list[str], said: str
) -> None:
    path = written(tmp_path, ["Email", header], [[who, cells[at % 2]] for at, who in enumerate(rows(20))])
    _, proposal = proposed(context, path)
    (advice,) = (each for each in proposal.advice if each.about == header)
    assert said in advice.text
    assert "of 20 cells" in advice.text
    assert not any(cell in advice.text for cell in cells), "no cell is shown"


def test_whole_text_is_not_spoken_of(context: Context, tmp_path: Path) -> None:
    path = written(tmp_path, ["Email", "City"], [[who, "Köln"] for who in rows(20)])
    assert not any("some hold" in advice.text for advice in proposed(context, path)[1].advice)


@pytest.mark.parametrize("first", [4111111111111111, 9007199254740993, 1234567890123456789012])
def test_numbers_of_many_digits_are_ids_and_nobody_is_asked_for_a_decimal_sign(
    context: Context, tmp_path: Path, first: int
) -> None:
    path = written(tmp_path, ["Email", "Loyalty"], [[who, str(first + at)] for at, who in enumerate(rows(30))])
    asked: list[Question] = []

    def ask(question: Question) -> str:
        asked.append(question)
        return str(question.safe)

    mapping, _ = proposed(context, path, ask=ask)
    assert not [question for question in asked if "decimal" in question.text]
    rule = mapping["columns"].get("Loyalty")
    assert rule is None or isinstance(rule, str) or rule.get("type", "text") == "text"
