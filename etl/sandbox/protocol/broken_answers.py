"""What a fault does to the answer of a request that was processed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import orjson

from etl.sandbox.protocol.faults import Fault
from etl.sandbox.protocol.jsonapi import Response


@dataclass(frozen=True, slots=True)
class BrokenConnection:
    """No whole answer reaches the client. ``before``: not processed; ``during``: cut off; ``after``: answer lost."""

    moment: Literal["before", "during", "after"]
    response: Response | None = None


@dataclass(frozen=True, slots=True)
class Delayed:
    """An answer that takes its time, in seconds."""

    seconds: float
    response: Response


Result = Response | BrokenConnection | Delayed


def damaged(fault: Fault, response: Response) -> Result:
    """Return what becomes of the answer to a request that was processed."""
    match fault.fault:
        case "latency":
            return Delayed(fault.seconds, response)
        case "reset_during":
            return BrokenConnection("during", response)
        case "answer_lost":
            return BrokenConnection("after", response)
        case "truncated":
            return replace(response, body=response.body[: len(response.body) // 2])
        case "malformed":
            return replace(response, body=b'{"data": }')
        case "unknown_enum" | "extra_fields":
            return _decorated(response, fault.fault)
    return response


def _decorated(response: Response, kind: str) -> Response:
    try:
        document = orjson.loads(response.body)
    except orjson.JSONDecodeError:
        return response
    data = document.get("data")
    for item in data if isinstance(data, list) else [data]:
        if isinstance(item, dict) and isinstance(item.get("attributes"), dict):
            if kind == "extra_fields":
                item["attributes"]["a_field_of_next_year"] = {"nested": [1, None]}
                item["a_member_of_next_year"] = True
            elif "status" in item["attributes"]:
                item["attributes"]["status"] = "a_status_of_next_year"
    document["meta"] = {"agent_hints": {"next_steps": []}}
    return replace(response, body=orjson.dumps(document))
