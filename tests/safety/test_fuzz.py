"""Fuzzing what comes from outside: files, mappings, answers, a damaged state. No traceback, no lost row, no hang."""

from __future__ import annotations

import contextlib
import random
import tomllib
from pathlib import Path
from typing import Any

import orjson
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from etl import pipeline
from etl.config import load_mapping, parse_mapping
from etl.errors import ConfigError, EtlError, SourceError
from etl.extract import open_source
from etl.klaviyo import ReplyKind, job_of, profile_of
from etl.klaviyo.resources import account_of, job_error_of, list_of
from etl.klaviyo.transport.reply import classify, retry_after
from etl.load.profiles.proof import count_job
from etl.report import build_report
from tests.support.effort import examples
from tests.support.importer import ImporterFixture

QUIET = settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
PIECES = st.sampled_from(
    [
        b'"',
        b'""',
        b",",
        b";",
        b"\t",
        b"\n",
        b"\r\n",
        b"\r",
        b"a",
        b"\xc3\xa9",
        b"\xe9",
        b"\xff",
        b"\0",
        b" ",
        b"=1",
        b"x" * 50,
    ]
)
MESSY = st.lists(PIECES, max_size=60).map(b"".join)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@QUIET
@given(MESSY | st.binary(max_size=200))
@example(b'h,i\n"')
@example(b"\xff\xfeh\0,\0i\0\n\0")
@example(b",\n")
def test_any_bytes_are_read_or_refused_and_every_line_is_there_once(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "source.csv"
    path.write_bytes(data)
    try:
        source = open_source(path, chunk_rows=3)
    except SourceError:
        return
    lines: list[int] = []
    with source:
        for chunk in source.chunks():
            here = [*chunk.frame.index.tolist(), *(row.line for row in chunk.ragged)]
            lines += sorted(here)
            of_rows = {issue.line for issue in chunk.issues if not issue.code.startswith("header-")}
            assert of_rows <= {0, *here}
            assert {row.line for row in chunk.ragged} <= {issue.line for issue in chunk.issues}
    assert lines == sorted(set(lines))


@QUIET
@given(
    st.lists(
        st.lists(
            st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n\",;\t|\x1a'="), max_size=6),
            min_size=2,
            max_size=2,
        ),
        max_size=30,
    )
)
def test_no_row_of_a_plain_file_is_lost(tmp_path: Path, rows: list[list[str]]) -> None:
    path = tmp_path / "source.csv"
    path.write_text("h,i\n" + "".join(f"{one},{two}\n" for one, two in rows), encoding="utf-8", newline="")
    with open_source(path, encoding="utf-8", delimiter=",", header_row=1, chunk_rows=7) as source:
        read = [row for chunk in source.chunks() for row in chunk.frame.itertuples(index=True, name=None)]
        aside = sum(source.info.set_aside.values())
    # Marks of spreadsheets have tests of their own.
    filled = [(number + 2, *row) for number, row in enumerate(rows) if any(cell.strip() for cell in row)]
    # Blank rows, totals, footers and second headers are set aside, each counted.
    assert [row for row in filled if row in set(read)] == read
    assert len(read) + aside == len(rows)


@QUIET
@given(st.dictionaries(st.sampled_from(["source", "defaults", "columns", "profile", "load", "guards", "x"]), VALUES))
def test_any_document_is_a_mapping_or_a_clear_error(document: dict[str, Any]) -> None:
    with contextlib.suppress(ConfigError):
        parse_mapping(document)


@QUIET
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_file_is_a_mapping_or_a_clear_error(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "mapping.toml"
    path.write_bytes(data)
    try:
        load_mapping(path)
    except ConfigError:
        return
    tomllib.loads(data.decode("utf-8-sig"))


SOME = st.none() | st.text(max_size=5) | st.dictionaries(st.just("pointer"), st.text(max_size=30))
ENTRIES = st.lists(
    st.dictionaries(st.sampled_from(["id", "code", "detail", "source", "meta"]), SOME, max_size=4), max_size=3
)
ANSWERS = st.dictionaries(st.sampled_from(["data", "errors", "links"]), st.none() | ENTRIES).map(orjson.dumps)
HEADERS = st.dictionaries(st.sampled_from(["retry-after", "x-klaviyo-partial-failure"]), st.text(max_size=20))


@QUIET
@given(st.integers(200, 599), HEADERS, st.binary(max_size=80) | ANSWERS)
def test_any_answer_is_classified(status: int, headers: dict[str, str], body: bytes) -> None:
    reply = classify(status, headers, body, 1_800_000_000.0)
    assert (reply.kind in {ReplyKind.OK, ReplyKind.MALFORMED}) == (status < 300)
    assert reply.retry_after is None or 0 <= reply.retry_after <= 3_600
    assert isinstance(reply.says, str)


@QUIET
@given(st.text(max_size=30))
@example("nan")
@example("inf")
@example("-5")
@example("Wed, 21 Oct 2099 07:28:00 GMT")
def test_any_retry_after_is_a_wait_or_nothing(text: str) -> None:
    wait = retry_after(text, 1_800_000_000.0)
    assert wait is None or 0 <= wait <= 3_600


@QUIET
@given(st.dictionaries(st.sampled_from(["id", "attributes", "relationships", "type"]), VALUES))
def test_any_resource_is_parsed(item: dict[str, Any]) -> None:
    job = job_of(item)
    errors = [job_error_of(item), job_error_of({"attributes": {"original_payload": item}})]
    assert count_job(job, errors, {2: {"email": "a@b.co"}}).proven is False
    for parse in (account_of, list_of, profile_of):
        assert parse(item).id is not None


def test_a_damaged_state_is_refused_or_read_and_never_a_traceback(desk: ImporterFixture) -> None:
    """Bytes of the file are overturned, page after page, as a dying disk does."""
    desk.write([*((f"c{number}", f"p{number}@mapleshop.com", "Ann") for number in range(40)), ("", "bad", "x")])
    run_id = desk.run().run
    path = Path(desk.context.settings.state)
    sound = path.read_bytes()
    chance = random.Random(5)
    outcomes = {"read": 0, "refused": 0}
    for _ in range(150):
        damaged = bytearray(sound)
        for _ in range(chance.randrange(1, 40)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        path.write_bytes(bytes(damaged))
        for leftover in path.parent.glob(f"{path.name}-*"):
            leftover.unlink()
        try:
            with desk.context.open_store() as store:
                build_report(store, run_id)
                list(store.source_rows.to_fix(run_id))
            pipeline.runs(context=desk.context)
            outcomes["read"] += 1
        except EtlError:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 0, outcomes
