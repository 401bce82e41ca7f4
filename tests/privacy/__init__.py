"""What is removed of people, and what must not come back."""
