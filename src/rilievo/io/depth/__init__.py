"""Depth maps in files: their numbers, what these mean, and where they lie in a photograph."""
