"""Workbooks: read in a process of their own, bounded by what is filled."""
