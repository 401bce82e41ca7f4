"""One profile or one event at a time."""
