"""The page in a browser: photographs and videos in, depth, normals and surfaces out."""
