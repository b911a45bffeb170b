"""The colours of maps, the same in files, pages, reports and training pictures.

Depth is bright where it is near, everywhere; errors and angles have maps of their own, so that
nobody takes one for the other.
"""

DEPTH_COLOURS = "viridis"
"""Depth; yellow is near, violet is far."""
SIGNED_COLOURS = "spectral"
"""Errors that have a sign; the middle is none."""
ANGLE_COLOURS = "magma"
"""Angles between normals; black is none."""
LEAST_SPAN = 1.5
"""Farthest over nearest depth of a colour range at least: a flat wall is not a landscape."""
