"""Files as such: many read as one, packed, remote, private; what is no table by its first bytes."""
