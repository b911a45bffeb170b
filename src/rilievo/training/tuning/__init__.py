"""Models that are trained further on photographs with depth or normals."""
