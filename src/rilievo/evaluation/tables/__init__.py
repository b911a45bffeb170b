"""Tables of several models."""
