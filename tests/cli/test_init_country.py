"""init never invents the country of phones: it says why, or asks, and shows what each answer makes of real cells."""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import phonenumbers
import pytest
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from etl import pipeline
from etl.cli.commands.init import _answer
from etl.config import Settings
from etl.discover import Proposal, Question
from etl.pipeline import Context

CUSTOMERS: dict[str, tuple[str, str, Sequence[str], str]] = {
    "NL": ("{}@bakker.nl", "3511 AB", ("Utrecht", "Leiden"), "Woonplaats"),
    "BE": ("{}@peeters.be", "9000", ("Gent", "Antwerpen"), "Ville"),
    "FR": ("{}@dupont.fr", "69003", ("Lyon", "Lille"), "Ville"),
    "DE": ("{}@bauer.de", "50667", ("Köln", "Bonn"), "Ort"),
    "AT": ("{}@huber.at", "8010", ("Graz", "Linz"), "Ort"),
    "CH": ("{}@meier.ch", "8001", ("Zürich", "Bern"), "Ort"),
    "GB": ("{}@smith.co.uk", "SW1A 1AA", ("London", "Leeds"), "City"),
    "ES": ("{}@garcia.es", "28013", ("Madrid", "Sevilla"), "Ciudad"),
    "IT": ("{}@rossi.it", "20121", ("Milano", "Torino"), "Città"),
    "PL": ("{}@nowak.pl", "31-042", ("Kraków", "Gdynia"), "Miasto"),
    "SE": ("{}@berg.se", "411 05", ("Göteborg", "Lund"), "Ort"),
    "AU": ("{}@jones.com.au", "3000", ("Melbourne", "Perth"), "City"),
    "BR": ("{}@silva.com.br", "01310-100", ("São Paulo", "Curitiba"), "Cidade"),
}


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(Settings(state=str(tmp_path / "state.db")))


def mobiles(country: str, count: int = 80) -> list[str]:
    """Return mobile numbers of a country as people write them there, without +."""
    example = phonenumbers.example_number_for_type(country, PhoneNumberType.MOBILE)
    assert example is not None
    assert example.national_number is not None
    found = []
    for number in range(count * 40):
        changed = phonenumbers.PhoneNumber(
            country_code=example.country_code, national_number=example.national_number - number * 7
        )
        if phonenumbers.is_valid_number_for_region(changed, country):
            found.append(phonenumbers.format_number(changed, PhoneNumberFormat.NATIONAL))
        if len(found) == count:
            break
    return found


def written(folder: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Path:
    path = folder / "people.csv"
    with path.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([header, *rows])
    return path


def proposed(context: Context, path: Path, **options: Any) -> tuple[dict[str, Any], Proposal]:
    proposal, text = pipeline.init(path, context=context, **options)
    return tomllib.loads(text), proposal


def customers(country: str, numbers: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    mail, code, cities, city = CUSTOMERS[country]
    rows = [
        [mail.format(f"person{place}"), number, code, cities[place % len(cities)]]
        for place, number in enumerate(numbers)
    ]
    return ["E-mail", "Mobile", "Zip", city], rows


@pytest.mark.parametrize("country", CUSTOMERS)
def test_what_the_rest_of_the_file_says_is_taken_and_said_with_its_evidence(
    country: str, context: Context, tmp_path: Path
) -> None:
    mapping, proposal = proposed(context, written(tmp_path, *customers(country, mobiles(country))))
    assert mapping["defaults"] == {"country": country}
    (advice,) = [each for each in proposal.advice if each.about == "country"]
    assert advice.sure
    assert "100 % of the mail domains" in advice.text
    assert "cities" in advice.text


@pytest.mark.parametrize("country", CUSTOMERS)
def test_numbers_alone_never_say_it(country: str, context: Context, tmp_path: Path) -> None:
    rows = [[f"person{place}@gmail.com", number] for place, number in enumerate(mobiles(country))]
    mapping, proposal = proposed(context, written(tmp_path, ["Email", "Mobile"], rows))
    assert "defaults" not in mapping
    assert [each.sure for each in proposal.advice if each.about == "country"] == [False]


@pytest.mark.parametrize(
    ("mails", "code", "city"),
    [
        pytest.param("nl", "1000", "Gent", id="Dutch mails, Belgian places"),
        pytest.param("be", "3511 AB", "Utrecht", id="Belgian mails, Dutch places"),
        pytest.param("fr", "3511 AB", "Lyon", id="French mails and cities, Dutch codes"),
    ],
)
def test_what_speaks_against_each_other_is_asked(
    mails: str, code: str, city: str, context: Context, tmp_path: Path
) -> None:
    rows = [[f"p{place}@x.{mails}", number, code, city] for place, number in enumerate(mobiles("FR"))]
    mapping, _ = proposed(context, written(tmp_path, ["Email", "Mobile", "Zip", "City"], rows))
    assert "defaults" not in mapping


def test_the_question_shows_real_cells_and_what_each_answer_makes_of_them(context: Context, tmp_path: Path) -> None:
    asked: list[Question] = []

    def ask(question: Question) -> str:
        asked.append(question)
        return question.safe

    numbers = [f"06 30 75 {place:02} 16" for place in range(20, 60)]
    rows = [[f"person{place}@gmail.com", number] for place, number in enumerate(numbers)]
    path = written(tmp_path, ["Email", "Mobile"], rows)
    _, text = pipeline.init(path, context=context, ask=ask)
    (question,) = [each for each in asked if each.about == "country"]
    assert "06 30 75 20 16 → +31630752016" in question.choices["NL"]
    assert "06 30 75 20 16 → +33630752016" in question.choices["FR"]
    assert "none" in question.choices
    assert "06 30 75" not in text, "no cell of a person stands in the mapping"


def answering(typed: str) -> Callable[[Question], str]:
    """Answer the country as the terminal does; everything else safely."""

    def ask(question: Question) -> str:
        return _answer(question, typed) if question.about == "country" else question.safe

    return ask


@pytest.mark.parametrize(
    ("typed", "country"),
    [
        ("Nederland", "NL"),
        ("pays-bas", "NL"),
        ("NL", "NL"),
        ("nld", "NL"),
        ("Österreich", "AT"),
        ("日本", "JP"),
        ("none", None),
        ("keine", None),
        ("aucun", None),
    ],
)
def test_an_answer_may_be_a_name_in_any_language(
    typed: str, country: str | None, context: Context, tmp_path: Path
) -> None:
    rows = [[f"person{place}@gmail.com", number] for place, number in enumerate(mobiles("NL", 40))]
    mapping, _ = proposed(context, written(tmp_path, ["Email", "Mobile"], rows), ask=answering(typed))
    assert mapping.get("defaults") == ({"country": country} if country else None)


def test_a_landline_is_not_chosen_over_a_mobile_unasked(context: Context, tmp_path: Path) -> None:
    landlines = [f"030 2345{place:03}" for place in range(80)]
    mobile = mobiles("DE")
    rows = [
        [f"person{place}@bauer.de", landline, number if place % 4 == 0 else ""]
        for place, (landline, number) in enumerate(zip(landlines, mobile, strict=True))
    ]
    for header in (["E-Mail", "Telefon", "Mobil"], ["E-Mail", "Phone", "Cell phone"]):
        asked: list[Question] = []

        def ask(question: Question, heard: list[Question] = asked) -> str:
            heard.append(question)
            return question.safe

        mapping, _ = proposed(context, written(tmp_path, header, rows), ask=ask)
        assert [question.safe for question in asked if question.about == "phone_number"] == [header[2]]
        columns = {name: rule if isinstance(rule, str) else rule["to"] for name, rule in mapping["columns"].items()}
        assert columns[header[2]] == "phone_number"
        assert columns[header[1]] == f"properties.{header[1]}"
