"""Bodies, parameters and limits of requests."""
