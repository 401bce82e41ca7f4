"""Bodies, answers, health and metrics of every endpoint."""
