"""Consent: whom to subscribe, by what Klaviyo, the log of opt-outs and the row say."""
