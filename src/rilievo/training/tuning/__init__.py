"""Models that are trained further."""
