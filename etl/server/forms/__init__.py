"""Registration forms and checkouts."""
