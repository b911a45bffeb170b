"""Names of the commonest arrays and types of training that need no torch, for signatures."""

import numpy as np

from rilievo.shapes import Float16, Float32, Int64, Shaped, UInt8

Indices = Int64[np.ndarray, "n"]
"""Places in another array, or numbers of groups."""
Motion = Float32[np.ndarray, "4 4"]
"""Transform of points from the target's frame to a source's, as networks take it."""
FrameStack = UInt8[np.ndarray, "n h w 3"]
"""RGB pictures of one size."""
StoredNormals = Float16[np.ndarray, "3 h w"]
"""Normals, as they are held in memory."""
Photographs = Shaped[np.ndarray, "b h w 3"]
"""RGB pictures of a batch."""
