"""Motion of a camera between frames, by geometry alone."""
