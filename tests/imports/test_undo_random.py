"""Random accounts, random imports, random edits: after the undo each field is what the rule says, and nothing else."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, Final

import orjson
import pytest

from tests.support.effort import examples
from tests.support.undo_desk import UndoDesk, parts

PEOPLE: Final = 14
COLUMNS: Final[dict[str, Any]] = {
    "Id": "external_id",
    "Email": "email",
    "Name": {"to": "first_name", "write": "clear_if_blank"},
    "City": "location.city",
    "Tier": {"to": "properties.tier", "write": "unset_if_blank"},
    "Once": {"to": "properties.once", "write": "only_if_existing_blank"},
    "Score": {"to": "properties.score", "type": "integer"},
    "Tags": {"to": "properties.tags", "type": "list", "separator": ",", "write": "append"},
    "Less": {"to": "properties.less", "type": "list", "separator": ",", "write": "remove"},
}
LISTS: Final = ("properties.tags", "properties.less")
Account = dict[str, dict[str, Any]]


def account(desk: UndoDesk) -> Account:
    """Return e-mail → field → value, with the names of the lists among the fields."""
    found: Account = {}
    for line in desk.sandbox.dump().splitlines():
        if line:
            person = orjson.loads(line)
            flat = {name: value for name, value in person.items() if name not in {"location", "properties"}}
            for section in ("location", "properties"):
                flat |= {f"{section}.{name}": value for name, value in person.get(section, {}).items()}
            found[person["email"]] = {name: value for name, value in flat.items() if value is not None}
    return found


def rows(rng: random.Random) -> list[tuple[str, ...]]:
    def items() -> str:
        return ",".join(rng.sample("abcd", rng.randint(0, 3)))

    return [
        (
            str(number),
            f"person{number}@mapleshop.com",
            rng.choice(["", "Ann", "Bob"]),
            rng.choice(["", "Oslo", "Rome"]),
            rng.choice(["", "gold", "silver"]),
            rng.choice(["", "x", "y"]),
            rng.choice(["", "1", "2"]),
            items(),
            items(),
        )
        for number in rng.sample(range(PEOPLE), rng.randint(6, 10))
    ]


def edit(desk: UndoDesk, rng: random.Random, people: Account) -> None:
    for email in rng.sample(sorted(people), 4):
        properties = {
            name: value
            for name, value in (
                ("tier", rng.choice(["theirs", "gold"])),
                ("score", rng.choice([7, 1])),
                ("tags", rng.sample(["a", "b", "theirs"], 2)),
                ("less", rng.sample(["a", "b", "theirs"], 2)),
            )
            if rng.random() < 0.4
        }
        desk.edit(email, first_name=rng.choice(["Their", "Ann"]), properties=properties)


def expected(field: str, was: Any, left: Any, now: Any) -> Any:
    """Say what a field is after the undo: as before where nobody touched it, by items in lists, else as it is."""
    if now == left:
        return was
    lists = [[] if one is None else one for one in (was, left, now)]
    if field in LISTS and now is not None and left is not None:
        had, ran, there = lists
        stays = [item for item in there if item in had or item not in ran]
        back = [item for item in had if item not in ran and item not in there]
        return [*stays, *back] or (None if was is None else [])
    return now


@pytest.mark.parametrize("seed", range(examples(3)))
def test_each_field_is_what_the_rule_says(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    desk = UndoDesk(tmp_path, lists=("News", "VIP"), time=1_800_000_000.0)
    desk.columns = COLUMNS
    header = tuple(COLUMNS)

    def import_(**load: Any) -> str:
        desk.write(rows(rng), header)
        desk.mapping = {"columns": COLUMNS, "load": {**desk.load, **load}}
        desk.clock.time += 1_000
        return desk.run().run

    import_(list="VIP")
    before = account(desk)
    run = import_(list="News", remove_from_list="VIP")
    left = account(desk)
    edit(desk, rng, before)
    now = account(desk)
    report = desk.undo(run)
    after = account(desk)
    assert set(after) == set(left)
    for email in before:
        was, ran, there, ended = (one[email] for one in (before, left, now, after))
        for field in {*was, *ran, *there, *ended}:
            wanted = expected(field, was.get(field), ran.get(field), there.get(field))
            assert ended.get(field) == wanted, (email, field)
    created = set(left) - set(before)
    assert all(after[email] == {**now[email], "lists": []} for email in created)
    assert parts(report).get("created-left", 0) == len(created)
    desk.clock.time += 1_000
    assert parts(desk.undo(report.run)).keys() <= {"restored", "kept"}
    again = account(desk)
    assert {email: again[email]["lists"] for email in again} == {email: now[email]["lists"] for email in now}
