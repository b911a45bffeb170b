"""Depth all round: views of a sphere, their scales and merging."""
