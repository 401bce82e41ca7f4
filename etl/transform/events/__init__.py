"""Rows → events: identity, order lines, merging rows of one order."""
