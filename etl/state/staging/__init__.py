"""Rows on their way in: issues, duplicates, merges, consents."""
