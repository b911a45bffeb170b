"""Work of requests."""
