"""Scores of one image: metres, regions, points, and many images side by side."""
