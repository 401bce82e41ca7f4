"""From a request to the endpoint that answers it: the key and its scopes, then the route."""
