"""Commands about what the user settles once: accounts, and whose code may run."""
