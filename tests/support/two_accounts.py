"""Two accounts of Klaviyo at one address, told apart by the key, as the real ones are."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from etl.sandbox import SCOPES, AccountSettings, Request, Result, Sandbox, SandboxServer, SandboxSettings

SHOP_KEY = "pk_shop_00000000000000000000000000"
OUTLET_KEY = "pk_outlet_1111111111111111111111111"
SHOP, OUTLET = "SHOP01", "OUTL02"


@dataclass
class TwoAccounts:
    """``shop`` and ``outlet``, each with a list News of its own."""

    url: str
    shop: Sandbox
    outlet: Sandbox

    def people(self) -> tuple[int, int]:
        """How many profiles each has."""
        return profiles(self.shop), profiles(self.outlet)


def profiles(of: Sandbox) -> int:
    return len(of.dump().split())


def changes(of: Sandbox) -> int:
    """Requests that would have changed the account."""
    return sum(count for name, count in of.requests.items() if not name.startswith("GET"))


def settings(id_: str, name: str, key: str, scopes: frozenset[str] = SCOPES) -> SandboxSettings:
    return SandboxSettings(
        account=AccountSettings(id=id_, name=name), keys={key: scopes}, lists=("News",), limits="off", job_seconds=0.01
    )


@contextlib.contextmanager
def two_accounts(outlet_scopes: frozenset[str] = SCOPES) -> Iterator[TwoAccounts]:
    """Serve both."""
    outlet = Sandbox(settings(OUTLET, "Maple Outlet", OUTLET_KEY, outlet_scopes))
    with contextlib.closing(outlet), SandboxServer(settings(SHOP, "Maple Shop", SHOP_KEY)) as server:
        shop = server.sandbox
        alone = shop.handle

        def handle(request: Request) -> Result:
            return outlet.handle(request) if OUTLET_KEY in request.headers.get("authorization", "") else alone(request)

        shop.handle = handle  # type: ignore[method-assign]
        yield TwoAccounts(server.url, shop, outlet)
