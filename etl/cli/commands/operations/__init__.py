"""Commands for imports that nobody watches: status, notify, schedule."""
