"""Videos: frame by frame, or steady in two passes."""
