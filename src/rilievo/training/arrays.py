"""Names of the commonest arrays and types of training that need no torch, for signatures."""

import numpy as np

from rilievo.shapes import Float, Float16, Float32, Float64, Int64, Shaped, UInt8

Size = tuple[int, int]
"""Height and width."""
AnyPlane = Float[np.ndarray, "h w"]
"""One number a pixel, of any precision."""
Numbers = Float64[np.ndarray, "n"]
"""One number for each of some things."""
Indices = Int64[np.ndarray, "n"]
"""Places in another array, or numbers of groups."""
Places = Float64[np.ndarray, "n 2"]
"""Column and row of each corner [px]."""
Corners = Float64[np.ndarray, "n 3"]
"""Points, or corners with column, row [px] and depth."""
Motion = Float32[np.ndarray, "4 4"]
"""Transform of points from the target's frame to a source's, as networks take it."""
FrameStack = UInt8[np.ndarray, "n h w 3"]
"""RGB pictures of one size."""
StoredNormals = Float16[np.ndarray, "3 h w"]
"""Normals, as they are held in memory."""
Photographs = Shaped[np.ndarray, "b h w 3"]
"""RGB pictures of a batch."""
