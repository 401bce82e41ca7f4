"""SQL queries of the user's own databases."""
