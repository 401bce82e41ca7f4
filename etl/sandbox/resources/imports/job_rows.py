"""What becomes of the rows of an import job: one after the other, in an order of Klaviyo's own, or not at all."""

from __future__ import annotations

import random
import sqlite3
from typing import Any

import orjson

from etl.sandbox.account.store import Profile, Store
from etl.sandbox.protocol.settings import SandboxSettings
from etl.sandbox.resources.profiles import merging
from etl.sandbox.resources.profiles.identity import Directory, columns_of, key_of, patch, write
from etl.sandbox.resources.profiles.validation import (
    DROPPED_DOMAIN,
    FAILED_DOMAIN,
    IDENTIFIERS,
    PROFILE_BYTES,
    is_real_phone,
    looks_fake,
)


class Import:
    """One job at work. ``changed``: profiles by number; ``errors``: code, detail and row of those that failed."""

    def __init__(self, store: Store, settings: SandboxSettings, job: sqlite3.Row, now: float) -> None:
        self._store = store
        self._settings = settings
        self._now = now
        self._seed = job["seq"]
        self.rows: list[dict[str, Any]] = orjson.loads(job["payload"])
        ids = [row["id"] for row in self.rows if row.get("id")]
        known = store.find(**_lookups(self.rows), id=ids)
        self._directory = Directory(known)
        self._by_id = {profile.id: profile for profile in known}
        across = settings.switches.duplicates == "drop_across_jobs"
        self._at_work = _written_meanwhile(store, job) if across else frozenset[int]()
        self._taken: set[tuple[str, str]] = set()
        self._robbed: dict[int, Profile] = {}
        self._next = store.next_profile()
        self.changed: dict[int, Profile] = {}
        self.errors: list[tuple[str, str, Any]] = []

    def run(self) -> None:
        """Take every row, and keep what it comes to."""
        order = list(range(len(self.rows)))
        random.Random(self._seed).shuffle(order)  # noqa: S311 - "processing order is not guaranteed", but repeatable
        for index in order:
            self._take(self.rows[index])
        self._store.save((self._robbed | self.changed).values())

    def _take(self, row: dict[str, Any]) -> None:
        attributes = _realistic(row["attributes"])
        refused = _refusal(row, attributes)
        if refused:
            self.errors.append((*refused, row))
            return
        switches = self._settings.switches
        keys = {(name, key_of(name, attributes[name])) for name in IDENTIFIERS if attributes.get(name)}
        repeated = keys & self._taken and switches.duplicates != "write"
        if repeated or _unwanted(attributes.get("email") or "", self._settings):
            return  # in silence, as Klaviyo does: neither an error nor a profile
        owners = self._owners(row, attributes)
        if any(owner.seq in self._at_work for owner in owners):
            return
        if len(owners) > 1 and switches.identity_conflict == "refuse":
            detail = "A profile already exists with one of these identifiers."
            self.errors.append(("duplicate_profile", detail, row))
            return
        self._taken |= keys
        profile = owners[0] if owners else self._new()
        for other in owners[1:]:
            self._settle(profile, other, attributes)
        self._directory.leave(profile)
        write(profile, attributes, self._now, nulls_clear=False)
        if switches.bulk_patches == "apply":
            patch(profile, row.get("meta"))
        self._directory.enter(profile)
        self.changed[profile.seq] = profile

    def _owners(self, row: dict[str, Any], attributes: dict[str, Any]) -> list[Profile]:
        owners = self._directory.owners(attributes)
        named = self._by_id.get(row.get("id") or "")
        return owners if named is None else [named, *(owner for owner in owners if owner.seq != named.seq)]

    def _new(self) -> Profile:
        self._next += 1
        return Profile(self._next - 1, None, None, None, {}, self._now, self._now)

    def _settle(self, profile: Profile, other: Profile, attributes: dict[str, Any]) -> None:
        """Give a profile what a row says is its own although another one has it."""
        self._directory.leave(other)
        if self._settings.switches.identity_conflict == "merge":
            merging.absorb(profile, other)
            merging.merge(self._store, profile, other, self._now)
            self._by_id.pop(other.id, None)
            self.changed.pop(other.seq, None)
        else:
            merging.release_identifiers(other, attributes)
            self._directory.enter(other)
            self._robbed[other.seq] = other


def _written_meanwhile(store: Store, job: sqlite3.Row) -> frozenset[int]:
    """Return the profiles that other jobs wrote while this one was waiting."""
    query = "SELECT profile FROM job_profiles p JOIN jobs j ON j.seq = p.job WHERE j.completed > ? AND j.seq <> ?"
    return frozenset(row[0] for row in store.connection.execute(query, (job["created"], job["seq"])))


def _lookups(rows: list[dict[str, Any]]) -> dict[str, list[str]]:
    columns: dict[str, list[str]] = {}
    for row in rows:
        for column, values in columns_of(row["attributes"]).items():
            columns.setdefault(column, []).extend(values)
    return columns


def _realistic(attributes: dict[str, Any]) -> dict[str, Any]:
    phone = attributes.get("phone_number")
    if phone and not is_real_phone(phone):
        return {name: value for name, value in attributes.items() if name != "phone_number"}
    return attributes


def _unwanted(email: str, settings: SandboxSettings) -> bool:
    return email.casefold().endswith(DROPPED_DOMAIN) or (settings.drop_fakes and looks_fake(email))


def _refusal(row: dict[str, Any], attributes: dict[str, Any]) -> tuple[str, str] | None:
    if not row.get("id") and not any(attributes.get(name) for name in IDENTIFIERS):
        if row["attributes"].get("phone_number"):
            return "invalid", "Invalid phone number format (Example of a valid format: +12345678901)"
        return "invalid", "One or more identifiers is required"
    if (attributes.get("email") or "").casefold().endswith(FAILED_DOMAIN):
        return "invalid", "The profile could not be imported"
    if len(orjson.dumps(row)) > PROFILE_BYTES:
        return "invalid", "Payload size of the profile exceeds the limit of 100KB"
    return None
