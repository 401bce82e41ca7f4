"""One exchange with Klaviyo: limits, retries, what a reply means, and when it is in doubt."""
