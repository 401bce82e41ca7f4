"""Batches, their settlement, and what is known of the account because of them."""
