"""What of the account's plan is used (reference 3.10): a scope of its own, and known to the newest revision only."""

from __future__ import annotations

from etl.klaviyo import resources
from etl.klaviyo.resources import Usage
from etl.klaviyo.transport.rate_limits import BILLING
from etl.klaviyo.transport.revisions import Feature
from etl.klaviyo.transport.session import Connection


class BillingEndpoints(Connection):
    """The plan."""

    def billing_usage(self) -> list[Usage]:
        """Return what is used of each kind. Raise ConfigError for a revision, AuthError for a key that may not ask."""
        self.require(Feature.BILLING_USAGE)
        return [resources.usage_of(item) for item in self._pages(BILLING, f"GET {BILLING}")]
