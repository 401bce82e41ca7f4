"""Lines that are one person: found, ordered by age, merged."""
