"""Taking back what an earlier run wrote: what goes back is decided field by field, against what Klaviyo has now."""
