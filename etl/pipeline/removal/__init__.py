"""Profiles that left the source, and taking them off a list."""
