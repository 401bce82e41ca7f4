"""Profiles before and after a request: looked up, compared, decided, proved."""
