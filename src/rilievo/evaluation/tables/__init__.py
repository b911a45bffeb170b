"""Tables of several models: comparisons and standings."""
