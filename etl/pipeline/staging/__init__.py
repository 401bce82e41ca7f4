"""Staging: chunks judged by one process or several, in order, into state."""
