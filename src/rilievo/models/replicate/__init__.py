"""Models at replicate.com."""
