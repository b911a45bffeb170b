"""Work of listeners."""
