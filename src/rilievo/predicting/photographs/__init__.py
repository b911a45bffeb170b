"""Photographs: from an image to a prediction and files."""
