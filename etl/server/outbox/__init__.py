"""What was accepted and Klaviyo has yet to get: delivered in order, by one process."""
