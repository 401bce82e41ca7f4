"""What of people is removed from state and run folders."""
