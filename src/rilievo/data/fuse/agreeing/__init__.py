"""Depth of views brought to agree."""
