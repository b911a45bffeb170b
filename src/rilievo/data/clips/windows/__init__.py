"""Motion of a camera over windows of frames: points followed through many, and their bundle."""
