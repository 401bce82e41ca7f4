"""Bulk profile import jobs."""
