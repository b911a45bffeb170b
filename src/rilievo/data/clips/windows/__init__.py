"""Motion of a camera over windows of frames, from points followed through many."""
