"""Files in and out: photographs, videos, depth, normals and surfaces."""
