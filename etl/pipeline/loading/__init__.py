"""Loading a run: plan, guards, questions, requests, reconciliation."""
