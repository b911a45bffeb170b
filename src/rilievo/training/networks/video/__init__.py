"""Networks that learn from video."""
