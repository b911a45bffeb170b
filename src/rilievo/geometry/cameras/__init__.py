"""Cameras: the rays that the pixels of a photograph see."""
