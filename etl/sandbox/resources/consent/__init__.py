"""Subscriptions and suppressions."""
