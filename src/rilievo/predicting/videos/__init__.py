"""Videos: depth that is steady over time, frame by frame or in two passes."""
