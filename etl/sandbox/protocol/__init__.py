"""The protocol: JSON:API documents, filters, rate limits, faults on demand."""
