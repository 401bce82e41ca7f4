"""Klaviyo's endpoints as the importer needs them.

Writes that a checkpoint surrounds do exactly one exchange and return a :class:`Reply`; reads try again by themselves
and return dataclasses or raise. Limits and shapes: ``docs/klaviyo.md`` and the OpenAPI document 2026-07-15.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Literal

import orjson

from etl.errors import GuardError, RequestRefusedError
from etl.klaviyo import resources
from etl.klaviyo.endpoints.billing import BillingEndpoints
from etl.klaviyo.endpoints.consents import ConsentEndpoints
from etl.klaviyo.endpoints.events import EventEndpoints
from etl.klaviyo.endpoints.merging import MergeEndpoints
from etl.klaviyo.endpoints.webhooks import WebhookEndpoints
from etl.klaviyo.resources import Account, ImportJob, JobError, KlaviyoList, Profile
from etl.klaviyo.transport.reply import Reply
from etl.klaviyo.transport.revisions import Feature
from etl.klaviyo.transport.session import ACCOUNTS, chunk_values, data_item, data_items, filter_any, quote_path
from etl.model import BatchKind
from etl.operations import OPERATIONS, Single

_JOBS: Final = OPERATIONS[BatchKind.IMPORT].path


class KlaviyoClient(BillingEndpoints, ConsentEndpoints, EventEndpoints, MergeEndpoints, WebhookEndpoints):
    """A connection to one account; a context manager. Waits and chance are injected."""

    # --- writes: one exchange each, the caller keeps the checkpoint ---------------------------------------------------

    def submit_import_job(self, body: bytes) -> Reply:
        """POST a bulk import job: at most 10,000 profiles, 5 MB, 100 KB each (OpenAPI document)."""
        return self._change(BatchKind.IMPORT, body)

    def upsert_profile(self, body: bytes) -> Reply:
        """POST one profile to profile-import; ``null`` clears a field, one left out stays (OpenAPI document)."""
        return self._change(BatchKind.UPSERT, body)

    def add_to_list(self, list_id: str, profile_ids: Sequence[str]) -> Reply:
        """Add at most 1,000 profiles to a list. Gives no consent (OpenAPI document)."""
        return self._relationship(BatchKind.LIST_ADD, list_id, profile_ids)

    def remove_from_list(self, list_id: str, profile_ids: Sequence[str]) -> Reply:
        """Take at most 1,000 profiles off a list. Takes no consent."""
        return self._relationship(BatchKind.LIST_REMOVE, list_id, profile_ids)

    def patch_profile(self, profile_id: str, body: bytes) -> Reply:
        """PATCH one profile by its Klaviyo id; ``null`` clears."""
        return self._change(Single.PATCH_PROFILE, body, of=profile_id)

    def request_deletion(self, field: Literal["email", "phone_number", "id"], value: str) -> Reply:
        """Ask Klaviyo to delete every profile of this identifier, for good; accepted is not done (reference 3.10)."""
        who: dict[str, Any] = {"type": "profile", "attributes": {}}
        (who if field == "id" else who["attributes"])[field] = value
        data = {"type": "data-privacy-deletion-job", "attributes": {"profile": {"data": who}}}
        return self._change(Single.DELETE_PROFILE, orjson.dumps({"data": data}))

    # --- reads: tried again, typed ------------------------------------------------------------------------------------

    def get_account(self) -> Account:
        """Return the key's account. Raise :class:`GuardError` for another one than is expected."""
        reply = self._read("/api/accounts", ACCOUNTS, many=True)
        items = data_items(reply)
        if not items:
            raise RequestRefusedError("account-missing", "Klaviyo names no account for this key", "Check the key.")
        found = resources.account_of(items[0])
        if self._expected not in {None, found.id}:
            raise GuardError(
                "account-unexpected",
                f"The key belongs to account {found.id}, and {self._expected} is expected",
                "Nothing else was asked of it. Use the right key, or correct the id in the settings of the account.",
            )
        self._is_known = True
        return found

    def _know_account(self) -> None:
        self.get_account()

    def get_list(self, list_id: str, *, with_count: bool = False) -> KlaviyoList | None:
        """Return a list, ``None`` if there is none. ``with_count`` lowers the limit to 15 a minute."""
        path = f"/api/lists/{quote_path(list_id)}"
        if with_count:
            path += "?additional-fields%5Blist%5D=profile_count"
            reply = self._read(path, "GET /api/lists/{id}?profile_count", missing_ok=True)
        else:
            reply = self._read(path, "GET /api/lists/{id}", missing_ok=True)
        item = reply.document.get("data")
        return resources.list_of(item) if isinstance(item, dict) else None

    def find_lists(self, name: str) -> list[KlaviyoList]:
        """Return the lists of exactly this name; Klaviyo allows several."""
        path = f"/api/lists?filter={filter_any('name', [name])}"
        return [resources.list_of(item) for item in self._pages(path, "GET /api/lists")]

    def all_lists(self) -> list[KlaviyoList]:
        """Return every list of the account."""
        return [resources.list_of(item) for item in self._pages("/api/lists", "GET /api/lists")]

    def create_list(self, name: str, opt_in_process: str | None = None) -> KlaviyoList:
        """Create a list (150 a day). Raise ConfigError if the revision does not know ``opt_in_process``."""
        if opt_in_process:
            self.require(Feature.OPT_IN_PROCESS, option="--double-opt-in or --single-opt-in")
        attributes = {"name": name} | ({"opt_in_process": opt_in_process} if opt_in_process else {})
        body = orjson.dumps({"data": {"type": "list", "attributes": attributes}})
        # Not idempotent: Klaviyo would make a second list. Only what surely did not arrive is sent again.
        reply = self._until_answered(lambda: self._change(Single.CREATE_LIST, body), safe=False)
        return resources.list_of(data_item(reply))

    def get_job(self, job_id: str) -> ImportJob | None:
        """Return a job, ``None`` once it has expired."""
        reply = self._read(f"{_JOBS}/{quote_path(job_id)}", f"GET {_JOBS}/{{id}}", missing_ok=True)
        item = reply.document.get("data")
        return resources.job_of(item) if isinstance(item, dict) else None

    def recent_jobs(self, since: float) -> list[ImportJob]:
        """Return the jobs created at or after ``since`` (epoch seconds), newest first."""
        found = []
        path = f"{_JOBS}?sort=-created_at&page%5Bsize%5D=100"
        for item in self._pages(path, f"GET {_JOBS}"):
            job = resources.job_of(item)
            if job.created_at is not None and job.created_at < since:
                break
            found.append(job)
        return found

    def job_errors(self, job_id: str) -> Iterator[JobError]:
        """Yield the rows a job could not import."""
        path = f"{_JOBS}/{quote_path(job_id)}/import-errors?page%5Bsize%5D=100"
        return map(resources.job_error_of, self._pages(path, f"GET {_JOBS}/{{id}}/import-errors"))

    def job_profiles(self, job_id: str) -> Iterator[Profile]:
        """Yield the profiles a job created or updated."""
        path = f"{_JOBS}/{quote_path(job_id)}/profiles?page%5Bsize%5D=100"
        return map(resources.profile_of, self._pages(path, f"GET {_JOBS}/{{id}}/profiles"))

    def get_profile(self, profile_id: str) -> Profile | None:
        """Return one profile with its consent, ``None`` if there is none."""
        path = f"/api/profiles/{quote_path(profile_id)}?additional-fields%5Bprofile%5D=subscriptions"
        item = self._read(path, "GET /api/profiles/{id}", missing_ok=True).document.get("data")
        return resources.profile_of(item) if isinstance(item, dict) else None

    def has_profiles(self) -> bool:
        """Whether the account shows any profile: whether that one is not shown means anything."""
        return bool(data_items(self._read("/api/profiles?page%5Bsize%5D=1", "GET /api/profiles", many=True)))

    def profiles_by(self, field: str, values: Iterable[str]) -> Iterator[Profile]:
        """Yield the profiles that have one of the values, asked for in batches of at most 100.

        ``field``: one of ``IDENTIFIERS``, or ``id``.
        """
        for part in chunk_values(field, list(dict.fromkeys(values))):
            path = f"/api/profiles?page%5Bsize%5D=100&filter={filter_any(field, part)}"
            yield from map(resources.profile_of, self._pages(path, "GET /api/profiles"))

    def list_members(
        self, list_id: str, field: Literal["email", "phone_number"] | None = None, values: Iterable[str] = ()
    ) -> Iterator[Profile]:
        """Yield the members of a list, or those that have one of the values."""
        base = f"/api/lists/{quote_path(list_id)}/profiles?page%5Bsize%5D=100"
        endpoint = "GET /api/lists/{id}/profiles"
        if field is None:
            yield from map(resources.profile_of, self._pages(base, endpoint))
            return
        for part in chunk_values(field, list(dict.fromkeys(values))):
            yield from map(resources.profile_of, self._pages(f"{base}&filter={filter_any(field, part)}", endpoint))

    def _relationship(self, kind: BatchKind, list_id: str, profile_ids: Sequence[str]) -> Reply:
        body = orjson.dumps({"data": [{"type": "profile", "id": profile_id} for profile_id in profile_ids]})
        return self._change(kind, body, of=list_id)
