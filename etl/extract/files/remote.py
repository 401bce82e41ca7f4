"""Files elsewhere, through fsspec: the only place that speaks to object stores and web servers.

A file is fetched whole into a private file before anything of it is read: rows are read more than once (encoding,
columns), spreadsheets and Parquet need to jump about, and a connection that breaks half-way costs nothing then.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.parse import quote, urljoin, urlsplit

from etl.errors import EtlError, SourceError
from etl.extract.files.scratch import MAX_BYTES, deleted_on_error, disk_full, make_scratch, too_large
from etl.extract.url_variables import VARIABLE, names_in, variable

CONNECT_SECONDS: Final = 10
READ_SECONDS: Final = 60

# scheme → the extra that brings what it needs
_EXTRAS: Final = {"https": "remote", "http": "remote", "s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}
_TESTING: Final = "memory"
# One part at a time: ten of 50 MB at once are no bounded memory.
_ONE_PART: Final = {"s3": {"max_concurrency": 1}, "gs": {"concurrency": 1}}
_WEB: Final = frozenset({"http", "https"})
_HERE: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_AUTHORITY: Final = re.compile(r"[^/?#]*")
_MAGIC: Final = re.compile(r"[*\[]")
_UNSAFE: Final = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
_REFUSED: Final = frozenset({401, 403, 407})
_GONE: Final = frozenset({404, 410})
_TIMEOUTS: Final = frozenset({"ConnectTimeoutError", "ReadTimeoutError"})
_NO_LOGIN: Final = frozenset(
    {"NoCredentialsError", "PartialCredentialsError", "RefreshError", "DefaultCredentialsError"}
)
_NO_SERVER: Final = ("ClientConnect", "EndpointConnection", "ServerDisconnected", "ConnectionRefused", "SSL")

# They log what they try again, tracebacks included; whoever sets up logging still sees it, the terminal does not.
for _talkative in ("gcsfs", "google.auth", "s3fs", "aiobotocore", "botocore"):
    logging.getLogger(_talkative).addHandler(logging.NullHandler())


def is_remote(path: Path | str) -> bool:
    """Whether this is a URL, or a variable that holds one."""
    return isinstance(path, str) and bool(_URL.match(path) or VARIABLE.fullmatch(path))


def masked(path: Path | str) -> str:
    """Return a path or URL as it may be shown and kept: without login and without what follows ``?``."""
    text = str(path)
    if not (found := _URL.match(text)):
        return text
    scheme, rest = found[0], text[found.end() :]
    authority = _AUTHORITY.match(rest)[0]  # type: ignore[index]  # it matches the empty text too
    if ":" in authority and "@" not in authority and "@" in rest:
        return f"{scheme}***"  # a password with a character that ends the host: where it stops cannot be told
    login, at, host = authority.rpartition("@")
    path_, mark, _ = rest[len(authority) :].partition("#")[0].partition("?")
    return f"{scheme}{'***@' if at and login else ''}{host}{path_}{'?***' if mark else ''}"


def file_name(url: str) -> str:
    """Return what a file at a URL is called."""
    return PurePosixPath(url.partition("://")[2].partition("#")[0].partition("?")[0]).name


def is_pattern(url: str) -> bool:
    """Whether a URL stands for several files. Web servers cannot list theirs."""
    return bool(_MAGIC.search(url)) and url.partition("://")[0].lower() not in _WEB


class FoundUrl(str):
    """The URL of a file as a store told it: ``${NAME}`` in it is the file's name and nothing to fill in."""

    __slots__ = ()


def listing(template: str, environ: Mapping[str, str]) -> list[tuple[FoundUrl, str]]:
    """Return the files that a pattern stands for, as URL and as it may be shown, in no order.

    Raise :class:`SourceError`.
    """
    values = {f"${{{name}}}": variable(name, environ) for name in names_in(template)}
    system, path = _opened(template, environ)
    with _translated(masked(template), "source-unreachable"):
        found = system.glob(path, detail=True)
        urls = [system.unstrip_protocol(name) for name, about in found.items() if about.get("type") == "file"]

    def shown(url: str) -> str:
        for written, value in values.items():
            url = url.replace(value, written)
        return masked(url)

    return [(FoundUrl(url), shown(url)) for url in urls]


def fetch(template: str, environ: Mapping[str, str]) -> Path:
    """Copy a file into one of our own, see :func:`etl.extract.files.scratch.make_scratch`. Raise :class:`SourceError`.

    ``${NAME}`` is filled in from ``environ``. Memory is bounded by a block.
    """
    shown = masked(template)
    system, path = _opened(template, environ)
    target = make_scratch(file_name(str(path)))
    with deleted_on_error(target):
        with _translated(shown, "source-lost"):
            options = next((one for store, one in _ONE_PART.items() if store in system.protocol), {})
            system.get_file(path, str(target), callback=_limit(shown), **options)
        if not target.is_file():
            raise SourceError("source-is-directory", f"{shown} is a folder", "Name a file, or a pattern: folder/*.csv.")
        return target


def _limit(shown: str) -> Any:
    from fsspec.callbacks import Callback  # noqa: PLC0415 - an optional extra

    class Limit(Callback):  # type: ignore[misc]  # fsspec has no types
        def call(self, *_: Any, **__: Any) -> None:
            if self.value > MAX_BYTES:
                raise too_large(shown, self.value)

    return Limit()


def _opened(template: str, environ: Mapping[str, str]) -> tuple[Any, str]:
    """Return the file system of a URL and the path in it."""
    url = _filled(template, environ)
    scheme = url.partition("://")[0].lower()
    if scheme not in _EXTRAS and scheme != _TESTING:
        raise SourceError(
            "source-scheme",
            f"{masked(template)} is not an address that files can be read from",
            "Files are read from https://, s3:// and gs://. A database goes into [source] url of the mapping.",
        )
    options: dict[str, Any] = {"skip_instance_cache": True}
    try:
        import fsspec  # noqa: PLC0415 - an optional extra

        if scheme in _WEB:
            options |= _web_options(url, template)
            url = quote(url, safe=_UNSAFE)
        # Not by url_to_fs: it takes a URL with "::" for a chain of others, each with a scheme of its own.
        store = fsspec.get_filesystem_class(scheme)
        path = store._strip_protocol(url)  # noqa: SLF001 - what url_to_fs does with one URL
        system = store(**{**store._get_kwargs_from_urls(url), **options})  # noqa: SLF001 - likewise
    except ImportError:
        raise SourceError(
            "source-driver",
            f"What reads {scheme}:// is not installed",
            f"pip install 'klaviyo-etl[{_EXTRAS.get(scheme, 'remote')}]'",
        ) from None
    except (ValueError, TypeError):
        raise SourceError("source-scheme", f"{masked(template)} is not a URL", "Check it.") from None
    return system, str(path)


def _web_options(url: str, template: str) -> dict[str, Any]:
    import aiohttp  # noqa: PLC0415 - an optional extra

    if url.lower().startswith("http:") and not _is_here(url):
        raise SourceError(
            "source-scheme", f"{masked(template)} is not encrypted", "Use https://: these are people's data."
        )
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS)
    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(_followed(masked(template), here=_is_here(url)))
    # A proxy gets a tunnel for what is encrypted, and nothing of what is for this machine.
    settings = {"timeout": timeout, "trust_env": url.lower().startswith("https:"), "trace_configs": [trace]}
    # Encoded as it stands: encoding it again would spoil the signature of a presigned URL.
    return {"encoded": True, "client_kwargs": settings}


def _is_here(url: str) -> bool:
    return urlsplit(url).hostname in _HERE


def _followed(shown: str, *, here: bool) -> Any:
    """Return what looks at each redirect: away from encryption, or from elsewhere to this machine, none is followed."""

    async def look(_session: Any, _context: Any, told: Any) -> None:
        target = urljoin(str(told.url), told.response.headers.get("Location") or told.response.headers.get("URI") or "")
        encrypted = target.lower().startswith("https:")
        if _is_here(target) != here or not (encrypted or here):
            raise SourceError(
                "source-redirect",
                f"{shown} sends the request on to a place that is not encrypted, or to this machine",
                "Ask whoever runs that server, or name the address that it should be fetched from.",
            )

    return look


def _filled(template: str, environ: Mapping[str, str]) -> str:
    """Return the URL with the variables in it. A URL that is nothing but one variable is taken from it as it is."""
    if isinstance(template, FoundUrl):
        return template

    def value(found: re.Match[str]) -> str:
        return variable(found[1], environ)

    if whole := VARIABLE.fullmatch(template):
        return value(whole)
    scheme, mark, rest = template.partition("://")
    if scheme.lower() not in _WEB:
        return VARIABLE.sub(value, template)
    authority = _AUTHORITY.match(rest)[0]  # type: ignore[index]  # it matches the empty text too
    before = VARIABLE.sub(lambda found: quote(value(found), safe=""), authority)
    after = VARIABLE.sub(lambda found: quote(value(found), safe="/"), rest[len(authority) :])
    return f"{scheme}{mark}{before}{after}"


@contextlib.contextmanager
def _translated(shown: str, broken: str) -> Iterator[None]:
    """Turn what a library raises inside into :class:`SourceError`. Its words stay out: they may hold the whole URL."""
    try:
        yield
    except EtlError:
        raise
    except Exception as error:  # noqa: BLE001 - each store has exceptions of its own
        raise disk_full(error) or _translate(error, shown, broken) from None


def _translate(error: Exception, shown: str, broken: str) -> SourceError:
    status = _status(error)
    name = type(error).__name__
    if isinstance(error, FileNotFoundError) or status in _GONE:
        return SourceError(
            "source-not-found", f"There is no file {shown}", "Check the URL; a signed one may have ended."
        )
    # gcsfs makes an OSError without a status of a 403.
    forbidden = isinstance(error, PermissionError) or str(error).startswith("Forbidden")
    if forbidden or status in _REFUSED or name in _NO_LOGIN:
        said = f" (status {status})" if status else ""
        return SourceError(
            "source-login", f"{shown} may not be read{said}", "Check the credentials; a signed URL may have ended."
        )
    if isinstance(error, TimeoutError) or name in _TIMEOUTS:
        return SourceError("source-timeout", f"{shown} did not answer in time", "Nothing was sent; run it again.")
    if status:
        return SourceError(
            "source-unreachable", f"{shown} answered with status {status}", "Nothing was sent; run it again later."
        )
    if isinstance(error, ConnectionRefusedError) or name.startswith(_NO_SERVER):
        return SourceError(
            "source-unreachable", f"{shown} cannot be reached ({name})", "Check the URL, the server, the network."
        )
    if broken == "source-lost":
        return SourceError(
            "source-lost", f"The connection broke while {shown} was fetched ({name})", "Nothing was sent; run it again."
        )
    return SourceError(broken, f"{shown} cannot be listed ({name})", "Check the URL, the server, the network.")


def _status(error: Exception) -> int | None:
    """Return the HTTP status in an error of aiohttp, botocore or gcsfs."""
    answer = getattr(error, "response", None)
    told = answer.get("ResponseMetadata", {}).get("HTTPStatusCode") if isinstance(answer, Mapping) else None
    found = told or getattr(error, "status", None) or getattr(error, "code", None)
    return found if isinstance(found, int) else None
