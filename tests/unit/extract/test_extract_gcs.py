"""``gs://`` through the real gcsfs, against a store on this machine that speaks as much of its API as reading needs."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import orjson
import pytest

from etl.errors import SourceError
from etl.extract import open_files, open_source, resolve_sources
from tests.support.object_store import EXPORTS, StoreHandler, serving, split

if importlib.util.find_spec("gcsfs") is None:
    if os.environ.get("CI"):
        pytest.fail("gcsfs is not installed; CI must test it")
    pytest.skip("gcsfs is not installed", allow_module_level=True)


@contextlib.contextmanager
def bucket() -> Iterator[tuple[str, list[str]]]:
    """Serve the objects of bucket ``crm``; ``closed`` may not be read. Yield the address, and what is asked for."""
    asked: list[str] = []

    class Handler(StoreHandler):
        def get(self) -> None:
            asked.append(self.path)
            parts = urlsplit(self.path)
            about = {name: values[0] for name, values in parse_qs(parts.query).items()}
            name, _, key = parts.path.partition("/b/")[2].partition("/o")
            key = unquote(key.lstrip("/"))
            if name != "crm":
                self.answer(403, b'{"error": {"code": 403, "message": "Forbidden"}}')
            elif not key:
                self.answer(200, _listed(about.get("prefix", ""), about.get("delimiter", "")))
            elif key not in EXPORTS:
                self.answer(404, b'{"error": {"code": 404, "message": "none"}}')
            else:
                self.answer(200, EXPORTS[key] if about.get("alt") == "media" else orjson.dumps(_described(key)))

    with serving(Handler) as address:
        yield address, asked


def _described(key: str) -> dict[str, str]:
    moment = "2026-01-01T00:00:00.000Z"
    return {
        "kind": "storage#object",
        "bucket": "crm",
        "name": key,
        "size": str(len(EXPORTS[key])),
        "generation": "1",
        "timeCreated": moment,
        "updated": moment,
    }


def _listed(prefix: str, delimiter: str) -> bytes:
    files, folders = split(EXPORTS, prefix, delimiter)
    return orjson.dumps({"kind": "storage#objects", "items": [_described(key) for key in files], "prefixes": folders})


@pytest.fixture(autouse=True)
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What the store was asked for. The folder of temporary files must be empty afterwards."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    # It would ask Google's metadata server and gRPC what kind of bucket this is.
    monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    with bucket() as (address, asked):
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", address)
        yield asked
    assert not list(tmp_path.iterdir())


def test_an_object_is_read(asked: list[str]) -> None:
    with open_source("gs://crm/exports/day-2.csv") as source:
        (chunk,) = source.chunks()
        assert chunk.frame.to_dict("list") == {"Id": ["c2"], "Email": ["person2@mapleshop.com"], "Name": ["José"]}
        assert source.info.name == "gs://crm/exports/day-2.csv"
    assert sum("alt=media" in path for path in asked) == 1, "in one part, so that memory is bounded"


def test_a_pattern_is_listed_in_natural_order() -> None:
    files = resolve_sources(["gs://crm/exports/day-*.csv"], {})
    assert files.paths == tuple(f"gs://crm/exports/day-{number}.csv" for number in (2, 9, 10))
    with open_files(files.name, files.paths, files.names, open_source, {}) as source:
        assert [chunk.part.name for chunk in source.chunks() if chunk.part] == ["day-2.csv", "day-9.csv", "day-10.csv"]


@pytest.mark.parametrize(
    ("url", "code"), [("gs://crm/none.csv", "source-not-found"), ("gs://closed/a.csv", "source-login")]
)
def test_what_goes_wrong_is_said(url: str, code: str) -> None:
    with pytest.raises(SourceError) as refused:
        open_source(url)
    assert refused.value.code == code
    assert url in refused.value.message


def test_what_the_library_logs_stays_off_the_terminal(asked: list[str]) -> None:
    """It logs what it tries again with a traceback, which Python prints where nobody has set up logging."""
    program = (
        "import logging\n"
        "from etl.errors import SourceError\n"
        "from etl.extract import open_source\n"
        "try:\n    open_source('gs://crm/none.csv')\n"
        "except SourceError as error:\n    print(error.code)\n"
        "for name in ('gcsfs', 'google.auth'):\n    logging.getLogger(name).error('once more')\n"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (found.stdout, found.stderr) == ("source-not-found\n", "")
    assert asked
