"""One engine for all training."""
