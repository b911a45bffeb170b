"""Models that are functions of the user: an image in, depth out."""
