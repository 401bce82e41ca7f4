"""What a Klaviyo account holds, and its history."""
