"""Phone numbers: the reference, the columnar fast path that equals it, and advice."""
