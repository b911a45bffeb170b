"""``rilievo serve``."""
