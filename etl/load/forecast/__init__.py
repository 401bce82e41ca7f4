"""What a load would do, asked of Klaviyo with reads only."""
