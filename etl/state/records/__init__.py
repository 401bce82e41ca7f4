"""Records in packed blocks: what a row would send."""
