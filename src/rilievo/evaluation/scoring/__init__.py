"""Scores of one image, and many images side by side."""
