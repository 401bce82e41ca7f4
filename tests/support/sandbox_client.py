"""Speaks JSON:API to a sandbox without a socket or a client: what the tests of the sandbox's own rules stand on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson

from etl.sandbox import SANDBOX_KEY, Request, Response, Sandbox, SandboxSettings
from tests.support.state_backends import FakeClock


class Answer:
    def __init__(self, response: Response) -> None:
        self.status = response.status
        self.headers = dict(response.headers)
        self.body = response.body
        self.json: Any = orjson.loads(response.body) if response.body.strip() else None

    @property
    def data(self) -> Any:
        return self.json["data"]

    @property
    def pointers(self) -> list[str]:
        return [error["source"].get("pointer") or error["source"]["parameter"] for error in self.json["errors"]]


def posting(sent: list[bytes]) -> Callable[[str, dict[str, str], bytes], int]:
    """Return a receiver that keeps what is delivered."""

    def post(_url: str, _headers: dict[str, str], body: bytes) -> int:
        sent.append(body)
        return 200

    return post


class Caller:
    """One account with a clock that only the test turns. ``listener`` is told of every exchange."""

    def __init__(
        self,
        listener: Callable[[Request, Response], None] | None = None,
        post: Callable[[str, dict[str, str], bytes], int | None] = lambda *_: None,
        **settings: Any,
    ) -> None:
        self.listener = listener
        self.clock = FakeClock()
        self.sandbox = Sandbox(
            SandboxSettings(
                **{
                    "limits": "off",
                    "lists": ("News",),
                    "double_opt_in_lists": ("Careful",),
                    "processing_seconds": 10.0,
                    "job_seconds": 10.0,
                    **settings,
                }
            ),
            self.clock,
            post,
        )

    def send(self, method: str, path: str, body: Any = None, key: str = SANDBOX_KEY, **query: str) -> Answer:
        request = Request(
            method,
            path,
            tuple(query.items()),
            {
                "authorization": f"Klaviyo-API-Key {key}",
                "revision": "2026-07-15",
                "content-type": "application/vnd.api+json",
            },
            b"" if body is None else orjson.dumps(body),
        )
        result = self.sandbox.handle(request)
        assert isinstance(result, Response)
        if self.listener is not None:
            self.listener(request, result)
        return Answer(result)

    def get(self, path: str, **query: str) -> Answer:
        return self.send("GET", path, **query)

    def post(self, path: str, kind: str, attributes: dict[str, Any], **relationships: Any) -> Answer:
        data: dict[str, Any] = {"type": kind, "attributes": attributes}
        if relationships:
            data["relationships"] = relationships
        return self.send("POST", path, {"data": data})

    def settle(self, seconds: float = 11.0) -> None:
        """Let time pass: by default enough for everything that was accepted."""
        self.clock.sleep(seconds)

    def moment(self, ago: float = 0.0) -> str:
        return datetime.fromtimestamp(self.clock.time - ago, UTC).isoformat()

    def list_id(self, name: str) -> str:
        return str(self.get("/api/lists", filter=f'equals(name,"{name}")').data[0]["id"])

    def profile(self, email: str | None = None, phone: str | None = None) -> dict[str, Any] | None:
        """Return a profile's attributes with its subscriptions, or ``None`` where nobody is."""
        wanted = f'equals(email,"{email}")' if email else f'equals(phone_number,"{phone}")'
        found = self.get("/api/profiles", **{"filter": wanted, "additional-fields[profile]": "subscriptions"}).data
        return {**found[0]["attributes"], "id": found[0]["id"]} if found else None

    def marketing(self, email: str | None = None, phone: str | None = None) -> dict[str, Any]:
        found = self.profile(email, phone)
        assert found is not None
        shown: dict[str, Any] = found["subscriptions"]["email" if email else "sms"]["marketing"]
        return shown

    def members(self, name: str) -> set[str]:
        found = self.get(f"/api/lists/{self.list_id(name)}/profiles").data
        return {item["attributes"]["email"] or item["attributes"]["phone_number"] for item in found}

    def subscribe(self, *rows: dict[str, Any], list_name: str | None = None, **attributes: Any) -> Answer:
        related = {"list": {"data": {"type": "list", "id": self.list_id(list_name)}}} if list_name else {}
        profiles = {"data": [{"type": "profile", "attributes": row} for row in rows]}
        path = "/api/profile-subscription-bulk-create-jobs"
        return self.post(path, "profile-subscription-bulk-create-job", {"profiles": profiles, **attributes}, **related)

    def unsubscribe(self, *rows: dict[str, Any], list_name: str | None = None) -> Answer:
        related = {"list": {"data": {"type": "list", "id": self.list_id(list_name)}}} if list_name else {}
        profiles = {"data": [{"type": "profile", "attributes": row} for row in rows]}
        path = "/api/profile-subscription-bulk-delete-jobs"
        return self.post(path, "profile-subscription-bulk-delete-job", {"profiles": profiles}, **related)

    def track(self, *bodies: dict[str, Any]) -> list[Answer]:
        """Send events one by one; each as :func:`event` makes it."""
        return [self.send("POST", "/api/events", {"data": body}) for body in bodies]

    def track_many(self, *groups: tuple[dict[str, Any], list[dict[str, Any]]]) -> Answer:
        """Send events in bulk: profiles' attributes, each with events as :func:`bulk_event` makes them."""
        data = [
            {
                "type": "event-bulk-create",
                "attributes": {
                    "profile": {"data": {"type": "profile", "attributes": who}},
                    "events": {"data": events},
                },
            }
            for who, events in groups
        ]
        return self.post("/api/event-bulk-create-jobs", "event-bulk-create-job", {"events-bulk-create": {"data": data}})

    def messages(self) -> dict[tuple[str, str], int]:
        """Return (kind, address) → how many messages."""
        lines = [orjson.loads(line) for line in self.sandbox.dump_messages().split()]
        return {(line["kind"], line["address"]): line["count"] for line in lines}

    def dumped(self, name: str) -> list[Any]:
        """Return the lines of a dump by its name; of the profiles without one."""
        lines: bytes = getattr(self.sandbox, f"dump_{name}" if name else "dump")()
        return [orjson.loads(line) for line in lines.splitlines() if line]


def by_email(email: str, consented_at: object = None, *, consent: str = "SUBSCRIBED", **more: Any) -> dict[str, Any]:
    """Return one row of a subscription request for e-mail marketing."""
    marketing = {"consent": consent} | ({"consented_at": consented_at} if consented_at is not None else {})
    return {"email": email, "subscriptions": {"email": {"marketing": marketing}}, **more}


def by_sms(phone: str, consented_at: object = None, *, consent: str = "SUBSCRIBED", **more: object) -> dict[str, Any]:
    """Return one row of a subscription request for SMS marketing."""
    marketing = {"consent": consent} | ({"consented_at": consented_at} if consented_at is not None else {})
    return {"phone_number": phone, "subscriptions": {"sms": {"marketing": marketing}}, **more}


def bulk_event(metric: str = "Placed Order", /, **attributes: object) -> dict[str, Any]:
    """Return one event of a bulk request."""
    named = {"data": {"type": "metric", "attributes": {"name": metric}}}
    return {"type": "event", "attributes": {"properties": {"Store": "Elm St"}, "metric": named, **attributes}}


def event(who: dict[str, Any], metric: str = "Placed Order", /, **attributes: object) -> dict[str, Any]:
    """Return one event of somebody's."""
    made = bulk_event(metric, **attributes)
    made["attributes"]["profile"] = {"data": {"type": "profile", "attributes": who}}
    return made
