"""What the server writes: opt-outs, the outbox, who is forgotten."""
