"""Addresses that are to be suppressed, or no longer."""
