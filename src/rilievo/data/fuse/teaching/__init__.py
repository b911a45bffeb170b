"""Depth of a fused surface as labels of its own frames."""
