"""Colour maps for each quantity, shared by files, pages, reports and training pictures.

Near depth is bright everywhere. Errors and angles have colour maps of their own, so that they are
not taken for depth.
"""

DEPTH_COLOURS = "viridis"
"""Colour map of depth; yellow is near, violet is far."""
SIGNED_COLOURS = "spectral"
"""Colour map of signed errors; the middle is zero."""
ANGLE_COLOURS = "magma"
"""Colour map of angles between normals; black is zero."""
LEAST_SPAN = 1.5
"""Least ratio of farthest to nearest depth in a colour range, so that a flat wall looks flat."""
