"""Load: plan batches (pure), decide after each reply (pure), perform the effects (runner)."""
