"""What every channel says when it cannot deliver."""

from __future__ import annotations

from typing import Final

SECONDS: Final = 10.0
"""How long a receiver may take: a run that has ended does not wait for long."""


class UndeliveredError(Exception):
    """An alert did not arrive; the text says why, without an address or a secret."""
