"""The function that docs/mapping.md names in its table of transforms."""

from __future__ import annotations


def digits(text: str) -> str:
    """Keep the digits."""
    return "".join(letter for letter in text if letter.isdigit())


def picky(text: str) -> str:
    """Take some texts only."""
    if text == "bad":
        raise ValueError(text)
    return text.upper()


def wrong(text: str) -> int:
    """Return what is no text."""
    return len(text)
