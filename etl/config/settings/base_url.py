"""Which hosts may get the key: Klaviyo's, this machine, and what the user's own settings name."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import SplitResult, urlsplit

from etl.errors import ConfigError

_OURS: Final = "klaviyo.com"
# A host's name and nothing that two readers of a URL could take for two things.
_HOST: Final = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?|[0-9a-f:.]+")
_PLAIN: Final = re.compile(r"[!-~]+")


def host_of(url: str) -> str:
    """Return the host of a URL, ``""`` for one that is not written as everybody reads it."""
    parts = _parts(url)
    return parts.hostname or "" if parts is not None else ""


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_encrypted(url: str) -> str:
    """Return the URL without a trailing slash. Raise :class:`ConfigError` if the key would travel in plain."""
    parts = _parts(url)
    if parts is None:
        raise ConfigError("base-url", "KLAVIYO_BASE_URL is not a URL", "Write it like https://a.klaviyo.com.")
    if parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        return url.rstrip("/")
    raise ConfigError("base-url", "KLAVIYO_BASE_URL must be https", "http is allowed for this machine only.")


def check_base_url(url: str, allowed: Iterable[str] = ()) -> None:
    """Raise :class:`ConfigError` if the key may not go to this URL. ``allowed``: those of the user's own settings."""
    check_encrypted(url)
    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_loopback(host) or host == _OURS or host.endswith(f".{_OURS}"):
        return
    if _origin(parts) in map(_origin_of, allowed):
        return
    raise ConfigError(
        "base-url-not-allowed",
        f"KLAVIYO_BASE_URL sends the key to {host}, which is not Klaviyo",
        f'If you trust it, write allow_base_url = ["{parts.scheme}://{parts.netloc}"] into your own settings '
        "(klaviyo-etl docs security says where they are). A rehearsal is --sandbox.",
    )


def _parts(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    host = (parts.hostname or "").rstrip(".")
    plain = _PLAIN.fullmatch(url) and "\\" not in url and "@" not in parts.netloc and _HOST.fullmatch(host)
    return parts if plain and port != 0 and not parts.query and not parts.fragment else None


def _origin(parts: SplitResult) -> tuple[str, str, int]:
    return parts.scheme, (parts.hostname or "").rstrip("."), parts.port or (443 if parts.scheme == "https" else 80)


def _origin_of(url: str) -> tuple[str, str, int] | None:
    parts = _parts(url)
    return _origin(parts) if parts is not None else None
