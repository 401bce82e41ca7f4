"""Days: what is sent of them is said, noon where it was chosen; nobody sends rows again for the option's sake."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from etl.config import parse_mapping
from etl.errors import ConfigError, ExitCode
from tests.support.shop import Shop

MAPPING = '[columns]\n"Email" = "email"\n"Birthday" = {{ to = "properties.birthday", type = "date"{time} }}\n'


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Shop]:
    made = Shop(tmp_path, monkeypatch, capsys)
    made.write("people.csv", "Email,Birthday\nann@mapleshop.com,1944-05-01\n")
    yield made
    made.close()


@pytest.mark.parametrize(
    ("time", "sent", "words"),
    [("", "1944-05-01", "midnight UTC"), (', time = "noon"', "1944-05-01 12:00:00", "sent as noon (12:00:00)")],
)
def test_check_plan_and_run_say_what_is_sent_of_a_day(shop: Shop, time: str, sent: str, words: str) -> None:
    shop.write("people.toml", MAPPING.format(time=time))
    for command in ("check", "plan", "run"):
        said = shop.run(command, "people.csv", "--yes")
        assert said.code == ExitCode.OK
        assert words in said.out, command
        assert "'Birthday'" in said.out
    (profile,) = shop.profiles()
    assert profile["properties"]["birthday"] == sent


def test_a_mapping_without_days_says_nothing_of_them(shop: Shop) -> None:
    shop.write("people.toml", '[columns]\n"Email" = "email"\n"Birthday" = "properties.birthday"\n')
    assert "noon" not in shop.run("check", "people.csv").out


def test_init_offers_noon(shop: Shop) -> None:
    shop.write("people.csv", "Email,Birthday\n" + "".join(f"p{n}@mapleshop.com,1944-05-{n:02}\n" for n in range(1, 29)))
    assert shop.run("init", "people.csv", "--yes").code == ExitCode.OK
    text = (shop.folder / "people.toml").read_text(encoding="utf-8")
    (line,) = [line for line in text.splitlines() if line.startswith("Birthday")]
    assert 'time = "noon"' in line.partition("#")[2]


def test_the_option_counts_only_where_it_is_used(shop: Shop) -> None:
    """Who does not use it has the same hash as before there was such an option, so no row is sent again for it."""
    columns = {"Email": "email", "Birthday": {"to": "properties.birthday", "type": "date"}}
    assert parse_mapping({"columns": columns}).hash == "46b312454243e01a87b5e7b0d2568320"
    noon = {**columns, "Birthday": {**columns["Birthday"], "time": "noon"}}  # type: ignore[dict-item]
    assert parse_mapping({"columns": noon}).hash != parse_mapping({"columns": columns}).hash


@pytest.mark.parametrize(
    "rule",
    [
        {"to": "properties.x", "time": "noon"},
        {"to": "properties.x", "type": "integer", "time": "noon"},
        {"to": "properties.x", "type": "date", "time": "midnight"},
        {"to": "consent.email_at", "type": "date", "time": "noon"},
    ],
)
def test_a_time_is_for_days_of_custom_properties(rule: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="time"):
        parse_mapping({"columns": {"Email": "email", "Ok": "consent.email", "X": rule}})


def test_a_locale_reaches_klaviyo_in_one_spelling_or_not_at_all(shop: Shop) -> None:
    cells = {"en_US": "en-US", "EN-us": "en-US", "zh_Hant_TW": "zh-Hant-TW", "pt-br": "pt-BR", "klingonese": None}
    rows = [f"p{number}@mapleshop.com,{cell}" for number, cell in enumerate(cells)]
    shop.write("people.csv", "\n".join(["Email,Language", *rows]) + "\n")
    shop.write("people.toml", '[columns]\n"Email" = "email"\n"Language" = "locale"\n')
    said = shop.run("run", "people.csv", "--yes", "--format", "json")
    assert said.code == ExitCode.OK
    assert sorted((one["email"], one.get("locale")) for one in shop.profiles()) == [
        (f"p{number}@mapleshop.com", tag) for number, tag in enumerate(cells.values())
    ]
    (issue,) = [one for one in json.loads(said.out)["issues"] if one["code"] == "locale-invalid"]
    assert (issue["severity"], issue["lines"]) == ("warning", [6])
