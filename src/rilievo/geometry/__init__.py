"""Cameras, transforms, normals and surfaces; once for numpy and torch where both need it."""
