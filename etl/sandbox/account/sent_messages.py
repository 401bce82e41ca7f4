"""What would have reached a human. Nothing is sent: it is counted, so that a test can prove that nobody was mailed.

The account is taken to have every flow there is: a welcome on subscription, one on "added to list" for each list, one
for each metric. So the count is what Klaviyo *may* send, the most a careless import can cause.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import orjson

from etl.sandbox.account.store import Store

Kind = Literal["double_opt_in", "welcome", "added_to_list", "metric_flow"]

_COUNT: Final = "ON CONFLICT DO UPDATE SET count = count + 1"
# Mail goes to whoever is neither suppressed nor unsubscribed (OpenAPI, can_receive_email_marketing: implicit consent).
_BY_EMAIL: Final = f"""
INSERT INTO messages SELECT 'email', email_key, ?1, 1 FROM profiles p
WHERE seq IN (SELECT value FROM json_each(?2)) AND email_key IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM suppressions s WHERE s.profile = p.seq AND s.list_id = '')
  AND NOT EXISTS (SELECT 1 FROM consents c WHERE c.profile = p.seq AND c.channel = 'email.marketing'
                  AND c.consent = 'UNSUBSCRIBED') {_COUNT}"""  # noqa: S608 - text of ours
_BY_SMS: Final = f"""
INSERT INTO messages SELECT 'sms', phone_number, ?1, 1 FROM profiles p
WHERE seq IN (SELECT value FROM json_each(?2)) AND email_key IS NULL AND phone_number IS NOT NULL
  AND EXISTS (SELECT 1 FROM consents c WHERE c.profile = p.seq AND c.channel = 'sms.marketing'
              AND c.consent = 'SUBSCRIBED') {_COUNT}"""  # noqa: S608 - text of ours


def to_address(store: Store, medium: str, address: str, kind: Kind) -> None:
    """Count one message to an e-mail address or a phone number."""
    counting = f"INSERT INTO messages VALUES (?, ?, ?, 1) {_COUNT}"  # noqa: S608 - text of ours
    store.connection.execute(counting, (medium, address.lower(), kind))


def to_profiles(store: Store, profiles: Sequence[int], kind: Kind) -> None:
    """Count one message to each profile that a flow reaches: by e-mail, else by SMS with consent."""
    if profiles:
        values = (kind, orjson.dumps(list(profiles)).decode())
        store.connection.execute(_BY_EMAIL, values)
        store.connection.execute(_BY_SMS, values)
