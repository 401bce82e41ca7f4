"""Profiles, with their lists and consents."""
