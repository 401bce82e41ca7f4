"""Events: orders and anything else that happened."""
