"""Profiles that are one person: what may be merged, and in which order."""
