"""The browser app: photographs and videos in, depth, normals and surfaces out."""
