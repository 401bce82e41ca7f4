"""Looking after a state as a whole: backup, restore, check, move."""
