"""Profiles: identity, validation, merging, deletion."""
