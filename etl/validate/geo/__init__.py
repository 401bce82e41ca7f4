"""Countries and postal codes."""
