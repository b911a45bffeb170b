"""Other places, which a run must not forget."""
