"""Reading and writing of photographs, videos, depth and surfaces."""
