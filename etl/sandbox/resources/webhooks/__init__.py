"""Webhooks: registered, signed and delivered."""
