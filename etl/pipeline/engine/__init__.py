"""One import, whatever its kind of record: stage, resolve, load, verify, report."""
