"""Frames of a run on video."""
