"""Lists: what there is, how people get on them, who is on one."""

from __future__ import annotations

from collections.abc import Iterator

from etl.klaviyo import KlaviyoClient, KlaviyoList
from etl.pipeline.account.lists import find_list, need_list
from etl.pipeline.context import Context


def all_lists(*, context: Context, named: str | None = None) -> list[KlaviyoList]:
    """Return the account's lists by name, or those whose name contains ``named``."""
    with context.open_client() as client:
        found = client.all_lists()
    wanted = (named or "").casefold()
    return sorted((one for one in found if wanted in one.name.casefold()), key=lambda one: (one.name, one.id))


def show_list(wanted: str, *, context: Context) -> KlaviyoList:
    """Return one list with its size. Klaviyo counts 15 times a minute at most (reference 3.6)."""
    with context.open_client() as client:
        found = need_list(client, wanted, create=False)
        return client.get_list(found.id, with_count=True) or found


def create_list(name: str, *, context: Context, double_opt_in: bool | None = None) -> tuple[KlaviyoList, bool]:
    """Return the list of this name, and whether it was made. ``double_opt_in`` ``None``: the account's default."""
    with context.open_client() as client:
        found = find_list(client, name)
        if found is not None:
            return found, False
        process = None if double_opt_in is None else "double_opt_in" if double_opt_in else "single_opt_in"
        return client.create_list(name, process), True


def list_members(wanted: str, *, context: Context) -> Iterator[dict[str, str]]:
    """Yield the members of a list: id, identifiers, names, and when they joined."""
    with context.open_client() as client:
        yield from _members(client, need_list(client, wanted, create=False))


def _members(client: KlaviyoClient, target: KlaviyoList) -> Iterator[dict[str, str]]:
    names = ("email", "phone_number", "external_id", "first_name", "last_name", "joined_group_at")
    for profile in client.list_members(target.id):
        yield {"id": profile.id, **{name: str(profile.attributes.get(name) or "") for name in names}}
