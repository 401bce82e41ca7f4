"""Cells → values of a type."""
