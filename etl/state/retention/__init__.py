"""What is removed from state: the personal data of old runs."""
