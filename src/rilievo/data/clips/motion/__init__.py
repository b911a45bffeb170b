"""Camera motion by geometry alone."""
