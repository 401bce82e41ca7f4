"""Taking an earlier run back."""
