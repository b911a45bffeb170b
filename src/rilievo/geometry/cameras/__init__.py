"""Cameras: rays of a photograph's pixels."""
