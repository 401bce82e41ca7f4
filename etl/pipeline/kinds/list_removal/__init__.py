"""Profiles that are taken off a list because they are not in the source."""
