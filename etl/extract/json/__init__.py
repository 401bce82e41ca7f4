"""JSON lines, and arrays of objects."""
