"""Which metric the events of the API are in: a name may belong to several metrics, each of another integration."""

from __future__ import annotations

from collections.abc import Iterable

from etl.klaviyo import KlaviyoClient, Metric


class Metrics:
    """The account's metrics by name, asked for again while one is missing: the first event of a name makes it."""

    def __init__(self, client: KlaviyoClient) -> None:
        self._client = client
        self._by_name: dict[str, list[Metric]] = {}
        self._asked = False

    def look(self, names: Iterable[str]) -> None:
        """Ask Klaviyo, unless the API's metrics of all these names are known."""
        if self._asked and all(self.of_api(name) for name in names):
            return
        self._asked = True
        self._by_name = {}
        for metric in self._client.metrics():
            self._by_name.setdefault(metric.name, []).append(metric)

    def of_api(self, name: str) -> tuple[Metric, ...]:
        """Return the metrics of this name that may be the API's.

        Those that say so; where none does, those that do not say whose they are.
        """
        named = self._by_name.get(name, [])
        return tuple(one for one in named if one.of_api) or tuple(one for one in named if one.of_api is None)

    def of_others(self, name: str) -> tuple[Metric, ...]:
        """Return the metrics of this name that are surely of another integration."""
        return tuple(one for one in self._by_name.get(name, ()) if one.of_api is False)


def twin_note(name: str, others: Iterable[Metric]) -> str:
    """Return the sentence for people whose account has another metric of the same name."""
    integrations = " and ".join(sorted({other.integration or "another integration" for other in others}))
    return (
        f"the account has another metric {name!r}, of {integrations}: imported events go to the API's metric of that "
        "name; flows, segments and reports on the other one do not see them"
    )
