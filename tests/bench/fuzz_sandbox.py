"""Throws everything that Klaviyo's OpenAPI document allows, and much that it forbids, at the sandbox over real HTTP.

``make fuzz-sandbox`` runs it; it is no part of ``make test``. For every operation that the sandbox implements,
schemathesis makes requests from the document, fitting ones and others; no answer may be a server error, nor of a
status, a media type or a shape that the document does not know. The document is Klaviyo's and not part of this
repository: ``OPENAPI=...`` names it, else it is looked for beside the checkout.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import hypothesis
import orjson
import requests
import schemathesis
from hypothesis import HealthCheck, Phase
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from etl.sandbox import SANDBOX_KEY, SandboxServer, SandboxSettings
from etl.sandbox.routing.routes import ROUTES, Route
from tests.support.paths import OPENAPI

BESIDE = OPENAPI
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
REVISION = "2026-07-15"
BLIND = {"filter", "page[cursor]"}
"""Languages of their own, which chance does not speak."""


REAL: dict[str, Any] = {
    "email": "ann@mapleshop.com",
    "phone_number": "+12127365000",
    "external_id": "c1",
    "locale": "en-US",
    "latitude": "50.9",
    "longitude": 6.9,
    "time": "2026-11-01T10:00:00Z",
    "value_currency": "EUR",
    "endpoint_url": "https://shop.example/hook",
    "secret_key": "a secret of the shop",
    "name": "Placed Order",
    "patch_identifiers": {"append": {"email": ["second@mapleshop.com"]}},
    "historical_import": False,
    "consented_at": None,
}
"""What a body may say that fits the document, and that an account takes as well."""


def names_in(node: Any) -> set[str]:
    """Return every name that the document gives to a part of a body."""
    if isinstance(node, list):
        return set().union(*(names_in(item) for item in node))
    if not isinstance(node, dict):
        return set()
    named = node.get("properties")
    own = set(named) if isinstance(named, dict) else set()
    return own.union(*(names_in(item) for item in node.values()))


def mended(value: Any, ids: dict[str, str], known: set[str]) -> Any:
    """Return a body with values that an account takes, where chance would hardly find any."""
    if isinstance(value, list):
        return [mended(item, ids, known) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {name: item for name, item in value.items() if name in known and name not in LEFT_OUT}
    made = {name: REAL[name] if name in REAL else mended(item, ids, known) for name, item in kept.items()}
    if "id" in made and f"{made.get('type')}s" in ids:
        made["id"] = ids[f"{made['type']}s"]
    attributes = made.get("attributes")
    if made.get("type") == "profile" and isinstance(attributes, dict):
        attributes.setdefault("email", REAL["email"])
    return agreed(made) if isinstance(attributes, dict) and isinstance(made.get("type"), str) else made


def agreed(job: dict[str, Any]) -> dict[str, Any]:
    """Return a job in which what belongs together fits together: consents and their word, profiles or a list."""
    kind, attributes = job["type"], job["attributes"]
    if "suppression" in kind:
        attributes["profiles"] = {"data": [{"type": "profile", "attributes": {"email": REAL["email"]}}]}
        job.pop("relationships", None)
    if "subscription" in kind:
        word = "SUBSCRIBED" if "create" in kind else "UNSUBSCRIBED"
        row = {"email": REAL["email"], "subscriptions": {"email": {"marketing": {"consent": word}}}}
        attributes["profiles"] = {"data": [{"type": "profile", "attributes": row}]}
    return job


LEFT_OUT = {"push", "segment", "age_gated_date_of_birth"}


class Fuzz:
    """One sandbox with a little in it, and what came of every operation."""

    def __init__(self, server: SandboxServer, document: dict[str, Any], examples: int, deadline: float) -> None:
        self.server = server
        document["components"].pop("securitySchemes", None)  # who is let in is tried elsewhere
        for operations in document["paths"].values():
            for operation in operations.values():
                operation.pop("security", None) if isinstance(operation, dict) else None
        self.schema = schemathesis.openapi.from_dict(document)
        self.paths = {re.sub(r"\{\w+\}", "{id}", path): path for path in document["paths"]}
        self.examples = examples
        self.deadline = deadline
        self.headers = {"authorization": f"Klaviyo-API-Key {SANDBOX_KEY}", "revision": REVISION}
        self.statuses: dict[str, Counter[int]] = {}
        self.failures: dict[tuple[str, str], str] = {}
        self.ids = self._prepare()
        self.sent = 0
        self.known = names_in(document)

    def _prepare(self) -> dict[str, str]:
        """Put something into the account that requests can meet; return a known id for each kind of path."""

        def post(path: str, body: dict[str, Any]) -> Any:
            headers = {**self.headers, "content-type": "application/vnd.api+json"}
            answer = requests.post(self.server.url + path, data=orjson.dumps(body), headers=headers, timeout=10)
            return answer.json()["data"]["id"] if answer.content else None

        person = {"type": "profile", "attributes": {"email": "ann@mapleshop.com", "properties": {"a": [1]}}}
        metric = {"data": {"type": "metric", "attributes": {"name": "Placed Order"}}}
        order = {"properties": {"a": 1}, "value": 12.5, "metric": metric, "profile": {"data": person}}
        topic = {"type": "webhook-topic", "id": "event:klaviyo.bounced_email"}
        hook = {"name": "Hook", "endpoint_url": "https://shop.example", "secret_key": "a secret of the shop"}
        rows = {"profiles": {"data": [{"type": "profile", "attributes": {"email": "ann@mapleshop.com"}}]}}
        known = {
            "profiles": post("/api/profiles", {"data": person}),
            "lists": post("/api/lists", {"data": {"type": "list", "attributes": {"name": "News"}}}),
            "webhooks": post(
                "/api/webhooks",
                {
                    "data": {
                        "type": "webhook",
                        "attributes": hook,
                        "relationships": {"webhook-topics": {"data": [topic]}},
                    }
                },
            ),
            "webhook-topics": topic["id"],
        }
        for kind in (
            "profile-bulk-import-job",
            "profile-suppression-bulk-create-job",
            "profile-suppression-bulk-delete-job",
        ):
            known[f"{kind}s"] = post(f"/api/{kind}s", {"data": {"type": kind, "attributes": rows}})
        post("/api/events", {"data": {"type": "event", "attributes": order}})
        for name in ("events", "metrics"):
            shown = requests.get(f"{self.server.url}/api/{name}", headers=self.headers, timeout=10).json()
            known[name] = shown["data"][0]["id"]
        return known

    def run(self, route: Route) -> None:
        """Try one operation with requests that fit the document, and with as many that do not."""
        method, path = route.name.split()
        operation = self.schema[self.paths[path]][method]
        parameter = re.search(r"\{(\w+)\}", self.paths[path])
        seen = self.statuses.setdefault(route.name, Counter())
        for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):
            # What is deleted under a known id would be there for nobody else.
            for known in (True, False) if parameter and not route.name.startswith("DELETE /api/l") else (False,):
                options: dict[str, Any] = {}
                if parameter and known:
                    options["path_parameters"] = {parameter[1]: self.ids[path.split("/")[2]]}
                try:
                    strategy = operation.as_strategy(generation_mode=mode, **options)
                    self._try(route.name, strategy, seen)
                except (hypothesis.errors.Unsatisfiable, schemathesis.errors.SchemathesisError):
                    continue  # where there is nothing to get wrong, no wrong request can be made

    def _try(self, name: str, strategy: Any, seen: Counter[int]) -> None:
        @hypothesis.seed(1)
        @hypothesis.settings(
            max_examples=self.examples,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @hypothesis.given(case=strategy)
        def attempt(case: Any) -> None:
            if time.monotonic() < self.deadline:
                self._send(name, case, seen)

        attempt()

    def _send(self, name: str, case: Any, seen: Counter[int]) -> None:
        case.headers = None
        self.sent += 1
        if self.sent % 2:  # every second one as it fell, the others made such that they can be accepted
            case.body = mended(case.body, self.ids, self.known)
            case.query = {name: value for name, value in (case.query or {}).items() if name not in BLIND}
        try:
            response = case.call(base_url=self.server.url, headers=self.headers, timeout=30)
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidHeader, UnicodeError):
            return  # no request at all
        except requests.exceptions.RequestException as error:
            self.failures.setdefault((name, type(error).__name__), str(error)[:300])
            return
        seen[response.status_code] += 1
        # A sparse answer lacks what the document calls required: it cannot have both.
        sparse = "fields%5B" in response.request.url or "fields[" in response.request.url
        try:
            case.validate_response(response, checks=CHECKS[:3] if sparse else CHECKS)
        except FailureGroup as group:
            for one in group.exceptions:
                said = f"{type(one).__name__}: {one}"
                self.failures.setdefault((name, said.partition("\n\n")[0][:120]), said[:1500])


def main() -> int:
    """Run; return how many kinds of failure there were, at most 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--openapi", type=Path, default=BESIDE)
    parser.add_argument("--examples", type=int, default=25, help="requests of each kind for each operation")
    parser.add_argument("--seconds", type=float, default=600.0, help="no request is begun later")
    parser.add_argument("--only", default="", help="only operations whose name holds this")
    given = parser.parse_args()
    if not given.openapi.exists():
        print(f"Klaviyo's OpenAPI document is not at hand: {given.openapi}. Name it with OPENAPI=...", file=sys.stderr)
        return 2
    warnings.simplefilter("ignore")
    began = time.monotonic()
    settings = SandboxSettings(limits="off", job_seconds=0.0, processing_seconds=0.0)
    with SandboxServer(settings) as server:
        fuzz = Fuzz(server, orjson.loads(given.openapi.read_bytes()), given.examples, began + given.seconds)
        implemented = [route for route in ROUTES if route.name.split()[1] in fuzz.paths and given.only in route.name]
        for route in sorted(implemented, key=lambda one: (one.method == "DELETE", "merge" in one.name)):
            fuzz.run(route)
            counted = fuzz.statuses[route.name]
            told = ", ".join(f"{status} x {count}" for status, count in sorted(counted.items()))
            print(f"{route.name:70} {told or 'none'}", flush=True)
        aside = server.sandbox.dump_set_aside().split()
    total = sum(counted.total() for counted in fuzz.statuses.values())
    for (name, _), said in sorted(fuzz.failures.items()):
        print(f"\n{name}\n{said}")
    print(f"\n{len(implemented)} operations, {total} requests, {time.monotonic() - began:.0f} s")
    print(f"failures: {len(fuzz.failures)}; work set aside: {len(aside)}")
    return int(bool(fuzz.failures or aside))


if __name__ == "__main__":
    sys.exit(main())
