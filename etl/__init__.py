"""Bulk profile import into Klaviyo that accounts for every row."""
