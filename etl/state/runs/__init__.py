"""Runs, their rows as they stood in the source, and how far a query has come."""
