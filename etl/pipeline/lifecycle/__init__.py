"""Runs: created, continued, and what each leaves on disk."""
