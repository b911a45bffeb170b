"""Names for the shapes of arrays in the signatures of training; needs no torch."""

import numpy as np

from rilievo.arrays.shapes import Float16, Float32, Int64, Shaped, UInt8

Indices = Int64[np.ndarray, "n"]
Motion = Float32[np.ndarray, "4 4"]
"""Transform of points from the target's frame to a source's, as networks take it."""
FrameStack = UInt8[np.ndarray, "n h w 3"]
StoredNormals = Float16[np.ndarray, "3 h w"]
Photographs = Shaped[np.ndarray, "b h w 3"]
"""Photographs at the size of a network's input, of any type."""
