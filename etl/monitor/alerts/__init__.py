"""Alerts: a change of condition, in words, and the channels that carry it."""
