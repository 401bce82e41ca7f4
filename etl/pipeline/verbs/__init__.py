"""The public verbs, each a typed function."""
