"""Events: sent in bulk, and proved by reading them back, since no job can be polled."""
