"""Doctor: everything a run needs, looked at one by one by harmless reads. Writes nothing anywhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from etl.config import DEFAULT_BASE_URL
from etl.config.settings.base_url import host_of
from etl.errors import ConfigError, EtlError
from etl.klaviyo import Account, Feature, KlaviyoClient, RevisionAge
from etl.pipeline.account.lists import describe, find_list
from etl.pipeline.account.plan_usage import read_usage
from etl.pipeline.account.revision import standing_of
from etl.pipeline.context import Context

_MOST_SKEW: Final = 60.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor. ``hint`` says what to do where it is not ``ok``."""

    name: str
    ok: bool
    message: str
    hint: str = ""


def doctor(*, context: Context | None = None, list: str | None = None) -> list[Finding]:  # noqa: A002 - the word of the design
    """Return what was found: key, account, scopes, revision, clock, list, state. ``list``: id or name to look for."""
    context = context or Context.create()
    findings = [_look("state", lambda: _state(context)), _revision(context), _host(context)]
    try:
        client = context.open_client()
    except EtlError as error:
        # What is wrong with the revision is said already.
        return findings if error.code == "revision-lacks" else [_bad("key", error), *findings]
    with client:
        account: Account | None = None
        try:
            account = client.get_account()
        except EtlError as error:
            return [_bad("key", error), *findings]
        test = ", a test account" if account.test else ""
        findings.insert(0, Finding("account", True, f"{account.id} ({account.name}{test}), {account.timezone}"))
        findings.insert(0, Finding("key", True, "is known to Klaviyo"))
        findings += [
            _scope("lists", "lists:read", "finding lists", lambda: f"{len(client.all_lists())} lists can be read"),
            _scope("profiles", "profiles:read", "plan, verify and looking first", lambda: _profiles(client)),
            _scope("imports", "lists:read and profiles:read", "seeing what jobs did", lambda: _jobs(client, context)),
            _scope("consent", "profiles:read", "leaving alone who opted out", lambda: _consents(client)),
            _scope("events", "metrics:read", "proving events", lambda: _metrics(client)),
            # No run needs it, so a key without the scope is not ill.
            Finding("plan", True, read_usage(client).says()),
        ]
        findings.append(_clock(client))
        wanted = list or context.settings.list or context.settings.usual_list
        if wanted:
            findings.append(_look("list", lambda: _list(client, wanted)))
    return findings


def _look(name: str, ask: Callable[[], str]) -> Finding:
    try:
        return Finding(name, True, ask())
    except EtlError as error:
        return _bad(name, error)


def _scope(name: str, scopes: str, feature: str, ask: Callable[[], str]) -> Finding:
    """Look whether the key may read something; say what for where it may not."""
    finding = _look(f"scope {name}", ask)
    if finding.ok or "key-lacks-scope" not in finding.message:
        return finding
    hint = f"Give the key {scopes} (Klaviyo: Settings > API keys), or make a new one with it."
    return Finding(finding.name, False, f"the key lacks {scopes}, needed for {feature}: {finding.message}", hint)


def _bad(name: str, error: EtlError) -> Finding:
    return Finding(name, False, f"{error.message} [{error.code}]", error.hint)


def _state(context: Context) -> str:
    where = context.settings.state
    if "://" not in where and not Path(where).exists():
        return f"{where} does not exist yet; the first run makes it"
    with context.open_store(create=False) as store:
        return f"{store.url} can be opened, {len(store.runs.newest(1_000)):,} runs"


def _profiles(client: KlaviyoClient) -> str:
    for _ in client.profiles_by("email", ["nobody@klaviyo-etl.invalid"]):
        pass
    return "profiles can be read"


def _jobs(client: KlaviyoClient, context: Context) -> str:
    client.recent_jobs(context.clock.now())
    return "import jobs can be read"


def _consents(client: KlaviyoClient) -> str:
    for _ in client.profiles_with_consent("email", ["nobody@klaviyo-etl.invalid"]):
        pass
    return "consent can be read"


def _metrics(client: KlaviyoClient) -> str:
    names = [metric.name for metric in client.metrics()]
    return f"{len(names)} metrics can be read"


def _list(client: KlaviyoClient, wanted: str) -> str:
    found = find_list(client, wanted)
    if found is None:
        raise ConfigError("list-unknown", f"Klaviyo has no list {wanted!r}", "Check the name, or create it in Klaviyo.")
    counted = client.get_list(found.id, with_count=True)
    count = counted.profile_count if counted is not None else None
    return describe(found) + (f", {count:,} profiles" if count is not None else "")


def _revision(context: Context) -> Finding:
    found = standing_of(context)
    lacking = [feature for feature in Feature if not feature.known_to(found.revision)]
    without = f"; it does not know {', '.join(feature.title for feature in lacking)}" if lacking else ""
    hint = "Read Klaviyo's changelog, then set KLAVIYO_REVISION (unset: the default)."
    ok = found.age is RevisionAge.STABLE and not found.beta
    return Finding("revision", ok, f"{found.says}{without}", "" if ok else hint)


def _host(context: Context) -> Finding:
    host = host_of(context.settings.base_url)
    own = context.settings.base_url == DEFAULT_BASE_URL
    return Finding("host", True, f"the key goes to {host}" + ("" if own else ", by KLAVIYO_BASE_URL"))


def _clock(client: KlaviyoClient) -> Finding:
    skew = client.clock_skew
    if skew is None:
        return Finding("clock", True, "Klaviyo's answers carry no date to compare with")
    if abs(skew) > _MOST_SKEW:
        hint = "Set this machine's clock (NTP): times decide which job is ours after a lost answer."
        return Finding("clock", False, f"differs from Klaviyo's by {skew:+.0f} s", hint)
    return Finding("clock", True, f"within {abs(skew):.0f} s of Klaviyo's")
