"""JSON is read whatever its shape: lines, an array of objects, one inside of an object, objects in a row."""

from __future__ import annotations

import io
import json
import tracemalloc
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.errors import SourceError
from etl.extract import open_source
from etl.extract.json.scan import JsonReader
from tests.support.effort import examples

PEOPLE = [
    {"email": "ann@mapleshop.com", "address": {"city": "Köln", "zip": "01040"}, "tags": ["a", "]"], "vip": True},
    {"email": "bob@mapleshop.com", "note": 'say "hi", {twice}\\', "spent": 12.5},
]
WANTED = [
    ["ann@mapleshop.com", "Köln", "01040", '["a","]"]', "true", None, None],
    ["bob@mapleshop.com", None, None, None, None, 'say "hi", {twice}\\', "12.5"],
]
ROWS = ",".join(json.dumps(person, ensure_ascii=False) for person in PEOPLE)
PRETTY = json.dumps(PEOPLE, indent=2, ensure_ascii=False)
SHAPES = {
    "an array": ("a.json", f"[{ROWS}]", ""),
    "an array, pretty": ("a.json", PRETTY, ""),
    "an array with a BOM and blank lines": ("a.json", f"\ufeff\r\n [{ROWS}]\r\n\r\n", ""),
    "an array named .txt": ("a.txt", PRETTY, ""),
    "an array named .jsonl": ("a.jsonl", PRETTY, ""),
    "an array on one line named .jsonl": ("a.jsonl", f"[{ROWS}]", ""),
    "a comma too many": ("a.json", f"[{ROWS},]", ""),
    "inside of an object": ("a.json", f'{{"count": 2, "customers": [{ROWS}], "next": null}}', "customers"),
    "two objects deep": (
        "a.json",
        f'{{"ok": [1, 2], "data": {{"page": {{"size": 9}}, "people": [{ROWS}], "none": []}}}}',
        "data.people",
    ),
    "an object a line, named .json": ("a.json", "\n".join(map(json.dumps, PEOPLE)), ""),
    "objects in a row, pretty": ("a.json", "\n".join(json.dumps(person, indent=1) for person in PEOPLE), ""),
}


def rows_of(path: Path) -> tuple[list[list[str | None]], tuple[str, ...]]:
    with open_source(path, chunk_rows=1) as source:
        found: list[list[str | None]] = []
        for chunk in source.chunks():
            cells = chunk.frame.astype(object).where(chunk.frame.notna(), None)
            found += cells.to_numpy().tolist()
        return found, source.info.notes


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_every_shape_of_json_reads_the_same(shape: str, encoding: str, tmp_path: Path) -> None:
    file, text, name = SHAPES[shape]
    path = tmp_path / file
    path.write_bytes(text.encode(encoding) if encoding == "utf-8" else text.removeprefix("\ufeff").encode(encoding))
    rows, notes = rows_of(path)
    assert rows == WANTED
    assert [note for note in notes if "of the object" in note] == (
        [f"read from {name!r} of the object"] if name else []
    )


@pytest.mark.parametrize("codec", ["utf-8", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("array", [True, False])
def test_half_a_surrogate_costs_its_row(tmp_path: Path, codec: str, *, array: bool) -> None:
    people = ['{"Email": "ann@x.de", "Name": "A\ud800"}', '{"Email": "bob@x.de", "Name": "Bö"}']
    text = f"[{','.join(people)}]" if array else "\n".join(people)
    path = tmp_path / "a.json"
    path.write_bytes(("\ufeff" + text).encode(codec, "surrogatepass"))
    with open_source(path) as source:
        chunks = list(source.chunks())
    assert [row for chunk in chunks for row in chunk.frame["Name"]] == ["Bö"]
    assert [(issue.line, issue.code) for chunk in chunks for issue in chunk.issues] == [(1, "row-not-json")]


def test_one_object_is_one_person(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for text in ('{"email": "ann@mapleshop.com"}', '{\n  "email": "ann@mapleshop.com"\n}\n'):
        path.write_text(text)
        assert rows_of(path)[0] == [["ann@mapleshop.com"]]


def test_what_is_no_object_costs_itself(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('[{"email": "ann@mapleshop.com"}, 7, "x]", null, [{"email": 1}], {"email": nope}, {"email": "b"}]')
    with open_source(path) as source:
        chunks = list(source.chunks())
    assert [row for chunk in chunks for row in chunk.frame["email"].tolist()] == ["ann@mapleshop.com", "b"]
    assert [int(line) for chunk in chunks for line in chunk.frame.index] == [1, 7]
    assert {issue.line: issue.code for chunk in chunks for issue in chunk.issues} == dict.fromkeys(
        range(2, 7), "row-not-json"
    )


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (PRETTY[:-30], "source-damaged"),
        (PRETTY[:-1], "source-damaged"),
        (f"[{ROWS}] and more", "source-damaged"),
        (f'{{"customers": [{ROWS}]', "source-damaged"),
        ('{"customers" [1]}', "source-damaged"),
        ('{"customers": ]', "source-damaged"),
        (f'{{"customers": [{ROWS}], "orders": [{{"id": 1}}]}}', "source-ambiguous"),
        ("[1, 2, 3]", "source-empty"),
        ('[["Email"], ["ann@mapleshop.com"]]', "source-empty"),
        ("[]", "source-empty"),
        ("{}", "source-empty"),
        ("nothing", "source-binary"),
        ('"ann@mapleshop.com"', "source-binary"),
    ],
)
def test_what_holds_no_rows_is_said(text: str, code: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(SourceError) as refused:
        open_source(path)
    assert refused.value.code == code
    assert refused.value.hint
    assert "mapleshop" not in str(refused.value)


def test_memory_stays_flat_over_an_array_on_one_line() -> None:
    person = orjson.dumps({"email": "ann@mapleshop.com", "note": "x" * 4_000, "orders": [{"id": "1"}]})

    class Endless(io.RawIOBase):
        """Thirty megabytes that stand nowhere."""

        left = 30

        def read(self, size: int = -1, /) -> bytes:
            self.left -= 1
            return b",".join([person] * (size // len(person))) + b"," if self.left else b"]"

    tracemalloc.start()
    elements = JsonReader(Endless()).elements(b"]")  # type: ignore[arg-type]  # all it needs
    read = sum(1 for _ in elements)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert read > 7_000
    assert peak < 10_000_000


ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=examples(20), deadline=None)
@given(st.lists(ANY, max_size=6), st.sampled_from([None, 1]), st.booleans(), st.integers(1, 9))
def test_any_array_comes_apart_where_its_values_end(
    values: list[object],
    indent: int | None,
    ascii_only: bool,  # noqa: FBT001 - of hypothesis
    block: int,
) -> None:
    """However the stream is cut into blocks."""

    class Trickle(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(block if size else size)

    text = json.dumps(values, indent=indent, ensure_ascii=ascii_only).encode()
    reader = JsonReader(Trickle(text))
    reader.take(b"[")
    assert [json.loads(value) for value in reader.elements(b"]")] == values
    reader.end()
