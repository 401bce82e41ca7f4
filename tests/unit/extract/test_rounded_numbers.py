"""A float that names several whole numbers is not written as one of them: whoever needs the digits sees them gone."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from etl.extract import open_source
from etl.extract.cells import text_of


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (12.0, "12"),
        (9007199254740991.0, "9007199254740991"),
        (float(2**53), "9.007199254740992E+15"),
        (1.2345678901234568e18, "1.2345678901234568E+18"),
        (1e18, "1E+18"),
        (1e22, "1E+22"),
        (2**63, "9223372036854775808"),
        (0.1, "0.1"),
        (1e-7, "0.0000001"),
    ],
)
def test_a_number_is_written_as_far_as_it_is_known(value: float, text: str) -> None:
    assert text_of(value) == text


def test_rounded_ids_of_parquet_and_json_are_told(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": pa.array([1234567890123456789.0, 77.0])}), tmp_path / "a.parquet")
    (tmp_path / "b.jsonl").write_text(
        "\n".join(json.dumps({"id": number}) for number in (1234567890123456789012, 77)) + "\n", encoding="utf-8"
    )
    for name, expected in (("a.parquet", "1.2345678901234568E+18"), ("b.jsonl", "1.2345678901234568E+21")):
        with open_source(tmp_path / name) as source:
            (chunk,) = source.chunks()
        assert chunk.frame["id"].tolist() == [expected, "77"]
