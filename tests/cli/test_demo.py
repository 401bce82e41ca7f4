"""``make demo``, and what Klaviyo's own client then sees: exactly what the truth files say, type for type."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

import demo
from etl.sandbox import SANDBOX_KEY, SandboxServer, SandboxSettings
from etl.state import Store
from tests.support.expected import EXPORTS, actual_rows, expected, truth
from tests.support.state_backends import FakeClock

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the client's generated models shadow names of pydantic
    from klaviyo_api import KlaviyoAPI

IDENTIFIERS = ("external_id", "email", "phone_number")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's folder, after the demo."""
    made = tmp_path_factory.mktemp("home") / "demo"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KLAVIYO_BASE_URL", "")
        patch.setenv("KLAVIYO_PRIVATE_KEY", "")
        assert demo.main(made, "--quiet") == 0
    return made


def test_the_outcomes_are_those_of_the_truth_line_by_line(folder: Path) -> None:
    with Store.open(folder / "state.db", clock=FakeClock()) as store:
        runs = {Path(run.source).stem: run.id for run in store.runs.newest()}
        assert set(runs) == set(EXPORTS)
        for name, run_id in runs.items():
            told = truth(name)
            assert actual_rows(store, run_id) == expected(told), name
            merged = {line: one.merged_into for line, one in told.items() if one.merged_into is not None}
            assert dict(store.rows.primaries(run_id)) == merged, name


def test_each_run_leaves_its_folder(folder: Path) -> None:
    folders = list((folder / "runs").iterdir())
    assert len(folders) == len(EXPORTS)
    for one in folders:
        assert {"report.html", "report.json", "report.txt", "manifest.json"} <= {path.name for path in one.iterdir()}


@pytest.mark.filterwarnings("ignore")  # the client's own, of every kind
def test_the_official_client_sees_exactly_the_profiles_and_lists_of_the_truth(folder: Path) -> None:
    told = {}
    for name in EXPORTS:
        for one in truth(name).values():
            if one.profile is not None:
                told[_key(one.profile)] = (one.profile, one.lists)
    with SandboxServer(SandboxSettings(path=folder / "sandbox.db", limits="off")) as server:
        client = KlaviyoAPI(SANDBOX_KEY, max_delay=1, max_retries=1, test_host=server.url)
        lists: dict[str, set[str]] = defaultdict(set)
        for found in _pages(client.Lists.get_lists):
            for member in _pages(client.Lists.get_profiles_for_list, found.id, page_size=100):
                lists[member.id].add(found.attributes.name)
        seen = {}
        for profile in _pages(client.Profiles.get_profiles, page_size=100):
            attributes = _attributes(profile)
            seen[_key(attributes)] = (attributes, tuple(sorted(lists[profile.id])))
    assert len(seen) == len(told) > 13_000
    assert seen == told
    # Equal is not enough: 1 == True == 1.0.
    for key, (attributes, _) in seen.items():
        assert _types(attributes) == _types(told[key][0]), key


def _pages(endpoint: Any, *arguments: Any, **options: Any) -> Iterator[Any]:
    cursor = None
    while True:
        page = endpoint(*arguments, **options, **({"page_cursor": cursor} if cursor else {}))
        yield from page.data
        if not page.links.next:
            return
        cursor = parse_qs(urlsplit(page.links.next).query)["page[cursor]"][0]


def _attributes(profile: Any) -> dict[str, Any]:
    """Return what of a profile an import writes, without what is empty."""
    attributes = profile.attributes.to_dict()
    for name in ("created", "updated", "last_event_date", "subscriptions", "predictive_analytics"):
        attributes.pop(name, None)
    location = {name: value for name, value in (attributes.pop("location", None) or {}).items() if value is not None}
    found = {name: value for name, value in attributes.items() if value not in (None, {})}
    return {**found, "location": location} if location else found


def _key(attributes: dict[str, Any]) -> str:
    return next(str(attributes[name]) for name in IDENTIFIERS if attributes.get(name))


def _types(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _types(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_types(part) for part in value]
    return type(value)
