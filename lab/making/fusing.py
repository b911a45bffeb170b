"""Constants of the fusing of two networks and of its outlines, for the graph and for training."""

CELL = 16
"""Side of a cell [px of the detail network's picture]; windows are made of cells."""
REACH = 1
"""Cells on each side of the middle cell of a window."""
FLATTEST, STEEPEST = 0.7, 2.0
"""Least and largest slope."""
PULL = 0.003
"""Variance of log depth that pulls slopes to 1."""
LEAST_LAND = 1e-3
"""Weight of sky, so that windows of nothing else have a mean."""

FARTHEST = 24.0
"""Largest share of a displacement, along the slope or free [px of the detail network's picture]."""
DEAD = 1.2
"""Displacement that counts for nothing [px]: rounded, small ones would make terraces of slopes.
One that is a pixel larger counts in full."""
STEEP = 0.016
"""Slope of log depth a cell of 4 pixels at which the way along it counts half."""
GUARD = 0.25
"""Rise of the chance of sky from a pixel to its source, above which it may only come nearer."""
PICKS = 4
"""Number of times in a row that values are taken from where displacements lead."""
LEVEL = 0.25
"""Log depth about its mean over some 48 px at which an input of the network saturates."""
LAYOUT_LEVEL = 0.3
"""Log depth of the layout about its mean at which an input of ``LayoutPick`` saturates."""
CHOICES = 7
"""Cells in a row and in a column that ``LayoutPick`` chooses among."""

LARGEST_LOGIT = 8.0
"""Answer of the last layer at which a displacement is three quarters of the farthest, about."""
