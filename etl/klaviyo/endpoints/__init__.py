"""Groups of endpoints, each with its rate limits and the shapes of its bodies."""
