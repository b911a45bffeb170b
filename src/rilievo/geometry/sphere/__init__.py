"""Depth all round: perspective views of a sphere, their scales, their merging."""
