"""Photographs: from an image to a prediction, and to files."""
