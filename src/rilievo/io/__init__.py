"""Reading and writing of photographs, videos, depth, normals and surfaces."""
