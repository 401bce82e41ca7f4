"""Recognisers: what a column or a table seems to be, by its header and its cells."""
