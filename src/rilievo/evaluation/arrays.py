"""Names of the commonest arrays and types of evaluation, for signatures."""

from collections.abc import Sequence

import numpy as np

from rilievo.shapes import Float, Float64, Int, Shaped, UInt8

Scenes = Sequence[str | None]
"""Scene of each image; None for one that belongs to no scene."""
AnyValues = Float[np.ndarray, "n"]
"""Values of any precision."""
Indices = Int[np.ndarray, "n"]
"""Whole numbers, such as places in another array."""
Plane = Float64[np.ndarray, "h w"]
"""One number a pixel."""
Levels = UInt8[np.ndarray, "h w"]
"""Grey levels of a picture."""
PointRows = Float64[np.ndarray, "3 n"]
"""One point or vector for each pixel that is chosen."""
PointPlane = Float64[np.ndarray, "3 h w"]
"""One point a pixel."""
Cloud = Float[np.ndarray, "n 3"]
"""Points in no order."""
OtherCloud = Float[np.ndarray, "m 3"]
"""A second cloud, of any size."""
Curve = Float64[np.ndarray, "steps"]
"""One number for each share of pixels that is removed."""
Curves = Float64[np.ndarray, "2 steps"]
"""Curves by confidence and by error."""
RangeSums = Float64[np.ndarray, "3 bins"]
"""Pixels, sizes of relative errors and signed ones, by range of depth."""
Numbers = Shaped[np.ndarray, "..."]
"""Numbers of a file, of any shape and kind."""
