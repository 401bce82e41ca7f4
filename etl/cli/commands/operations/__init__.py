"""Commands for imports that nobody watches: status, purge, forget, notify, schedule."""
