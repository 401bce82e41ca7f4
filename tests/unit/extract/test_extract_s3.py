"""``s3://`` through the real s3fs, against a store on this machine that speaks as much of S3 as reading needs."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest

from etl.errors import SourceError
from etl.extract import open_files, open_source, resolve_sources
from tests.support.object_store import EXPORTS, PLAIN, StoreHandler, serving, split

if importlib.util.find_spec("s3fs") is None:
    if os.environ.get("CI"):
        pytest.fail("s3fs is not installed; CI must test it")
    pytest.skip("s3fs is not installed", allow_module_level=True)

OBJECTS = {**EXPORTS, "cut.csv": PLAIN.format(1).encode() * 1_000}


@contextlib.contextmanager
def bucket() -> Iterator[str]:
    """Serve the objects as ``/crm/KEY``; ``/closed/`` may not be read."""

    class Handler(StoreHandler):
        always = (("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT"), ("ETag", '"1"'))

        def get(self) -> None:
            parts = urlsplit(self.path)
            name, _, key = unquote(parts.path).lstrip("/").partition("/")
            asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
            if name != "crm":
                self.answer(403, b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>")
            elif not key:
                self.answer(200, _listed(asked.get("prefix", ""), asked.get("delimiter", "")))
            elif key not in OBJECTS:
                self.answer(404, b"<Error><Code>NoSuchKey</Code><Message>none</Message></Error>")
            elif key == "cut.csv" and self.command == "GET":
                self.answer(200, OBJECTS[key][:100], length=len(OBJECTS[key]))
                self.close_connection = True
            else:
                self.answer(200, OBJECTS[key])

    with serving(Handler) as address:
        yield address


def _listed(prefix: str, delimiter: str) -> bytes:
    files, folders = split(OBJECTS, prefix, delimiter)
    told = "".join(
        f"<Contents><Key>{escape(key)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
        f"<ETag>1</ETag><Size>{len(OBJECTS[key])}</Size><StorageClass>STANDARD</StorageClass></Contents>"
        for key in files
    ) + "".join(f"<CommonPrefixes><Prefix>{escape(folder)}</Prefix></CommonPrefixes>" for folder in folders)
    return (
        '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>crm</Name>'
        f"<IsTruncated>false</IsTruncated><KeyCount>{len(files)}</KeyCount>{told}</ListBucketResult>"
    ).encode()


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of temporary files, which must be empty afterwards; and where AWS's own tools look."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with bucket() as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield tmp_path
    assert not list(tmp_path.iterdir())


def test_an_object_is_read() -> None:
    with open_source("s3://crm/exports/day-2.csv") as source:
        (chunk,) = source.chunks()
        assert chunk.frame.to_dict("list") == {"Id": ["c2"], "Email": ["person2@mapleshop.com"], "Name": ["José"]}
        assert source.info.name == "s3://crm/exports/day-2.csv"


def test_a_pattern_is_listed_in_natural_order() -> None:
    files = resolve_sources(["s3://crm/exports/day-*.csv"], {})
    assert files.paths == tuple(f"s3://crm/exports/day-{number}.csv" for number in (2, 9, 10))
    with open_files(files.name, files.paths, files.names, open_source, {}) as source:
        assert [chunk.part.name for chunk in source.chunks() if chunk.part] == ["day-2.csv", "day-9.csv", "day-10.csv"]


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("s3://crm/none.csv", "source-not-found"),
        ("s3://closed/a.csv", "source-login"),
        ("s3://crm/cut.csv", "source-lost"),
    ],
)
def test_what_goes_wrong_is_said(url: str, code: str) -> None:
    with pytest.raises(SourceError) as refused:
        open_source(url)
    assert refused.value.code == code
    assert url in refused.value.message
    assert "hunter2" not in str(refused.value)


def test_a_store_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(SourceError) as refused:
        open_source("s3://crm/exports/day-2.csv")
    assert refused.value.code == "source-unreachable"


def test_a_login_that_is_missing_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(SourceError) as refused:
        open_source("s3://crm/exports/day-2.csv")
    assert refused.value.code == "source-login"
