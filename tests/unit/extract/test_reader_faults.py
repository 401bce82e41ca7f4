"""A fault of a reader is said of the user's file, exit 3; errors of cells cost those cells; far cells cost nothing."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from etl.cli import _main
from etl.errors import ExitCode, SourceError
from etl.extract import open_source
from etl.extract.spreadsheet import reader
from tests.support.sheet_parts import people, row, sheet, text, write

MAPPING = '[columns]\n"Email" = "email"\n"First Name" = "first_name"\n'
ERRORS = (
    *("#DIV/0!", "#N/A", "#NAME?", "#NULL!", "#NUM!", "#REF!", "#VALUE!"),
    *("#SPILL!", "#CALC!", "#FIELD!", "#BLOCKED!", "#GETTING_DATA", "#CONNECT!", "#UNKNOWN!", "#PYTHON!", "#BUSY!"),
    *("#EXTERNAL!", "#TIMEOUT!", "#NEXT_YEAR!", "Fehler:502", ""),
)


def read(path: Path) -> tuple[dict[int, tuple[Any, ...]], list[tuple[int, str, str | None]]]:
    with open_source(path) as source:
        chunks = list(source.chunks())
        return (
            {line[0]: line[1:] for chunk in chunks for line in chunk.frame.itertuples(name=None)},
            [(issue.line, issue.code, issue.column) for chunk in chunks for issue in chunk.issues],
        )


def checked(folder: Path, name: str, patch: pytest.MonkeyPatch) -> int:
    patch.chdir(folder)
    patch.delenv("KLAVIYO_PRIVATE_KEY", raising=False)
    (folder / "crm.toml").write_text(MAPPING)
    return _main(["check", name, "-m", "crm.toml"])


@pytest.mark.parametrize("quote", ['"', "'"])
@pytest.mark.parametrize("error", ERRORS)
def test_any_error_value_is_an_error_of_its_cell(tmp_path: Path, error: str, quote: str) -> None:
    broken = f'<c r="B3" t="e"><f>X(A1)</f><v>{error}</v></c>'.replace('"', quote)
    rows = [*people("Ann"), row(3, text("A3", "bob@mapleshop.com"), broken), people("Ann", "Bob", "Cy")[3]]
    found, issues = read(write(tmp_path / "a.xlsx", sheet(*rows)))
    assert found == {
        2: ("ann@mapleshop.com", "Ann"), 3: ("bob@mapleshop.com", ""), 4: ("cy@mapleshop.com", "Cy"),
    }  # fmt: skip
    assert issues == [(3, "cell-error", "First Name")]


WHOLE = sheet(*people("Ann", "Bob"))
DAMAGED = {
    "cut off in a tag": WHOLE[: WHOLE.index('<c r="B3"') + 8],
    "cut off in a cell": WHOLE[: WHOLE.index("Bob") + 2],
    "cut off between rows": WHOLE[: WHOLE.index('<row r="3"')],
    "tags crossed": WHOLE.replace("</is></c></row>", "</c></is></row>", 1),
    "a place that is none": WHOLE.replace('r="B3"', 'r="3B"'),
    "a number that is none": WHOLE.replace(text("B3", "Bob"), '<c r="B3"><v>Bob</v></c>'),
    "a shared text that is not there": WHOLE.replace(text("B3", "Bob"), '<c r="B3" t="s"><v>77</v></c>'),
    "a type that nobody knows": WHOLE.replace(text("B3", "Bob"), '<c r="B3" t="zz"><v>1</v></c>'),
    "an entity that nobody knows": WHOLE.replace("Bob", "&nobody;"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_sheet_is_said_to_be_damaged_or_is_read(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "a.xlsx", DAMAGED[name], strings=["x"], name="Kunden")
    code = checked(tmp_path, "a.xlsx", monkeypatch)
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    assert "mapleshop" not in said.err
    if code != ExitCode.OK or name.startswith("cut off"):
        assert code == ExitCode.NOT_STARTED
        assert "error [source-damaged]: Sheet 'Kunden' of a.xlsx is damaged" in said.err
        assert "hint: " in said.err


FAR = {
    "a blank in the last cell": row(1048576, text("XFD1048576", " ")),
    "a note far below": row(1000000, text("CV1000000", "checked by Eve")),
    "an empty cell with a style": row(1048576, '<c r="XFD1048576" s="0"/>'),
    "a shared blank": row(1048576, '<c r="XFD1048576" t="s"><v>0</v></c>'),
    "a formula without a value": row(1048576, '<c r="XFD1048576"><f>A1</f></c>'),
    "a far cell in single quotes": row(1048576, "<c r='XFD1048576' t='str'><v> </v></c>"),
}


@pytest.mark.parametrize("name", FAR)
def test_a_cell_far_away_costs_nothing(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "a.xlsx", sheet(*people("Ann"), FAR[name]), strings=[" "])
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    assert read(path)[0] == {2: ("ann@mapleshop.com", "Ann")}
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss <= max(before, 700_000)


def test_a_blank_at_the_right_and_a_row_at_the_bottom_are_read_together(tmp_path: Path) -> None:
    """As wide as the header is filled, as long as the sheet is filled."""
    header = row(1, text("A1", "Email"), text("B1", "First Name"), text("XFD1", " "))
    last = row(900000, text("A900000", "zoe@mapleshop.com"), text("B900000", "Zoe"))
    path = write(tmp_path / "a.xlsx", sheet(header, people("Ann")[1], last))
    assert read(path)[0] == {2: ("ann@mapleshop.com", "Ann"), 900000: ("zoe@mapleshop.com", "Zoe")}


@pytest.mark.parametrize("fault", ["abort", "panic", "silence", "rubbish"])
def test_a_reader_that_dies_takes_nobody_with_it(
    tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Negative control of the process: another program in its place, which dies while the rows are read."""
    write(tmp_path / "a.xlsx", WHOLE)
    real = Path(reader.__file__).with_name("process.py").read_text(encoding="utf-8")
    dying = {
        "abort": "import os; os.abort()",
        "panic": "raise BaseException('mapleshop')",
        "silence": "import os; os._exit(0)",
        "rubbish": "import os; os.write(1, b'rubbish'); os._exit(0)",
    }[fault]
    assert real.count("    before = [") == 1
    program = tmp_path / "dying.py"
    program.write_text(real.replace("    before = [", f"    {dying}\n    before = ["), encoding="utf-8")
    monkeypatch.setattr(reader, "_PROGRAM", str(program))
    assert checked(tmp_path, "a.xlsx", monkeypatch) == ExitCode.NOT_STARTED
    said = capsys.readouterr().err
    assert "error [source-damaged]: Sheet 'People' of a.xlsx is damaged" in said
    assert "mapleshop" not in said


@pytest.mark.parametrize(("limit", "most"), [("_MAX_CPU", 1), ("_MAX_SILENCE", 0.3), ("_MAX_MEMORY", 400 << 20)])
@pytest.mark.parametrize("command", ["sheets", "rows"])
def test_a_reader_that_takes_too_much_is_given_up(
    tmp_path: Path, limit: str, most: float, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Busy for ever, silent for ever, or greedy; while it opens the workbook, or while it reads the sheet."""
    real = Path(reader.__file__).with_name("process.py").read_text(encoding="utf-8")
    doing = {
        "_MAX_CPU": "while True: pass",
        "_MAX_SILENCE": "import time; time.sleep(600)",
        "_MAX_MEMORY": "[b'x' * (1 << 30)]",
    }[limit]
    begin = '    """Return the name of each' if command == "sheets" else "    before = ["
    assert real.count(begin) == 1
    program = tmp_path / "busy.py"
    program.write_text(real.replace(begin, f"    {doing}\n{begin}"), encoding="utf-8")
    monkeypatch.setattr(reader, "_PROGRAM", str(program))
    monkeypatch.setattr(reader, limit, most)
    with pytest.raises(SourceError) as caught:
        open_source(write(tmp_path / "a.xlsx", WHOLE))
    damaged = "source-binary" if command == "sheets" else "source-damaged"
    assert caught.value.code == (damaged if limit == "_MAX_MEMORY" else "source-endless")
    assert caught.value.exit_code == ExitCode.NOT_STARTED
    assert caught.value.hint


def test_the_reader_is_told_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KLAVIYO_PRIVATE_KEY", "pk_secret")
    program = tmp_path / "telling.py"
    program.write_text(
        f"import os, pathlib; pathlib.Path({str(tmp_path / 'told')!r}).write_text(repr(dict(os.environ)))"
    )
    monkeypatch.setattr(reader, "_PROGRAM", str(program))
    with pytest.raises(SourceError):
        open_source(write(tmp_path / "a.xlsx", WHOLE))
    assert "pk_secret" not in (tmp_path / "told").read_text()


def no_text() -> pa.Array:
    return pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff")])


@pytest.mark.parametrize(
    "values",
    [
        pa.array([10**18], pa.timestamp("us")),
        pa.array([1], pa.timestamp("us", "Mars/Phobos")),
        pa.array([2**30], pa.date32()),
        pa.array([[10**18]], pa.list_(pa.timestamp("us"))),
        no_text(),
    ],
    ids=["a moment too far", "a zone that is none", "a day too far", "a moment in a list", "no UTF-8"],
)
def test_what_a_parquet_file_should_not_hold_is_said_of_the_file(
    tmp_path: Path, values: pa.Array, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pq.write_table(pa.table({"Email": ["ann@mapleshop.com"], "First Name": values}), tmp_path / "a.parquet")
    assert checked(tmp_path, "a.parquet", monkeypatch) == ExitCode.NOT_STARTED
    assert "error [source-damaged]: a.parquet" in capsys.readouterr().err


@pytest.mark.parametrize("deep", ['{"a":' * 1000 + "1" + "}" * 1000, '{"a":' + "[" * 500 + "]" * 500 + "}"])
def test_a_line_that_nests_too_deep_is_refused_by_itself(tmp_path: Path, deep: str) -> None:
    (tmp_path / "a.jsonl").write_text(f'{{"Email":"ann@mapleshop.com"}}\n{deep}\n')
    with open_source(tmp_path / "a.jsonl") as source:
        chunks = list(source.chunks())
    assert [(issue.line, issue.code) for chunk in chunks for issue in chunk.issues] == [(2, "row-not-json")]


def test_half_a_workbook_of_one_sheet_names_no_sheet(tmp_path: Path) -> None:
    openpyxl.Workbook().save(tmp_path / "a.xlsx")
    (tmp_path / "a.xlsx").write_bytes((tmp_path / "a.xlsx").read_bytes()[:-40])
    with pytest.raises(SourceError) as caught:
        open_source(tmp_path / "a.xlsx")
    assert caught.value.code == "source-binary"
