"""Commands for imports that nobody watches: status, purge, notify, schedule."""
