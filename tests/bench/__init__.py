"""Programs that measure: ``python -m tests.bench``, and beside it each module as ``python -m tests.bench.MODULE``."""
