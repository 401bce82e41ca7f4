"""Text that was damaged on its way: mojibake, error values, words for nothing."""
