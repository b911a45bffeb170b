"""Alignment to ground truth in metres, as evaluation protocols do it."""
