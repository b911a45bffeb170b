"""Constants of the fusing of a layout and a detail network, for its graph and for its training."""

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
