"""Parts that all listeners share."""
