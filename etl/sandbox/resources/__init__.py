"""The resources of the API, one folder or module each."""
