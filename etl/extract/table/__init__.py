"""Which rows of a table are the header, records, totals or repeated headers."""
