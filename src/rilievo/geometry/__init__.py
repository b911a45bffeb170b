"""Cameras, transforms, normals and surfaces, for numpy and torch."""
