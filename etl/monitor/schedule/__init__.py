"""Recipes: how each scheduler runs an import every night, with lock, alert and rotation of logs. Pure text."""
