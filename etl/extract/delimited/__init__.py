"""Delimited text: encoding, dialect, a strict reader, and a columnar one that equals it."""
