"""Klaviyo's signed webhooks: verified, then parsed, then written down."""
