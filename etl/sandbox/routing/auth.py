"""Who is let in: the path, the key and its scopes, the headers (reference 1.6, 2.2, 4.2)."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final

from etl.sandbox.protocol import queries
from etl.sandbox.protocol.jsonapi import MEDIA_TYPE, Problem, ProblemError, Request, invalid
from etl.sandbox.protocol.switches import Switches
from etl.sandbox.routing.routes import ROUTES, Route

_REVISION: Final = re.compile(r"\d{4}-\d{2}-\d{2}(\.pre)?")
_OLDEST_REVISION: Final = "2025-01-15"
"""Revisions retire two years after release; 2024-10-15 ended on 2026-10-15 (reference 1.6, 1.7)."""
_OPT_OUT: Final = "x-klaviyo-revision-fall-forward-opt-out"


def find(request: Request) -> tuple[Route, dict[str, str]]:
    """Return the endpoint of a path, and what the path says. Raise a 404 or 405 problem."""
    methods = set()
    for route in ROUTES:
        found = route.pattern.fullmatch(request.path)
        if found:
            if route.method == request.method:
                return route, found.groupdict()
            methods.add(route.method)
    if methods:
        raise ProblemError(
            Problem(405, "method_not_allowed", "Method not allowed.", f"Method {request.method} not allowed."),
            headers={"allow": ", ".join(sorted(methods))},
        )
    raise ProblemError(Problem(404, "not_found", "Not found.", "The path could not be found."))


def authorise(
    request: Request, scopes: frozenset[str], keys: Mapping[str, frozenset[str]], revoked: Collection[str]
) -> None:
    """Check the key. Raise a 401 or 403 problem."""
    key = key_of(request)
    if key is None or key not in keys or key in revoked:
        raise ProblemError(
            Problem(
                401,
                "not_authenticated",
                "Authentication credentials were not provided.",
                "Missing or invalid private key.",
                "/data/",
            )
        )
    lacking = scopes - keys[key]
    if lacking:
        detail = f"The key lacks the scopes {', '.join(sorted(lacking))}."
        raise ProblemError(Problem(403, "permission_denied", "Permission denied.", detail))


def check_headers(request: Request) -> None:
    """Check the revision and the media type. Raise a 400, 410 or 415 problem."""
    revision = request.headers.get("revision", "")
    if not _REVISION.fullmatch(revision):
        raise ProblemError(invalid("The revision header is missing or malformed.", "/data/"))
    if revision[:10] < _OLDEST_REVISION and request.headers.get(_OPT_OUT) == "1":
        raise ProblemError(Problem(410, "gone", "Gone.", f"The revision {revision} is retired."))
    if request.body and request.headers.get("content-type", "").split(";")[0].strip() not in {
        MEDIA_TYPE,
        "application/json",  # taken in practice (reference 2.2)
    }:
        raise ProblemError(Problem(415, "unsupported_media_type", "Unsupported media type.", f"Use {MEDIA_TYPE}."))


def check_query(request: Request, route: Route, switches: Switches) -> None:
    """Check the names of the parameters, and the words that they list. Raise a 400 problem."""
    found = queries.check(request, route.query, switches)
    if found:
        raise ProblemError(*found)


def key_of(request: Request) -> str | None:
    """Return the private key that a request brings."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return key.strip() if scheme == "Klaviyo-API-Key" else None
